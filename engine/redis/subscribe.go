package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/troupe-go/troupe/engine"
)

const (
	returnedConsumer = "(returned)"

	defaultInFlight = 256
	defaultLease    = 30 * time.Second
	minLease        = 10 * time.Millisecond
	// forget is how long a consumer that has nothing must have been silent to be
	// removed from its group; one that was only slow is made again when it asks.
	forget = time.Minute
)

// Subscribe implements engine.Topic. MaxInFlight 0 is 256, Lease 0 is 30 seconds.
//
// A group has order by key or has it not: all of its consumers ask for the same, or get
// engine.ErrMismatch. With it each shard has one consumer at a time, so that of more
// consumers than Config.Shards the others stand by.
func (t *Topic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	s, err := t.subscribe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (t *Topic) subscribe(ctx context.Context, cfg engine.SubscribeConfig) (*Subscription, error) {
	what := t.group(cfg.Group)
	if t.e.closed.Load() {
		return nil, fault(what, engine.ErrClosed)
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultInFlight
	}
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
	if err := validSubscription(cfg); err != nil {
		return nil, fmt.Errorf("redis: %s: %w", what, err)
	}
	if cfg.Consumer == "" {
		host, _ := os.Hostname() // a name for people; the rest tells consumers apart
		cfg.Consumer = fmt.Sprintf("%s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:8]))
	}
	mode := modeShared
	if cfg.KeyOrder {
		mode = "key-order"
	}
	has, err := t.agree(ctx, "group:"+cfg.Group, mode)
	if err != nil {
		return nil, fault(what, err)
	}
	if has != mode {
		return nil, fault(what, fmt.Errorf("%w: its consumers are %s, and this one would be %s", engine.ErrMismatch, has, mode))
	}
	if err := t.makeGroup(ctx, cfg.Group, cfg.From); err != nil {
		return nil, fault(what, err)
	}
	return newSubscription(t, cfg), nil
}

func validSubscription(cfg engine.SubscribeConfig) error {
	var faults []error
	if cfg.Group == "" {
		faults = append(faults, errors.New("Group: must not be empty"))
	}
	if cfg.Consumer == returnedConsumer {
		faults = append(faults, fmt.Errorf("Consumer %q: must be another name", cfg.Consumer))
	}
	if cfg.MaxInFlight < 0 {
		faults = append(faults, fmt.Errorf("MaxInFlight %d: must not be negative", cfg.MaxInFlight))
	}
	if cfg.Lease < minLease {
		faults = append(faults, fmt.Errorf("Lease %v: must be at least %v", cfg.Lease, minLease))
	}
	if cfg.From > engine.FromOldest {
		faults = append(faults, fmt.Errorf("From %d: must be FromNow or FromOldest", cfg.From))
	}
	return errors.Join(faults...)
}

func (t *Topic) makeGroup(ctx context.Context, group string, from engine.Start) error {
	start := "now"
	if from == engine.FromOldest {
		start = "oldest"
	}
	calls := make([]call, len(t.streams))
	for i, stream := range t.streams {
		calls[i] = call{script: groupScript, keys: []string{stream}, args: []any{group, start}}
	}
	_, err := within(ctx, func() (struct{}, error) {
		for _, a := range t.e.client.do(ctx, calls) {
			if a.Err() != nil {
				return struct{}{}, a.Err()
			}
		}
		return struct{}{}, nil
	})
	return err
}
