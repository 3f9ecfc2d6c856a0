package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// Subscription is one consumer of a group. It implements engine.Subscription and
// engine.Marker.
//
// Fetch asks for no more than there is room for and reads nothing ahead, but when its
// context ends while the server answers: the next Fetch has that then, and Close gives it
// back.
type Subscription struct {
	t    *Topic
	cfg  engine.SubscribeConfig
	what string // in errors
	// order is for SubscribeConfig.KeyOrder, nil without.
	order *order

	// What follows is of Fetch and the read that it has started, one at a time.
	pause    time.Duration // before the next read, after errors
	trouble  error         // to be told by the next Fetch
	nextScan []time.Time   // by shard
	nextTrim time.Time
	takeTurn int // the shard that comes first, where there is not room for all
	readTurn int

	mu       sync.Mutex
	reading  *reading // the read that goes on, nil without
	me       string   // the consumer's name in the group
	handed   int      // handed out and not settled
	ahead    []*hold
	nextTake time.Time // when something that was given back may be due
	settled  bool      // something, since the last trim

	room   chan struct{} // has one when there may be room again
	closed chan struct{}
	once   sync.Once
	left   bool // of Close, which one may call at a time
	leave  sync.Mutex
}

var (
	_ engine.Subscription = (*Subscription)(nil)
	_ engine.Marker       = (*Subscription)(nil)
)

// hold is a record that the consumer has.
type hold struct {
	delivery engine.Delivery
	message  Message

	sub     *Subscription
	owner   string // the consumer's name when it was read
	shard   int
	attempt int
	ms, seq uint64 // its ID, for order

	// Under sub.mu.
	until  time.Time // its lease lasts at least as long
	state  holdState
	marked bool
	marks  int  // how often it was, if that is known
	unsure bool // a settlement was sent, and nobody knows whether it has arrived

	marksKnown bool
}

type holdState uint8

const (
	isAhead holdState = iota
	isHanded
	isSettling
	isSettled
)

// batch is what a read has brought.
type batch struct {
	holds []*hold
	err   error
}

// reading is a read that goes on.
type reading struct {
	done chan struct{}
	batch
}

const (
	entryWord  = "entry "
	modeShared = "shared"

	minPause  = 20 * time.Millisecond
	maxPause  = time.Second
	maxScan   = 5 * time.Second
	trimEvery = time.Second
)

