package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/troupe-go/troupe/deadletter"
)

// countCache remembers what had to be looked for letter by letter. As long as no
// letter is changed or removed, only those that have come since are counted.
type countCache struct {
	mu     sync.Mutex
	totals map[string]counted
}

// counted is what was found among the letters up to a seq.
type counted struct {
	rewritten int64 // how often letters had been changed or removed
	upTo      int64
	found     found
}

const maxCounted = 64

func newCountCache() *countCache { return &countCache{totals: map[string]counted{}} }

// countKey names a query, with the time if it speaks of it.
func countKey(q deadletter.Query) string {
	at := int64(0)
	terms, _ := q.Where.Terms()
	for _, t := range terms {
		if t.Relative {
			at = q.Now.UnixNano()
		}
	}
	return fmt.Sprintf("%q %q %q %q %q %q %d", q.Topic, q.Subscriber, q.Reason, q.Fingerprint, q.State, q.Where.String(), at)
}

// of returns what a query finds as of the moment that c sees. If quick, it may not
// know.
func (cc *countCache) of(ctx context.Context, c *conn, w *where, sel *selection, q deadletter.Query) (f found, known bool, err error) {
	var now counted
	err = c.query(ctx, "SELECT n, (SELECT coalesce(max(seq), 0) FROM letter_rows) FROM counters WHERE name = 'rewritten'", nil, func(v []any) error {
		now.rewritten, now.upTo = v[0].(int64), v[1].(int64)
		return nil
	})
	if err != nil {
		return found{}, false, err
	}
	key := countKey(q)
	cc.mu.Lock()
	before, ok := cc.totals[key]
	cc.mu.Unlock()
	ok = ok && before.rewritten == now.rewritten && before.upTo <= now.upTo
	switch {
	case ok && before.upTo == now.upTo:
		return before.found, true, nil
	case w.awake != nil:
		now.found, known, err = w.countAwake(ctx, c, sel, q.Quick)
	case ok && (!q.Quick || now.upTo-before.upTo <= quickLetters):
		now.found, err = w.countBehind(ctx, c, sel, before)
		known = true
	case q.Quick:
		now.found, known, err = w.countQuickly(ctx, c, sel)
	default:
		now.found, err = w.count(ctx, c, sel)
		known = true
	}
	if err != nil || !known {
		return found{}, false, err
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if len(cc.totals) >= maxCounted {
		clear(cc.totals)
	}
	cc.totals[key] = now
	return now.found, true, nil
}

// quickLetters is how many letters are looked at one by one for a total that
// nobody is to wait for, beside a page: a millisecond or two.
const quickLetters = 500

// countBehind adds what has come since to what was found.
func (w *where) countBehind(ctx context.Context, c *conn, sel *selection, before counted) (found, error) {
	from, args := w.from(sel, fromTail)
	from, args = from+" AND l.seq > ?", append(slices.Clone(args), before.upTo)
	f := before.found
	if f.few == nil {
		n, err := c.number(ctx, "SELECT count(*) "+from, args...)
		f.total += n
		return f, err
	}
	f.few = slices.Clone(f.few)
	err := c.query(ctx, "SELECT l.id, l.seq "+from, args, func(v []any) error {
		f.few = append(f.few, entry{id: text(v[0]), seq: v[1].(int64)})
		return ctx.Err()
	})
	slices.SortFunc(f.few, newestFirst)
	if f.total = int64(len(f.few)); f.total > fewLetters {
		f.few = nil
	}
	return f, err
}

// manySnoozed is how many that are snoozed are counted for a total that nobody is to
// wait for.
const manySnoozed = 5000

// countAwake counts those that are snoozed, of which there are few; if they are not, not
// quickly.
func (w *where) countAwake(ctx context.Context, c *conn, sel *selection, quick bool) (found, bool, error) {
	snoozed := *w
	snoozed.letter = *w.awake
	from, args := snoozed.from(sel, fromSnoozed)
	if quick {
		n, err := c.number(ctx, "SELECT count(*) FROM (SELECT 1 "+from+" LIMIT ?)", append(args, manySnoozed+1)...)
		return found{total: sel.n - n}, n <= manySnoozed, err
	}
	n, err := c.number(ctx, "SELECT count(*) "+from, args...)
	return found{total: sel.n - n}, true, err
}

// countQuickly counts what an index finds at once.
func (w *where) countQuickly(ctx context.Context, c *conn, sel *selection) (found, bool, error) {
	named := sel.kinds != nil && len(sel.kinds) <= manyKinds
	from, args := "", []any(nil)
	switch {
	case named && sel.n <= quickLetters:
		from, args = w.from(sel, fromClass)
	case sel.kinds == nil && w.timed == len(w.letter.terms):
		from, args = w.from(sel, fromAll) // by an index of times, of which the first are read
	case len(w.needles) > 0:
		upTo, err := watermark(ctx, c)
		if err != nil {
			return found{}, false, err
		}
		terms, err := w.match(ctx, c)
		if err != nil {
			return found{}, false, err
		}
		// Those that the index finds, and those that it does not know, if they are few.
		list, err := c.textOf(ctx, `SELECT json_group_array(seq) FROM (SELECT seq FROM stale UNION SELECT * FROM (SELECT seq FROM letter_rows WHERE seq > ? LIMIT ?)
			UNION SELECT * FROM (SELECT rowid FROM texts WHERE texts MATCH ? LIMIT ?) LIMIT ?)`, upTo, quickLetters+1, terms, quickLetters+1, quickLetters+1)
		if err != nil {
			return found{}, false, err
		}
		if strings.Count(list, ",") >= quickLetters {
			return found{}, false, nil
		}
		from, args = w.from(sel, fromList, list)
	default:
		return found{}, false, nil
	}
	f, err := w.few(ctx, c, from, args, quickLetters)
	return f, f.few != nil, err
}
