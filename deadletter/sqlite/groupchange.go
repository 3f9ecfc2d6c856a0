package sqlite

import (
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

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
}

// The fields of the newest letter change with it. Times only widen: they are of
// letters that have gone, too.
const upsertGroup = `INSERT INTO groups
	(fingerprint, subscriber, reason, cause, error, error_types, sample, first_seen, last_seen, redriven_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET
	subscriber = iif(excluded.sample >= sample, excluded.subscriber, subscriber),
	reason = iif(excluded.sample >= sample, excluded.reason, reason),
	cause = iif(excluded.sample >= sample, excluded.cause, cause),
	error = iif(excluded.sample >= sample, excluded.error, error),
	error_types = iif(excluded.sample >= sample, excluded.error_types, error_types),
	sample = max(sample, excluded.sample),
	first_seen = min(coalesce(first_seen, excluded.first_seen), coalesce(excluded.first_seen, first_seen)),
	last_seen = max(coalesce(last_seen, excluded.last_seen), coalesce(excluded.last_seen, last_seen)),
	redriven_at = max(coalesce(redriven_at, excluded.redriven_at), coalesce(excluded.redriven_at, redriven_at))`

func (t *tx) flushGroups() error {
	for fingerprint, g := range t.groups {
		l := g.newest
		types, err := encode(l.ErrorTypes, len(l.ErrorTypes) == 0, clean(l.ErrorTypes...))
		if err != nil {
			return err
		}
		if err := t.do(upsertGroup, fingerprint, l.Subscriber, l.Reason, l.Cause, l.Error, types, l.ID,
			stamp(g.first), stamp(g.last), stamp(g.redriven)); err != nil {
			return err
		}
	}
	clear(t.groups)
	return nil
}
