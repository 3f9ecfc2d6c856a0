package sqlite

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"sort"
	"time"
)

// sieve looks at letters, some at a time, and keeps the newest that a query
// selects, until they are a page and no other can be newer.
//
// Letters have numbers, their seq, in the order in which they came; that of their
// IDs is nearly the same. For each block of 256, and each superblock of 64 blocks,
// the file has the lowest and the highest ID that was ever in it, and the times of
// failures. So letters are looked at from the last, and what is left is known to be
// older, or not to fit.
type sieve struct {
	c *conn
	// The two ways to name letters to look at, by a list of them and by one of
	// blocks, each the first argument.
	from, fromBlocks string
	args             []any
	behind           string
	limit            int
	kept             []entry
	pace             pace
	pause
}

// pace divides the time that a look for letters has, into steps of so many.
type pace struct {
	until time.Time // zero for all the time there is
	last  time.Time // when the last step began
	step  int
}

// next is the size of the next step: twice that of the last, but at most that and
// what the time that is left is likely to be enough for.
func (p *pace) next(first, most int) int {
	now := time.Now()
	size := first
	if p.step > 0 {
		size = min(2*p.step, most)
		if took := now.Sub(p.last); !p.until.IsZero() && took > 0 {
			size = max(1, min(size, int(float64(p.step)*float64(p.until.Sub(now))/float64(took))))
		}
	}
	p.step, p.last = size, now
	return size
}

func (p *pace) over() bool { return !p.until.IsZero() && !time.Now().Before(p.until) }

// stop ends the look at that seq, if its time is over: letters up to there are looked
// at by the next page. That begins behind an ID; so if letters up to there can be as
// new as those that this page began with, it goes on.
func (s *sieve) stop(ctx context.Context, last int64) (bool, error) {
	if !s.pace.over() {
		return false, nil
	}
	left, err := s.high(ctx, last)
	if err != nil {
		return false, err
	}
	began := s.behind
	if began == "" {
		began, err = s.high(ctx, math.MaxInt64)
		began = past(began)
	}
	rest := past(left)
	if err != nil || rest >= began {
		return false, err
	}
	// Those below rest can have newer ones between them that are not found yet.
	s.kept = s.kept[:sort.Search(len(s.kept), func(i int) bool { return s.kept[i].id < rest })]
	return true, s.pauseAt(ctx, rest, last)
}

// past is a text a little above an ID.
func past(id string) string { return id + "!" }

// pauseAt notes where the next page begins.
func (s *sieve) pauseAt(ctx context.Context, rest string, last int64) error {
	return s.c.query(ctx, "SELECT (SELECT coalesce(min(seq), 0) FROM letter_rows), (SELECT coalesce(max(seq), 0) FROM letter_rows)", nil, func(v []any) error {
		from, until := float64(v[0].(int64)), float64(v[1].(int64))
		part := (until - float64(last)) / max(1, until-from+1)
		s.pause = pause{rest: rest, searched: min(0.999, max(0.001, part))}
		return nil
	})
}

func (w *where) sieve(c *conn, sel *selection, behind string, limit int) *sieve {
	s := &sieve{c: c, behind: behind, limit: limit, pace: pace{until: w.until}}
	s.from, s.args = w.from(sel, fromList)
	s.fromBlocks, _ = w.from(sel, fromBlockList)
	if behind != "" {
		s.from, s.fromBlocks, s.args = s.from+" AND l.id < ?", s.fromBlocks+" AND l.id < ?", append(s.args, behind)
	}
	return s
}

// look keeps those of the letters that the query selects, and lookInto those of
// blocks.
func (s *sieve) look(ctx context.Context, seqs []int64) error { return s.keep(ctx, s.from, seqs) }

func (s *sieve) lookInto(ctx context.Context, blocks []int64) error {
	return s.keep(ctx, s.fromBlocks, blocks)
}

func (s *sieve) keep(ctx context.Context, from string, of []int64) error {
	if len(of) == 0 {
		return nil
	}
	list, err := json.Marshal(of)
	if err != nil {
		return err
	}
	args := append([]any{string(list)}, s.args...)
	err = s.c.query(ctx, "SELECT l.id, l.seq "+from, args, func(v []any) error {
		s.kept = append(s.kept, entry{id: text(v[0]), seq: v[1].(int64)})
		return nil
	})
	slices.SortFunc(s.kept, newestFirst)
	s.kept = slices.CompactFunc(s.kept, func(a, b entry) bool { return a.seq == b.seq })
	s.kept = s.kept[:min(len(s.kept), s.limit)]
	return err
}

// newest reports whether no letter up to that seq is newer than those kept.
func (s *sieve) newest(ctx context.Context, last int64) (bool, error) {
	if len(s.kept) < s.limit {
		return false, nil
	}
	high, err := s.high(ctx, last)
	return high < s.kept[s.limit-1].id, err
}

