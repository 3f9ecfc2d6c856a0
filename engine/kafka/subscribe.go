package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Subscribe joins the consumer group "topic/group". A group that is new and begins
// with FromNow has its position written down before Subscribe returns, which waits
// until the group knows this consumer then. A partition that is added to the topic
// later begins with its oldest record.
//
// Brokers forget the position of a group that nobody has been in for
// offsets.retention.minutes, a week by default: it is new then.
func (t *Topic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	group := t.name + "/" + cfg.Group
	what := fmt.Sprintf("topic %s: group %s", t.name, group)
	if err := t.e.use(what); err != nil {
		return nil, err
	}
	if cfg.Group == "" {
		return nil, fmt.Errorf("kafka: topic %s: subscribe: Group: must not be empty", t.name)
	}
	if cfg.MaxInFlight < 1 {
		return nil, fmt.Errorf("kafka: %s: subscribe: MaxInFlight %d: must be positive", what, cfg.MaxInFlight)
	}
	isNew := false
	err := bounded(ctx, func() (err error) {
		isNew, err = t.position(ctx, group, cfg.From)
		return err
	})
	if err != nil {
		return nil, fault(what, ping(ctx, err))
	}
	s := &Subscription{
		t: t, group: group, cfg: cfg, what: what,
		log:  t.e.cfg.Log.With(zap.String("topic", t.name), zap.String("group", group)),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), drained: make(chan struct{}, 1),
		dirty: make(chan struct{}, 1), joined: make(chan struct{}), turn: make(chan struct{}, 1),
		partitions: map[int32]*partition{}, committed: make(chan struct{}), closed: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.join(); err != nil {
		s.cancel()
		return nil, fmt.Errorf("kafka: %s: configuration: %w", what, err)
	}
	if !t.e.keep(s) {
		_ = s.Close(ctx)
		return nil, fmt.Errorf("kafka: %s: %w", what, engine.ErrClosed)
	}
	if isNew && cfg.From == engine.FromNow {
		select {
		case <-s.joined:
		case <-ctx.Done():
			err := ended(what+": to join it", ctx)
			_ = s.Close(ctx)
			return nil, err
		}
	}
	return s, nil
}

// join starts the client and what works for it.
func (s *Subscription) join() error {
	cfg := &s.t.e.cfg
	opts := append(cfg.shared(),
		kgo.ConsumerGroup(s.group),
		kgo.ConsumeTopics(s.t.name),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
		kgo.OnOffsetsFetched(s.fetchedOffsets),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, cfg.SessionTimeout/5)),
		kgo.RebalanceTimeout(cfg.rebalanceTimeout()),
		// position has seen to where a new group begins. What is left is partitions
		// that came later, and offsets that the topic does not have any more.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The marks at the end of transactions have offsets, too.
		kgo.KeepControlRecords(),
		// A partition that is ready to be fetched later than another of its broker
		// waits for that one's fetch, so this is how late it can be.
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(8<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
	)
	if s.cfg.Consumer != "" {
		opts = append(opts, kgo.ClientID(cfg.ClientID+"-"+s.cfg.Consumer))
	}
	client, err := kgo.NewClient(append(opts, cfg.Options...)...)
	if err != nil {
		return err
	}
	s.client = client
	s.ended.Add(2)
	go s.poll()
	go s.committer()
	return nil
}

// position writes down where a new group begins, of partitions for which it has no
// position. It reports whether there were any. A group that has members has done that
// already, or another Subscribe is at it: brokers let nobody else write.
func (t *Topic) position(ctx context.Context, group string, from engine.Start) (isNew bool, err error) {
	for wait := newBackoff(); ; {
		missing, err := t.begin(ctx, group, from)
		if err == nil && missing == nil {
			return isNew, nil
		}
		if err == nil {
			isNew = true
			if err = t.e.admin.CommitAllOffsets(ctx, group, missing); err == nil {
				return isNew, nil
			}
		}
		if !others(err) && !kerr.IsRetriable(err) {
			return isNew, err
		}
		if others(err) {
			// Its members own the partitions, and those that came later begin
			// with their oldest record.
			if ok, err := t.anyPosition(ctx, group); err != nil || ok {
				return isNew, err
			}
		}
		if wait.sleep(ctx) != nil {
			return isNew, err
		}
	}
}

// others reports whether brokers have refused since the group has members.
func others(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.NonEmptyGroup)
}

// begin returns where the group begins in partitions for which it has no position; nil
// is that there are none. A group that has a position in others is not new: these
// partitions were added while nobody was in it, and it has missed nothing of them yet.
func (t *Topic) begin(ctx context.Context, group string, from engine.Start) (kadm.Offsets, error) {
	have, err := t.commits(ctx, group)
	if err != nil {
		return nil, err
	}
	var missing kadm.Offsets
	have.Each(func(o kadm.OffsetResponse) {
		if o.At >= 0 {
			from = engine.FromOldest
		} else {
			missing.AddOffset(t.name, o.Partition, -1, -1)
		}
	})
	if missing == nil {
		return nil, nil
	}
	list := t.e.admin.ListEndOffsets
	if from == engine.FromOldest {
		list = t.e.admin.ListStartOffsets
	}
	at, err := list(ctx, t.name)
	if err == nil {
		err = at.Error()
	}
	if err != nil {
		return nil, err
	}
	for id := range missing[t.name] {
		o, ok := at.Lookup(t.name, id)
		if !ok {
			return nil, kerr.UnknownTopicOrPartition
		}
		missing.AddOffset(t.name, id, o.Offset, -1)
	}
	return missing, nil
}

// commits returns the commits of a group, -1 for partitions where it has none.
func (t *Topic) commits(ctx context.Context, group string) (kadm.OffsetResponses, error) {
	have, err := t.e.admin.FetchOffsetsForTopics(ctx, group, t.name)
	if !errors.Is(err, kerr.GroupIDNotFound) { // as some brokers say of a new group
		return have, err
	}
	details, err := t.e.admin.ListTopics(ctx, t.name)
	if err == nil {
		err = details.Error()
	}
	have = kadm.OffsetResponses{}
	for _, id := range details[t.name].Partitions.Numbers() {
		have.Add(kadm.OffsetResponse{Offset: kadm.Offset{Topic: t.name, Partition: id, At: -1, LeaderEpoch: -1}})
	}
	return have, err
}

func (t *Topic) anyPosition(ctx context.Context, group string) (bool, error) {
	have, err := t.commits(ctx, group)
	any := false
	have.Each(func(o kadm.OffsetResponse) { any = any || o.At >= 0 })
	return any, err
}

func (e *Engine) keep(s *Subscription) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.subs[s] = struct{}{}
	return true
}

func (e *Engine) forget(s *Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.subs, s)
}
