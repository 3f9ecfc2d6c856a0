package redis

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// Topic is a topic in one or more streams. It implements engine.Topic.
type Topic struct {
	e       *Engine
	name    string
	streams []string
}

var _ engine.Topic = (*Topic)(nil)

// Caps implements engine.Topic. Durable and PowerSafe are what the server's settings
// were when the engine was opened.
func (t *Topic) Caps() engine.Caps {
	c := engine.Caps{
		Durable:     t.e.server.durable(),
		PowerSafe:   t.e.server.powerSafe(),
		AtLeastOnce: true,
		Groups:      true,
		Ordered:     len(t.streams) == 1,
		KeyOrder:    true,
		FromOldest:  true,
		Nack:        true,
		DelayedNack: true,
		Attempts:    true,
		Lease:       true,
		Lag:         true,
		Dedup:       t.e.cfg.Dedup,
		MaxRecord:   t.e.cfg.MaxRecord,
	}
	if t.e.server.mayExpire() {
		c.Dedup = 0
	}
	return c
}

// agree returns what the topic says of a name, which is value if it had nothing to say.
func (t *Topic) agree(ctx context.Context, name, value string) (string, error) {
	key := t.streams[0] + ":meta"
	return within(ctx, func() (string, error) {
		made, err := t.e.client.HSetNX(ctx, key, name, value).Result()
		if err != nil || made {
			return value, err
		}
		return t.e.client.HGet(ctx, key, name).Result()
	})
}

// shard is the stream of a key or, for a record without, of its ID.
func (t *Topic) shard(r *engine.Record) int {
	if len(t.streams) == 1 {
		return 0
	}
	h := fnv.New32a()
	if r.Key != "" {
		_, _ = h.Write([]byte(r.Key))
	} else {
		_, _ = h.Write([]byte(r.ID))
	}
	return int(h.Sum32() % uint32(len(t.streams)))
}

// Publish implements engine.Topic. The records go to the server in one pipeline, and each
// is stored or not by itself: Caps.AtomicBatch is false.
func (t *Topic) Publish(ctx context.Context, records []engine.Record) []error {
	var errs []error
	fail := func(i int, err error) {
		if errs == nil {
			errs = make([]error, len(records))
		}
		errs[i] = fault("topic "+t.name+": record "+records[i].ID, err)
	}
	a := t.newAdds(ctx, records)
	for i := range records {
		if t.e.closed.Load() {
			fail(i, engine.ErrClosed)
		} else if err := a.add(ctx, i, &records[i]); err != nil {
			fail(i, err)
		}
	}
	if len(a.index) == 0 {
		return errs
	}
	answers, err := within(ctx, func() ([]goredis.Cmder, error) { return a.send(ctx), nil })
	if err != nil {
		// Nobody has said that they were stored, nor that they were not.
		for _, i := range a.index {
			fail(i, errors.Join(engine.ErrUnavailable, err))
		}
		return errs
	}
	for n, answer := range answers {
		// A nil is a record that was there already.
		if err := answer.Err(); err != nil && !errors.Is(err, goredis.Nil) {
			if cause := context.Cause(ctx); cause != nil {
				err = errors.Join(engine.ErrUnavailable, cause, err)
			}
			fail(a.index[n], err)
		}
	}
	return errs
}

func (t *Topic) group(name string) string { return fmt.Sprintf("topic %s: group %s", t.name, name) }
