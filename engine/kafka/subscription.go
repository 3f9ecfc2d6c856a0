package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Subscription is a member of a consumer group. It implements engine.Subscription and
// engine.Marker.
//
// A goroutine fetches (poll.go), one commits (commit.go), and the client calls when
// partitions come and go (rebalance.go). They meet in the partitions, under mu.
type Subscription struct {
	t     *Topic
	group string
	cfg   engine.SubscribeConfig
	what  string
	log   *zap.Logger

	client *kgo.Client
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	ended  sync.WaitGroup

	wake    chan struct{} // there may be something for Fetch
	room    chan struct{} // there may be room to fetch more
	drained chan struct{} // a partition that goes may have nothing in hand
	dirty   chan struct{} // there may be something to commit
	joined  chan struct{} // closed at the first assignment
	turn    chan struct{} // held by the commit that runs

	mu         sync.Mutex
	partitions map[int32]*partition
	order      []*partition // of partitions, for taking turns
	nextTurn   int
	open       int // records that are fetched and not settled
	alarms     alarms
	trouble    error         // for the next Fetch
	commitErr  error         // for the next Settle
	committed  chan struct{} // closed and made anew when a commit has ended or a partition has gone
	urgent     bool          // somebody waits for a commit
	noNotes    bool          // brokers take none
	closing    bool

	closeOnce sync.Once
	closed    chan struct{}
	closeErr  error
}

var (
	_ engine.Subscription = (*Subscription)(nil)
	_ engine.Marker       = (*Subscription)(nil)
)

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Fetch waits for records and returns up to max. Records that were given back come
// first, when they are due; the partitions take turns.
//
// It goes on by itself when brokers come back. It returns an error that may pass,
// after which it can be called again, if the consumer has lost its group, with its
// partitions, or may not read the topic.
func (s *Subscription) Fetch(ctx context.Context, max int) ([]*engine.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("kafka: %s: fetch: max %d: must be positive", s.what, max)
	}
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		taken, wait, err := s.take(max)
		if err != nil {
			return nil, err
		}
		if len(taken) > 0 {
			return s.deliver(taken), nil
		}
		var due <-chan time.Time
		var timer *time.Timer
		if wait >= 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-s.wake:
		case <-due:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// take hands out up to max, and returns how long it is until the next is due; -1 is
// that none is.
func (s *Subscription) take(max int) (taken []engine.Delivery, wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, 0, fmt.Errorf("kafka: %s: %w", s.what, engine.ErrClosed)
	}
	// Deliveries of a fetch lie in one array, which all of them keep.
	now := time.Now()
	give := func(p *partition, slot *slot) {
		if taken == nil {
			room := s.open
			for _, p := range s.order {
				room -= p.inHand
			}
			taken = make([]engine.Delivery, 0, min(max, room))
		}
		taken = append(taken, engine.Delivery{})
		p.hand(slot, &taken[len(taken)-1])
	}
	for len(taken) < max {
		a, ok := s.alarms.due(now)
		if !ok {
			break
		}
		s.takeBack(a, now, max-len(taken), give)
	}
	for idle := 0; len(taken) < max && idle < len(s.order); {
		s.nextTurn = (s.nextTurn + 1) % len(s.order)
		n := s.takeFresh(s.order[s.nextTurn], max-len(taken), give)
		if n == 0 {
			idle++
		} else {
			idle = 0
		}
	}
	if len(taken) > 0 {
		signal(s.room)
		return taken, 0, nil
	}
	if err := s.trouble; err != nil {
		s.trouble = nil
		return nil, 0, err
	}
	if len(s.alarms) == 0 {
		return nil, -1, nil
	}
	return nil, s.alarms[0].at.Sub(now), nil
}

