package sqlite

import (
	"context"
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

// blockBits is the size of a block of letters, by their seq.
const blockBits = 8

// span is the lowest and the highest ID in a block.
type span struct{ low, high string }

// place notes where an ID is. Letters come about in the order of their IDs, but
// not quite; the spans of blocks say how far they are from it.
func (t *tx) place(seq int64, id string) {
	b, ok := t.blocks[seq>>blockBits]
	if !ok {
		b = span{id, id}
	}
	t.blocks[seq>>blockBits] = span{min(b.low, id), max(b.high, id)}
}

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
	for block, b := range t.blocks {
		if err := t.do("INSERT INTO blocks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high)", block, b.low, b.high); err != nil {
			return err
		}
	}
	clear(t.blocks)
	return t.flushGroups()
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
	at := l.Closed.PurgeAt.UnixNano()
	t.after = append(t.after, func() { t.s.due.Store(min(t.s.due.Load(), at)) })
}
