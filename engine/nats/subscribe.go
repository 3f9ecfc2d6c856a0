package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
)

const (
	defaultLease    = 30 * time.Second
	defaultInFlight = 256
	// maxUnsettled is how many records a group has unsettled at most, with those
	// that were given back and wait for their time.
	maxUnsettled = 1 << 16
)

// Subscribe joins a group, which is a durable consumer of the stream: see
// [engine.Topic].
//
// With KeyOrder a group is a consumer for each of the topic's partitions, that hands
// out one record at a time and the next when that is settled, whoever asks: the server
// keeps the order, with any number of processes, and through their ends. The price is a
// round trip to the server between two records of a partition. Records without a key
// have a consumer of their own, without that bound. Beyond MaxInFlight a consumer may
// have fetched ahead one record of each partition. While a cluster elects another
// leader for a consumer, a record that is in hand may be handed out again at once, as
// after its lease.
//
// A group that was made with KeyOrder is engine.ErrMismatch without, and the other way
// about: they would not have the same position. A lease that is another than the group
// has becomes the group's.
func (t *Topic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	if t.e.isClosed() {
		return nil, fmt.Errorf("nats: topic %s: %w", t.name, engine.ErrClosed)
	}
	if !validTopic(cfg.Group) {
		return nil, fmt.Errorf("nats: topic %s: group %q: must be parts of letters, digits, '-' and '_', with dots between them", t.name, cfg.Group)
	}
	if cfg.MaxInFlight < 0 || cfg.Lease < 0 {
		return nil, fmt.Errorf("nats: topic %s: group %s: MaxInFlight and Lease: must not be negative", t.name, cfg.Group)
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultInFlight
	}
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
	var consumers []jetstream.Consumer
	for _, want := range t.consumers(cfg) {
		c, err := t.consumer(ctx, want)
		if err != nil {
			return nil, fmt.Errorf("nats: topic %s: group %s: %w", t.name, cfg.Group, err)
		}
		consumers = append(consumers, c)
	}
	return t.subscription(cfg, consumers)
}

// suspectsFor is how many records after the last that a consumer is known to have
// given may have been given, too, by a server that was killed: it writes that down ten
// times a second, later where the disk is busy, and this is what it can give meanwhile.
const suspectsFor = 16384

// suspect returns up to which sequence records may have been delivered, and have ended
// the process, without anybody knowing: they are handed out with attempt 2 at least, so
// that they are noted before they are handled. It is 0 where the server is not in this
// process, and so not killed with it, or where it was closed in order.
func (t *Topic) suspect(c jetstream.Consumer) uint64 {
	if t.e.server == nil || !t.e.server.unclean {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	info := c.CachedInfo()
	upTo, known := t.suspects[info.Name]
	if !known {
		upTo = min(info.Delivered.Stream+suspectsFor, t.last)
		t.suspects[info.Name] = upTo
	}
	return upTo
}

// consumers are those of a group.
func (t *Topic) consumers(cfg engine.SubscribeConfig) []jetstream.ConsumerConfig {
	base := jetstream.ConsumerConfig{
		Durable:       escapeName(cfg.Group),
		Description:   "Group " + cfg.Group + " of Troupe",
		DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       cfg.Lease,
		MaxDeliver:    -1, // what is poison is decided where the dead letters are
		MaxAckPending: maxUnsettled,
		ReplayPolicy:  jetstream.ReplayInstantPolicy,
	}
	if cfg.From == engine.FromOldest {
		base.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	if !cfg.KeyOrder {
		return []jetstream.ConsumerConfig{base}
	}
	var all []jetstream.ConsumerConfig
	for i, subject := range t.subjects {
		c := base
		c.FilterSubject = subject
		if i > 0 {
			c.Durable += "#" + strconv.Itoa(i-1)
			c.MaxAckPending = 1
		}
		all = append(all, c)
	}
	return all
}

// consumer makes a consumer, or takes and checks the one that is there.
func (t *Topic) consumer(ctx context.Context, want jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	var c jetstream.Consumer
	err := t.e.patiently(ctx, func(ctx context.Context) (err error) {
		c, err = t.e.js.Consumer(ctx, t.stream, want.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			c, err = t.e.js.CreateConsumer(ctx, t.stream, want)
			if errors.Is(err, jetstream.ErrConsumerExists) {
				c, err = t.e.js.Consumer(ctx, t.stream, want.Durable)
			}
		}
		if err != nil {
			return err
		}
		got := c.CachedInfo().Config
		if err := agrees(want, got); err != nil {
			return err
		}
		if got.AckWait == want.AckWait && got.MaxAckPending == want.MaxAckPending {
			return nil
		}
		// Where it begins stays what it was.
		got.AckWait, got.MaxAckPending = want.AckWait, want.MaxAckPending
		c, err = t.e.js.UpdateConsumer(ctx, t.stream, got)
		return err
	})
	return c, err
}

// agrees compares a consumer that is there with what a group must have.
func agrees(want, got jetstream.ConsumerConfig) error {
	var fault string
	switch {
	case got.FilterSubject != want.FilterSubject || len(got.FilterSubjects) > 0:
		if got.FilterSubject == "" || want.FilterSubject == "" {
			fault = "it was made with another KeyOrder, and its position is not that of the other: take another name for the group"
		} else {
			fault = fmt.Sprintf("its filter is %s and not %s", got.FilterSubject, want.FilterSubject)
		}
	case got.AckPolicy != want.AckPolicy:
		fault = fmt.Sprintf("its ack policy is %v and not %v", got.AckPolicy, want.AckPolicy)
	case got.DeliverSubject != "":
		fault = "it pushes to " + got.DeliverSubject
	case got.MaxDeliver > 0:
		fault = fmt.Sprintf("it gives up after %d deliveries, and so would lose what comes once more", got.MaxDeliver)
	case len(got.BackOff) > 0:
		fault = "it has a back-off, which is added to every delay"
	}
	if fault == "" {
		return nil
	}
	return fmt.Errorf("%w: consumer %s: %s", engine.ErrMismatch, want.Durable, fault)
}
