package sqlite

import (
	"context"
	"fmt"
	"sync"

	"github.com/troupe-go/troupe/deadletter"
)

// countCache remembers what had to be looked for letter by letter, for as long as
// nothing changes: the pages of one query are counted once.
type countCache struct {
	mu     sync.Mutex
	totals map[string]counted
}

type counted struct {
	generation int64
	found      found
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

// of returns the total of a query as of the moment that c sees.
func (cc *countCache) of(ctx context.Context, c *conn, q deadletter.Query, count func() (found, error)) (found, error) {
	generation, err := c.number(ctx, "SELECT n FROM counters WHERE name = 'generation'")
	if err != nil {
		return found{}, err
	}
	key := countKey(q)
	cc.mu.Lock()
	known, ok := cc.totals[key]
	cc.mu.Unlock()
	if ok && known.generation == generation {
		return known.found, nil
	}
	f, err := count()
	if err != nil {
		return found{}, err
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if len(cc.totals) >= maxCounted {
		clear(cc.totals)
	}
	cc.totals[key] = counted{generation, f}
	return f, nil
}