// takeBack hands out the record of an alarm, or those that are due of its line.
func (s *Subscription) takeBack(a alarm, now time.Time, max int, give func(*partition, *slot)) {
	p := a.p
	if p.revoking {
		return // its next owner gets it
	}
	first := p.at(a.seq)
	key := ""
	if s.cfg.KeyOrder {
		key = string(first.message.Key)
	}
	l := p.lines[key]
	if key == "" || l == nil {
		give(p, first)
		return
	}
	for len(l.seqs) > 0 {
		slot := p.at(l.seqs[0])
		if slot.due.After(now) || max == 0 {
			if max == 0 {
				slot.due = now
			}
			s.alarms.set(slot.due, p, l.seqs[0])
			return
		}
		l.seqs = l.seqs[1:]
		give(p, slot)
		max--
	}
	delete(p.lines, key)
}

func (s *Subscription) takeFresh(p *partition, max int, give func(*partition, *slot)) (n int) {
	if !p.ready || p.revoking {
		return 0
	}
	for n < max {
		seq, slot := p.nextFresh()
		if slot == nil {
			break
		}
		if len(p.lines) > 0 && p.lines[string(slot.message.Key)] != nil {
			slot.state = waiting
			p.lineUp(string(slot.message.Key), seq)
			continue
		}
		give(p, slot)
		n++
	}
	return n
}

// deliver opens the messages of what was taken. Their places are parts of one string.
func (s *Subscription) deliver(taken []engine.Delivery) []*engine.Delivery {
	out := make([]*engine.Delivery, len(taken))
	text := make([]byte, 0, 48*len(taken))
	ends := make([]int, 0, 2*len(taken))
	for i := range taken {
		m := taken[i].Message.(*kgo.Record)
		from := len(text)
		text = strconv.AppendInt(text, int64(m.Partition), 10)
		slash := len(text)
		text = strconv.AppendInt(append(text, '/'), m.Offset, 10)
		end := len(text)
		text = append(append(text, "partition "...), text[from:slash]...)
		text = append(append(text, ", offset "...), text[slash+1:end]...)
		ends = append(ends, end, len(text))
	}
	all, from := string(text), 0
	o := newOpener(s.t.e.cfg.Envelope, s.t.name)
	for i := range taken {
		d := &taken[i]
		d.Place, d.Position = all[from:ends[2*i]], all[ends[2*i]:ends[2*i+1]]
		from = ends[2*i+1]
		o.open(d.Message.(*kgo.Record), d)
		out[i] = d
	}
	return out
}

// Settle takes note, and what it can is committed within Config.CommitEvery; with
// AtOnce it waits for that, until ctx ends. An error is of a commit, of this call's
// records or of earlier ones, that brokers have refused: it is tried again by itself.
func (s *Subscription) Settle(ctx context.Context, settled []engine.Settlement) (late int, err error) {
	var touched map[*partition]int64
	atOnce := s.t.e.cfg.CommitEvery == AtOnce
	if atOnce {
		touched = map[*partition]int64{}
	}
	now := time.Now()
	s.mu.Lock()
	moved, back := false, false
	var resume []int32
	for i := range settled {
		p, message := s.of(settled[i].Delivery)
		if p == nil {
			s.mu.Unlock()
			return late, fmt.Errorf("kafka: %s: settle: a delivery that is not of this subscription", s.what)
		}
		if p.gone {
			late++
			continue
		}
		seq, slot := p.find(message.Offset)
		if slot != nil && slot.state == handed && slot.delivery == settled[i].Delivery {
			if settled[i].Verdict == engine.Nack {
				slot.marks = 0 // what is given back has not ended the process
				s.giveBack(p, seq, slot, now.Add(settled[i].Delay))
				back = true
			} else {
				moved = p.settle(slot) || moved
				s.open--
				if p.paused && p.span() <= s.t.e.cfg.MaxUncommitted/2 {
					p.paused = false
					resume = append(resume, p.id)
				}
			}
		}
		if atOnce {
			touched[p] = p.watermark()
		}
	}
	err = s.commitErr
	s.urgent = s.urgent || atOnce && moved
	s.mu.Unlock()
	if len(resume) > 0 {
		s.client.ResumeFetchPartitions(map[string][]int32{s.t.name: resume})
	}
	signal(s.drained)
	signal(s.room)
	if back {
		signal(s.wake)
	}
	if moved {
		signal(s.dirty)
	}
	if atOnce {
		return late, s.await(ctx, touched)
	}
	return late, err
}