// high is the highest ID of the letters up to that seq.
func (s *sieve) high(ctx context.Context, last int64) (string, error) {
	block := last >> blockBits
	return s.c.textOf(ctx, `SELECT max(high) FROM (SELECT max(high) AS high FROM superblocks WHERE block < ?
		UNION ALL SELECT max(high) FROM blocks WHERE block >= ? AND block <= ?)`, block>>superBits, block>>superBits<<superBits, block)
}

// start returns the last seq that may be behind the ID.
func (s *sieve) start(ctx context.Context) (int64, error) {
	if s.behind == "" {
		return math.MaxInt64, nil
	}
	block := int64(-1)
	err := s.c.query(ctx, "SELECT b.block "+everyBlock+" WHERE p.low < ? AND b.low < ?"+lastFirst+" LIMIT 1", []any{s.behind, s.behind}, func(v []any) error {
		block = v[0].(int64)
		return nil
	})
	return (block+1)<<blockBits - 1, err
}

// The blocks of the superblocks. The engine reads both in the order that is asked for.
const (
	everyBlock = "FROM superblocks p CROSS JOIN blocks b ON b.block >= p.block << 6 AND b.block < (p.block + 1) << 6"
	lastFirst  = " ORDER BY p.block DESC, b.block DESC"
)

const (
	firstLook = 64
	mostLook  = 1024
	// rareText is of how many letters one has a text that is looked for in the
	// index at once, and directBlocks how many blocks are looked through for others
	// before that: where a text is in many letters, the index takes longer to begin
	// in the middle of them than the letters take to be looked at.
	rareText     = 50
	directBlocks = 4
)

// text looks at what the full-text index finds, and at what it does not know yet.
func (s *sieve) text(ctx context.Context, w *where, rare bool) error {
	if !rare {
		if done, err := s.blocks(ctx, w, directBlocks); done || err != nil {
			return err
		}
	}
	terms, err := w.match(ctx, s.c)
	if err != nil {
		return err
	}
	upTo, err := watermark(ctx, s.c)
	if err != nil {
		return err
	}
	stale, err := numbers(ctx, s.c, "SELECT seq FROM stale")
	if err != nil {
		return err
	}
	if err := s.look(ctx, stale); err != nil {
		return err
	}
	last, err := s.start(ctx)
	if err != nil {
		return err
	}
	for {
		step := s.pace.next(firstLook, mostLook)
		var seqs []int64
		tail := last > upTo
		if tail {
			seqs, err = numbers(ctx, s.c, "SELECT seq FROM letter_rows WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ?", upTo, last, step)
		} else {
			seqs, err = numbers(ctx, s.c, "SELECT rowid FROM texts WHERE texts MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?", terms, last, step)
		}
		if err != nil {
			return err
		}
		if err := s.look(ctx, seqs); err != nil {
			return err
		}
		switch {
		case len(seqs) == step:
			last = seqs[len(seqs)-1] - 1
		case tail:
			last = upTo
		default:
			return nil
		}
		if done, err := s.newest(ctx, last); done || err != nil {
			return err
		}
		if over, err := s.stop(ctx, last); over || err != nil {
			return err
		}
	}
}

// walk looks at the letters of few kinds, newest first.
func (s *sieve) walk(ctx context.Context, sel *selection) error {
	m := sel.merge(s.behind)
	for len(s.kept) < s.limit {
		entries, err := m.take(ctx, s.c, s.pace.next(max(firstLook, s.limit), mostLook))
		if err != nil || len(entries) == 0 {
			return err
		}
		if err := s.look(ctx, seqsOf(entries)); err != nil {
			return err
		}
		if last := entries[len(entries)-1]; len(s.kept) < s.limit && s.pace.over() {
			return s.pauseAt(ctx, last.id, last.seq)
		}
	}
	return nil
}

// blocks looks at all letters of those blocks whose times fit, until the page is
// complete, or at most at that many.
func (s *sieve) blocks(ctx context.Context, w *where, most int) (done bool, err error) {
	last, err := s.start(ctx)
	if err != nil {
		return false, err
	}
	scan, err := w.scan(ctx, s.c, last>>blockBits)
	if err != nil {
		return false, err
	}
	for most > 0 {
		step := s.pace.next(1, 16)
		most -= step
		blocks, err := scan.take(ctx, step)
		if err != nil {
			return false, err
		}
		if err := s.lookInto(ctx, blocks); err != nil {
			return false, err
		}
		block, more, err := scan.peek(ctx)
		if err != nil || !more {
			return true, err
		}
		last := (block+1)<<blockBits - 1
		if done, err := s.newest(ctx, last); done || err != nil {
			return true, err
		}
		if over, err := s.stop(ctx, last); over || err != nil {
			return true, err
		}
	}
	return false, nil
}
