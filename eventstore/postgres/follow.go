package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/eventstore"
)

// place is the place of an event: its transaction, and its own in that.
type place struct{ at, pos int64 }

func (p place) position() eventstore.Position {
	return eventstore.Position(fmt.Sprintf("%016x%016x", p.at, p.pos))
}

func placeOf(p eventstore.Position) (place, error) {
	if p == eventstore.Start {
		return place{}, nil
	}
	if len(p) == 32 {
		at, err1 := strconv.ParseInt(string(p[:16]), 16, 64)
		pos, err2 := strconv.ParseInt(string(p[16:]), 16, 64)
		if err1 == nil && err2 == nil && at > 0 && pos > 0 {
			return place{at, pos}, nil
		}
	}
	return place{}, fmt.Errorf("position %.40q: must be one of this store", string(p))
}

// A follower looks again soon for what an open transaction holds back.
const (
	fencePause    = 2 * time.Millisecond
	maxFencePause = 100 * time.Millisecond
	maxNext       = 1000
)

// follower is an [eventstore.Follower]: it reads below the oldest open transaction, so
// that none that commits late is skipped.
type follower struct {
	s          *Store
	categories []string
	// done ends Next.
	done chan struct{}
	shut sync.Once

	mu   sync.Mutex
	last place // of what Next has returned
	seen place // there is nothing of its categories up to here
}

// Follow is that of [eventstore.Log]. Several categories are read each by its index.
func (s *Store) Follow(ctx context.Context, after eventstore.Position, categories ...string) (eventstore.Follower, error) {
	for _, c := range categories {
		if err := eventstore.CheckCategory(c); err != nil {
			return nil, err
		}
	}
	if err := s.enter(ctx, "follow"); err != nil {
		return nil, err
	}
	from, err := placeOf(after)
	if err != nil {
		return nil, fmt.Errorf("postgres: follow: %w: %w", err, engine.ErrMismatch)
	}
	if after != eventstore.Start {
		var there bool
		err := s.pool.QueryRow(ctx, s.sql("SELECT EXISTS (SELECT FROM {s}.events e WHERE (e.at, e.pos) >= ($1, $2))"), from.at, from.pos).Scan(&there)
		if err == nil && !there {
			return nil, &postgres.Error{
				Op: "follow", Kind: engine.ErrMismatch, Err: fmt.Errorf("there is no event at %s, nor after it", after),
				Fix: "the checkpoint is of another store, or the store was restored from an older copy: rebuild the projection",
			}
		}
		if err != nil {
			return nil, s.failed(ctx, "follow", err)
		}
	}
	return &follower{s: s, categories: slices.Compact(slices.Sorted(slices.Values(categories))), done: make(chan struct{}), last: from, seen: from}, nil
}

// Next is that of [eventstore.Follower]. It returns at most 1000 events.
func (f *follower) Next(ctx context.Context, most int) ([]eventstore.Recorded, error) {
	pause := fencePause
	for {
		changed := f.s.change()
		if err := f.s.enter(ctx, "follower"); err != nil {
			return nil, err
		}
		select {
		case <-f.done:
			return nil, closed("follower")
		default:
		}
		list, behind, err := f.look(ctx, min(max(most, 1), maxNext))
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, fmt.Errorf("postgres: follower: %w", cause)
			}
			return nil, f.s.failed(ctx, "follower", err)
		}
		if len(list) > 0 {
			return list, nil
		}
		wait := f.s.cfg.Poll
		if behind {
			wait = min(wait, pause)
			pause = min(2*pause, maxFencePause)
		} else {
			pause = fencePause
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-f.done:
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}

// look returns what follows, and if that is nothing, whether something is held back.
func (f *follower) look(ctx context.Context, most int) (list []eventstore.Recorded, behind bool, err error) {
	f.mu.Lock()
	seen := f.seen
	f.mu.Unlock()
	// One statement, for one snapshot: the edge is that of what it reads.
	query, args := `SELECT `+columns+` FROM {s}.events e WHERE (e.at, e.pos) > ($1, $2) AND e.at < h.edge ORDER BY e.at, e.pos LIMIT $3`,
		[]any{seen.at, seen.pos, most}
	if len(f.categories) > 0 {
		query = `SELECT e.* FROM unnest($4::text[]) c, LATERAL (SELECT ` + columns + ` FROM {s}.events e
			WHERE e.category = c AND (e.at, e.pos) > ($1, $2) AND e.at < h.edge ORDER BY e.at, e.pos LIMIT $3) e ORDER BY e.at, e.pos LIMIT $3`
		args = append(args, f.categories)
	}
	rows, err := f.s.pool.Query(ctx, f.s.sql(`SELECT h.edge, EXISTS (SELECT FROM {s}.events x WHERE x.at >= h.edge), e.*
		FROM (SELECT {s}.horizon() AS edge) h LEFT JOIN LATERAL (`+query+`) e ON true ORDER BY e.at, e.pos`), args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	var edge int64
	for rows.Next() {
		r, there, err := scanFollowed(rows, &edge, &behind)
		if err != nil {
			return nil, false, err
		}
		if there {
			list = append(list, r)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(list); n > 0 {
		f.last, _ = placeOf(list[n-1].Position)
		f.seen = f.last
	}
	if edge > f.seen.at+1 && len(list) < most {
		f.seen = place{edge - 1, math.MaxInt64}
	}
	return list, behind, nil
}

// prefixed is a row that has the edge before the event, which may be missing.
type prefixed struct {
	pgx.Rows
	edge   *int64
	behind *bool
}

var errNone = errors.New("no event")

func (p prefixed) Scan(dest ...any) error {
	values := p.RawValues()
	if values[2] == nil { // at: there is no event
		skip := make([]any, 2, len(values))
		skip[0], skip[1] = p.edge, p.behind
		for range values[2:] {
			skip = append(skip, nil)
		}
		if err := p.Rows.Scan(skip...); err != nil {
			return err
		}
		return errNone
	}
	return p.Rows.Scan(append([]any{p.edge, p.behind}, dest...)...)
}

func scanFollowed(rows pgx.Rows, edge *int64, behind *bool) (r eventstore.Recorded, there bool, err error) {
	r, err = scan(prefixed{rows, edge, behind})
	if errors.Is(err, errNone) {
		return r, false, nil
	}
	return r, err == nil, err
}

// maxLag is where Lag stops counting.
const maxLag = 10_000

// Lag is that of [eventstore.Follower]. It stops at 10,000.
func (f *follower) Lag(ctx context.Context) (n uint64, err error) {
	if err := f.s.enter(ctx, "lag"); err != nil {
		return 0, err
	}
	f.mu.Lock()
	last := f.last
	f.mu.Unlock()
	query, args := "SELECT FROM {s}.events e WHERE (e.at, e.pos) > ($1, $2) LIMIT $3", []any{last.at, last.pos, maxLag}
	if len(f.categories) > 0 {
		query = "SELECT FROM {s}.events e WHERE (e.at, e.pos) > ($1, $2) AND e.category = ANY ($4) LIMIT $3"
		args = append(args, f.categories)
	}
	err = f.s.pool.QueryRow(ctx, f.s.sql("SELECT count(*) FROM ("+query+") e"), args...).Scan(&n)
	return n, f.s.failed(ctx, "lag", err)
}

func (f *follower) Close() error {
	f.shut.Do(func() { close(f.done) })
	return nil
}
