package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// tx is a transaction of the writer. What many changes of it add to the same
// rows is collected and written once, by flush.
type tx struct {
	s      *Store
	c      *conn
	now    time.Time
	broken error // of the file: nothing of the transaction will be kept

	tallies map[tallyKey]tally
	groups  map[string]*groupChange
	counts  map[string]int64
	blocks  map[int64]span
	after   []func() // when it has been committed
}

type tallyKey struct {
	class int64
	state deadletter.State
}

type tally struct{ n, bytes int64 }

func newTx(s *Store) *tx {
	return &tx{
		s: s, c: s.writer.c, now: time.Now(),
		tallies: map[tallyKey]tally{}, groups: map[string]*groupChange{}, counts: map[string]int64{}, blocks: map[int64]span{},
	}
}

// exec runs a statement. Its error ends the transaction.
func (t *tx) exec(text string, args ...any) (int64, error) {
	n, err := t.c.exec(text, args...)
	if err != nil {
		t.broken = err
	}
	return n, err
}

func (t *tx) do(text string, args ...any) error {
	_, err := t.exec(text, args...)
	return err
}

func (t *tx) query(text string, args []any, row func([]any) error) error {
	err := t.c.query(context.Background(), text, args, row)
	if err != nil {
		t.broken = err
	}
	return err
}

func (t *tx) number(text string, args ...any) (n int64, err error) {
	n, err = t.c.number(context.Background(), text, args...)
	if err != nil {
		t.broken = err
	}
	return n, err
}

// count notes that n letters of a class and state, with that many bytes, have
// come or, negative, gone.
func (t *tx) count(class int64, state deadletter.State, n, bytes int64) {
	k := tallyKey{class, state}
	v := t.tallies[k]
	t.tallies[k] = tally{v.n + n, v.bytes + bytes}
}

// blockBits is the size of a block of letters, by their seq, and superBits that of
// a block of blocks.
const (
	blockBits = 8
	superBits = 6
)

// span is the lowest and the highest of what is in a block.
type span struct {
	low, high   string
	first, last times
	summary     *summary
}

// times is from when to when, in nanoseconds, if there is any time.
type times struct {
	min, max int64
	some     bool
}

func (ts *times) add(t time.Time) {
	if t.IsZero() {
		return
	}
	n := nanos(t)
	if !ts.some {
		*ts = times{n, n, true}
	}
	ts.min, ts.max = min(ts.min, n), max(ts.max, n)
}

func (ts *times) values() (from, until any) {
	if !ts.some {
		return nil, nil
	}
	return ts.min, ts.max
}

// place notes where a letter is, see sieve.
func (t *tx) place(seq int64, l *deadletter.Letter) {
	b, ok := t.blocks[seq>>blockBits]
	if !ok {
		b.low, b.high, b.summary = l.ID, l.ID, newSummary()
	}
	b.low, b.high = min(b.low, l.ID), max(b.high, l.ID)
	b.first.add(l.FirstFailedAt)
	b.last.add(l.LastFailedAt)
	b.summary.add(l)
	t.blocks[seq>>blockBits] = b
}

// join widens a span by another.
func (b *span) join(o span) {
	if b.low == "" || o.low < b.low {
		b.low = o.low
	}
	b.high = max(b.high, o.high)
	b.first.join(o.first)
	b.last.join(o.last)
	if b.summary == nil {
		b.summary = newSummary()
	}
	b.summary.join(o.summary)
}

func (ts *times) join(o times) {
	switch {
	case !o.some:
	case !ts.some:
		*ts = o
	default:
		ts.min, ts.max = min(ts.min, o.min), max(ts.max, o.max)
	}
}

const upsertBlock = `INSERT INTO %s VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET summary = excluded.summary,
	low = min(low, excluded.low), high = max(high, excluded.high),
	first_min = min(coalesce(first_min, excluded.first_min), coalesce(excluded.first_min, first_min)),
	first_max = max(coalesce(first_max, excluded.first_max), coalesce(excluded.first_max, first_max)),
	last_min = min(coalesce(last_min, excluded.last_min), coalesce(excluded.last_min, last_min)),
	last_max = max(coalesce(last_max, excluded.last_max), coalesce(excluded.last_max, last_max))`

var upsertBlocks, upsertSuperblocks = fmt.Sprintf(upsertBlock, "blocks"), fmt.Sprintf(upsertBlock, "superblocks")

// flush writes what was collected. Whoever reads it within the transaction calls
// it first.
func (t *tx) flush() error {
	for k, v := range t.tallies {
		if v == (tally{}) {
			continue
		}
		if err := t.do(`INSERT INTO tallies VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET n = n + excluded.n, bytes = bytes + excluded.bytes`, k.class, string(k.state), v.n, v.bytes); err != nil {
			return err
		}
		if v.n < 0 {
			if err := t.do("DELETE FROM tallies WHERE class = ? AND state = ? AND n = 0", k.class, string(k.state)); err != nil {
				return err
			}
		}
	}
	clear(t.tallies)
	for name, n := range t.counts {
		if err := t.do("UPDATE counters SET n = n + ? WHERE name = ?", n, name); err != nil {
			return err
		}
	}
	clear(t.counts)
	supers := map[int64]span{}
	for block, b := range t.blocks {
		if err := t.putSpan("blocks", upsertBlocks, block, b); err != nil {
			return err
		}
		s := supers[block>>superBits]
		s.join(b)
		supers[block>>superBits] = s
	}
	for block, b := range supers {
		if err := t.putSpan("superblocks", upsertSuperblocks, block, b); err != nil {
			return err
		}
	}
	clear(t.blocks)
	return t.flushGroups()
}

// putSpan widens what the file has of a block.
func (t *tx) putSpan(table, upsert string, block int64, b span) error {
	summary := any(nil)
	known := true
	err := t.query("SELECT summary FROM "+table+" WHERE block = ?", []any{block}, func(v []any) error {
		before := readSummary(v[0])
		if known = before != nil; known {
			b.summary.join(before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if known {
		summary = b.summary.bytes()
	}
	firstMin, firstMax := b.first.values()
	lastMin, lastMax := b.last.values()
	return t.do(upsert, block, b.low, b.high, firstMin, firstMax, lastMin, lastMax, summary)
}

// class returns the number of the class of a letter, which it makes if there is
// none.
func (t *tx) class(l *deadletter.Letter) (int64, error) {
	k := classKey{l.Topic, l.Subscriber, l.Reason, l.Fingerprint}
	known := t.s.writer.classes
	if n, ok := known[k]; ok {
		return n, nil
	}
	find := func() (int64, error) {
		return t.number("SELECT class FROM classes WHERE fingerprint = ? AND topic = ? AND subscriber = ? AND reason = ?",
			k.fingerprint, k.topic, k.subscriber, k.reason)
	}
	n, err := find()
	if err == nil && n == 0 {
		err = t.do("INSERT INTO classes (topic, subscriber, reason, fingerprint) VALUES (?, ?, ?, ?)", k.topic, k.subscriber, k.reason, k.fingerprint)
		if err == nil {
			n, err = find()
		}
	}
	if err != nil {
		return 0, err
	}
	if len(known) >= maxClasses {
		clear(known)
	}
	known[k] = n
	return n, nil
}

// dueAt notes when a deleted letter has to go.
func (t *tx) dueAt(l *deadletter.Letter) {
	if l.State != deadletter.StateDeleted || l.Closed == nil || l.Closed.PurgeAt.IsZero() {
		return
	}
	at := nanos(l.Closed.PurgeAt)
	t.after = append(t.after, func() { t.s.due.Store(min(t.s.due.Load(), at)) })
}