func newSubscription(t *Topic, cfg engine.SubscribeConfig) *Subscription {
	s := &Subscription{
		t: t, cfg: cfg, what: t.group(cfg.Group), me: cfg.Consumer,
		nextScan: make([]time.Time, len(t.streams)),
		room:     make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if cfg.KeyOrder {
		s.order = newOrder(s)
	}
	return s
}

func (s *Subscription) client() *client { return s.t.e.client }

// beside is the key of something of the group beside a shard's stream.
func (s *Subscription) beside(shard int, what string) string {
	return s.t.streams[shard] + ":" + what + ":" + s.cfg.Group
}

// hold makes one of an entry.
func (s *Subscription) hold(shard int, owner, id string, fields []any, attempt int, until time.Time, o *opener) *hold {
	h := &hold{sub: s, owner: owner, shard: shard, attempt: attempt, until: until}
	h.message = Message{Stream: s.t.streams[shard], ID: id, hold: h}
	d := &h.delivery
	d.Attempt = attempt
	d.Message = &h.message
	place := id
	if len(s.t.streams) > 1 {
		place = strconv.Itoa(shard) + "/" + id
	}
	d.Position = entryWord + place
	d.Place = d.Position[len(entryWord):]
	ms, seq, _ := strings.Cut(id, "-")
	h.ms, _ = strconv.ParseUint(ms, 10, 64) // the server's own
	h.seq, _ = strconv.ParseUint(seq, 10, 64)
	o.entry(d, fields)
	return h
}

// Lag implements engine.Subscription. What was given back and is not due yet, or not
// handed out yet, is Waiting.
func (s *Subscription) Lag(ctx context.Context) (engine.Lag, error) {
	lag, err := within(ctx, func() (lag engine.Lag, err error) {
		for i, stream := range s.t.streams {
			p := s.client().Pipeline()
			groups := p.XInfoGroups(ctx, stream)
			back := p.ZCard(ctx, s.beside(i, "returned"))
			if _, err = p.Exec(ctx); err != nil {
				return lag, err
			}
			for _, g := range groups.Val() {
				if g.Name != s.cfg.Group {
					continue
				}
				// -1 is that the server cannot tell, after XDEL by somebody.
				lag.Waiting += uint64(max(0, g.Lag)) + uint64(back.Val())
				lag.Unsettled += uint64(max(0, g.Pending-back.Val()))
			}
		}
		return lag, nil
	})
	return lag, fault(s.what+": lag", err)
}

// Mark implements engine.Marker. A mark is as durable as records are. It may be repeated
// after an error, also one after which nobody knows whether the server has it: how often
// the record was marked before is read once, and what is written is a number and not one
// more.
func (s *Subscription) Mark(ctx context.Context, d *engine.Delivery) (int, error) {
	h := s.holdOf(d)
	if h == nil {
		return 0, fault(s.what+": mark", engine.ErrClosed)
	}
	s.mu.Lock()
	h.marked = true
	s.mu.Unlock()
	before, err := within(ctx, func() (int, error) { return s.mark(ctx, h) })
	return before, fault(s.what+": mark", err)
}

func (s *Subscription) mark(ctx context.Context, h *hold) (int, error) {
	key := s.beside(h.shard, "marks")
	s.mu.Lock()
	before, known := h.marks, h.marksKnown
	s.mu.Unlock()
	if !known {
		n, err := s.client().HGet(ctx, key, h.message.ID).Int()
		if err != nil && !errors.Is(err, goredis.Nil) {
			return 0, err
		}
		before = n
		s.mu.Lock()
		h.marks, h.marksKnown = n, true
		s.mu.Unlock()
	}
	if err := s.client().HSet(ctx, key, h.message.ID, before+1).Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	h.marks = before + 1
	s.mu.Unlock()
	return before, nil
}

// holdOf is nil for a delivery of somebody else's.
func (s *Subscription) holdOf(d *engine.Delivery) *hold {
	if m, ok := d.Message.(*Message); ok && m.hold != nil && m.hold.sub == s {
		return m.hold
	}
	return nil
}

// Close implements engine.Subscription. It waits for a read that is under way, at most
// Config.Poll when the server answers. When it returns an error the records come back
// when their leases are over, and it may be called again.
func (s *Subscription) Close(ctx context.Context) error {
	s.once.Do(func() { close(s.closed) })
	s.leave.Lock()
	defer s.leave.Unlock()
	if s.left {
		return nil
	}
	if err := s.stop(ctx); err != nil {
		return fault(s.what+": close", err)
	}
	var calls []call
	for i := range s.t.streams {
		calls = append(calls, s.leaveCall(i, s.cfg.Consumer))
	}
	_, err := within(ctx, func() (struct{}, error) {
		return struct{}{}, firstError(s.client().do(ctx, append(calls, s.trims()...)))
	})
	if err != nil && !groupGone(err) {
		return fault(s.what+": close", err)
	}
	s.left = true
	return nil
}

// stop waits for the read that is under way. What it brings is with the consumer in the
// server, and leave gives that back.
func (s *Subscription) stop(ctx context.Context) error {
	s.mu.Lock()
	reading := s.reading
	s.mu.Unlock()
	if reading == nil {
		return nil
	}
	select {
	case <-reading.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading == reading {
		s.ahead = append(s.ahead, reading.holds...)
		s.reading = nil
	}
	return nil
}

// leaveCall gives back what the consumer has of a shard. The members are with the first
// shard; the key of another is only where a cluster wants it.
func (s *Subscription) leaveCall(shard int, member string) call {
	s.mu.Lock()
	defer s.mu.Unlock()
	args := []any{s.cfg.Group, s.me, member}
	for _, h := range s.ahead {
		if h.shard == shard {
			args = append(args, h.message.ID)
		}
	}
	return call{
		script: leaveScript,
		keys:   []string{s.t.streams[shard], s.beside(shard, "returned"), s.beside(shard, "owner"), s.beside(shard, "members")},
		args:   args,
	}
}

func (s *Subscription) members() string { return s.beside(0, "members") }

// trims are the calls that remove what every group has settled.
func (s *Subscription) trims() []call {
	keep := s.t.e.cfg.Keep
	if keep == engine.Forever {
		return nil
	}
	calls := make([]call, len(s.t.streams))
	for i, stream := range s.t.streams {
		calls[i] = call{script: trimScript, keys: []string{stream}, args: []any{keep.Milliseconds()}}
	}
	return calls
}

func firstError(answers []*goredis.Cmd) error {
	for _, a := range answers {
		if a.Err() != nil {
			return a.Err()
		}
	}
	return nil
}