// of returns the partition that a delivery came with. A delivery of another
// subscription has none here.
func (s *Subscription) of(d *engine.Delivery) (*partition, *kgo.Record) {
	m, ok := d.Message.(*kgo.Record)
	if !ok || m.Context == nil {
		return nil, nil
	}
	p, ok := m.Context.Value(partitionKey{}).(*partition)
	if !ok || p.of != s {
		return nil, nil
	}
	return p, m
}

func (s *Subscription) giveBack(p *partition, seq uint64, slot *slot, due time.Time) {
	p.back(slot, due)
	if s.cfg.KeyOrder && len(slot.message.Key) > 0 {
		p.lineUp(string(slot.message.Key), seq)
	}
	s.alarms.set(due, p, seq)
}

// Extend does nothing: a consumer has its records until it settles them or dies.
func (s *Subscription) Extend(context.Context, []*engine.Delivery) error { return nil }

// Mark notes beside the partition's commit that the record is about to be handled. It
// waits for that commit. After an error it is as if it had not been called.
func (s *Subscription) Mark(ctx context.Context, d *engine.Delivery) (before int, err error) {
	s.mu.Lock()
	p, message := s.of(d)
	if p == nil {
		s.mu.Unlock()
		return 0, fmt.Errorf("kafka: %s: mark: a delivery that is not of this subscription", s.what)
	}
	_, slot := p.find(message.Offset)
	if p.gone || slot == nil || slot.state != handed || slot.delivery != d {
		s.mu.Unlock()
		return 0, fmt.Errorf("kafka: %s: mark: %s is not with this consumer any more", s.what, d.Position)
	}
	before = slot.marks
	slot.marks++
	s.mu.Unlock()
	err = s.commit(ctx, p)
	if err == nil {
		return before, nil
	}
	// It is not handled now, and is no suspect because brokers did not answer. If they
	// have noted it all the same, the next commit corrects that.
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, slot := p.find(message.Offset); slot != nil && slot.delivery == d {
		slot.marks = before
		signal(s.dirty)
	}
	return before, err
}

// Close leaves the group. What is settled is committed; what is not goes to the other
// consumers as soon as they have divided the partitions among them.
//
// Errors: that of the last commit, so that what it had comes again; the cause of ctx,
// after which the rest of it goes on by itself.
func (s *Subscription) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { go s.close(ctx) })
	select {
	case <-s.closed:
		return s.closeErr
	case <-ctx.Done():
		return fmt.Errorf("kafka: %s: close: %w", s.what, context.Cause(ctx))
	}
}

func (s *Subscription) close(ctx context.Context) {
	defer close(s.closed)
	s.mu.Lock()
	s.closing = true
	for _, p := range s.partitions {
		p.revoking = true
		p.noteTo = 0
	}
	partitions := append([]*partition(nil), s.order...)
	s.mu.Unlock()
	signal(s.wake)
	signal(s.drained)

	last, cancel := context.WithTimeout(ctx, closeTimeout)
	err := s.commit(last, partitions...)
	cancel()
	if err != nil && !errors.Is(err, errGone) {
		s.closeErr = fmt.Errorf("kafka: %s: close: the last commit: %w", s.what, err)
	}
	s.drop(partitions)
	s.cancel()
	s.ended.Wait()
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	s.client.AllowRebalance()
	if err := s.client.LeaveGroupContext(leave); err != nil && s.closeErr == nil {
		s.log.Warn("left the group without its answer: its partitions wait for the session to end", zap.Error(err))
	}
	cancel()
	s.client.Close()
	s.t.e.forget(s)
}

// closeTimeout bounds what Close asks of brokers that do not answer.
const closeTimeout = 5 * time.Second
