package postgres

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// tx is a transaction that changes letters. What it adds to groups and counters is
// collected and written last, by flush.
type tx struct {
	pgx.Tx
	s      *Store
	ctx    context.Context
	groups map[string]*groupChange
	counts map[string]int64
	due    int64 // the earliest purge, 0 for none
}

// groupChange is what a transaction adds to what is known of a group.
type groupChange struct {
	newest                *deadletter.Letter
	first, last, redriven time.Time
}

// group notes what a letter, as it is now, says of its group.
func (t *tx) group(l *deadletter.Letter) {
	g := t.groups[l.Fingerprint]
	if g == nil {
		g = &groupChange{newest: l}
		t.groups[l.Fingerprint] = g
	}
	if l.ID >= g.newest.ID {
		g.newest = l
	}
	if !l.FirstFailedAt.IsZero() && (g.first.IsZero() || l.FirstFailedAt.Before(g.first)) {
		g.first = l.FirstFailedAt
	}
	if l.LastFailedAt.After(g.last) {
		g.last = l.LastFailedAt
	}
	if n := len(l.Redrives); n > 0 && l.Redrives[n-1].StartedAt.After(g.redriven) {
		g.redriven = l.Redrives[n-1].StartedAt
	}
	if l.State == deadletter.StateDeleted && l.Closed != nil && !l.Closed.PurgeAt.IsZero() {
		if at := nanos(l.Closed.PurgeAt); t.due == 0 || at < t.due {
			t.due = at
		}
	}
}

// The fields of the newest letter change with it. Times only widen: they are of
// letters that have gone, too. least and greatest leave out NULL.
const upsertGroup = `INSERT INTO groups AS g
	(fingerprint, subscriber, reason, cause, error, error_types, sample, first_seen, last_seen, redriven_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
	ON CONFLICT (fingerprint) DO UPDATE SET
	subscriber = CASE WHEN excluded.sample >= g.sample THEN excluded.subscriber ELSE g.subscriber END,
	reason = CASE WHEN excluded.sample >= g.sample THEN excluded.reason ELSE g.reason END,
	cause = CASE WHEN excluded.sample >= g.sample THEN excluded.cause ELSE g.cause END,
	error = CASE WHEN excluded.sample >= g.sample THEN excluded.error ELSE g.error END,
	error_types = CASE WHEN excluded.sample >= g.sample THEN excluded.error_types ELSE g.error_types END,
	sample = greatest(g.sample, excluded.sample),
	first_seen = least(g.first_seen, excluded.first_seen),
	last_seen = greatest(g.last_seen, excluded.last_seen),
	redriven_at = greatest(g.redriven_at, excluded.redriven_at)`

// shards is in how many rows a counter is, so that writers do not wait for each other.
const shards = 16

func (t *tx) flush() error {
	var b pgx.Batch
	fingerprints := make([]string, 0, len(t.groups))
	for f := range t.groups {
		fingerprints = append(fingerprints, f)
	}
	slices.SortFunc(fingerprints, func(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) })
	for _, f := range fingerprints {
		g := t.groups[f]
		l := g.newest
		types, err := pack(l.ErrorTypes, len(l.ErrorTypes) == 0)
		if err != nil {
			return err
		}
		b.Queue(upsertGroup, raw(f), raw(l.Subscriber), raw(l.Reason), raw(l.Cause), raw(l.Error), types, raw(l.ID),
			stamp(g.first), stamp(g.last), stamp(g.redriven))
	}
	shard := rand.IntN(shards)
	for _, name := range []string{"added", "deleted", "dropped", "expired"} {
		if n := t.counts[name]; n != 0 {
			b.Queue("INSERT INTO counters AS c VALUES ($1, $2, $3) ON CONFLICT (name, shard) DO UPDATE SET n = c.n + excluded.n", name, shard, n)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return t.SendBatch(t.ctx, &b).Close()
}

// done is called when the transaction is committed.
func (t *tx) done() {
	for t.due != 0 {
		was := t.s.due.Load()
		if was != 0 && was <= t.due || t.s.due.CompareAndSwap(was, t.due) {
			return
		}
	}
}
