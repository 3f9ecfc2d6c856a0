package actors

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// MaxWorkers bounds [CellConfig].Workers.
const MaxWorkers = 4096

// Pool is several cells that share a mailbox: workers of one subscriber. Each has
// an instance of its own, and its own place under supervision; each event is
// handled by one of them. Methods are safe for concurrent use.
//
// A failing event waits aside at the worker that had it, which goes on with
// others. If the mailbox is keyed, nothing of its key is handled meanwhile.
type Pool[T any] struct {
	sys  *System
	cfg  Config
	in   *mailbox.Inbox[T]
	team atomic.Pointer[[]*Cell[T]] // workers that may be woken
	open atomic.Int32               // workers that have not closed the mailbox
	done chan struct{}

	mu     sync.Mutex
	ending bool
	after  []func() // to call once done is closed

	// Those of a group come and go. Locked within the inbox, and nothing in it but
	// a cell.
	roster  sync.Mutex
	workers []*Cell[T] // replaced, never written to
	former  Counts     // of those that are not in workers any more
	took    uint64     // by these
}

// pool is what a core knows of its [Pool].
type pool interface {
	Stop(rest Rest, reason string)
	cores() []*core
	Name() (topic, name string)
}

// SpawnPool starts cfg.Workers actors, one if it is zero, that share one mailbox.
// Otherwise it is SpawnCell. feed gives the mailbox its logs, by mailbox.Feed,
// before the actors run; others may follow at any time. cfg.MaxParked is for all
// workers together.
func SpawnPool[T any](sys *System, cfg CellConfig[T], feed func(*mailbox.Inbox[T]) error) (*Pool[T], error) {
	if cfg.Workers == 0 {
		cfg.Workers = 1
	}
	if cfg.Workers > 1 || cfg.Keyed {
		cfg.Ordering = Parked
	}
	cfg, err := cfg.complete(sys)
	if err != nil {
		return nil, err
	}
	if cfg.Workers < 1 || cfg.Workers > MaxWorkers {
		return nil, fmt.Errorf("Workers %d: must be between 1 and %d", cfg.Workers, MaxWorkers)
	}
	p := newPool[T](sys, cfg.Config)
	each := cfg
	each.MaxParked = max(1, cfg.MaxParked/cfg.Workers)
	for i := range cfg.Workers {
		c := newCell(sys, each)
		c.pool, c.detach = p, func() { p.in.Detach() }
		if i > 0 {
			c.member = fmt.Sprintf("#%d", i+1)
		}
		p.workers = append(p.workers, c)
	}
	p.furnish(p.workers[0], cfg, cfg.Workers > 1)
	p.open.Store(int32(len(p.workers)))
	for i, c := range p.workers { // nobody else writes to them before they are there
		err := cfg.Group.spawn(&c.core, cellActor[T]{c}, func() error {
			if i == 0 { // the name is ours
				if err := p.feed(feed); err != nil {
					return err
				}
			}
			p.seat(c)
			return nil
		})
		if err != nil {
			p.Stop(DeadLetterRest, supervisor.ReasonStopped)
			if p.open.Add(int32(i-len(p.workers))) == 0 {
				p.in.Close() // those that were there have left already
			}
			return nil, err
		}
		team := p.workers[:i+1]
		p.team.Store(&team)
	}
	p.mu.Lock()
	ended := p.ending
	p.mu.Unlock()
	if ended { // by one that was there already
		p.Stop(DeadLetterRest, supervisor.ReasonStopped)
	}
	p.wakeAll() // for what came before all were there
	return p, nil
}

func newPool[T any](sys *System, cfg Config) *Pool[T] {
	p := &Pool[T]{sys: sys, cfg: cfg, done: make(chan struct{}), former: Counts{Dropped: map[string]uint64{}}}
	p.team.Store(new([]*Cell[T]))
	return p
}

// furnish makes the mailbox, in the name of first.
func (p *Pool[T]) furnish(first *Cell[T], cfg CellConfig[T], shared bool) {
	mail := first.mail(cfg)
	mail.Shared = shared
	mail.Wake, mail.WakeAll, mail.Owner = p.wake, p.wakeAll, pool(p)
	p.in = mailbox.NewInbox(mail)
}

// feed gives the mailbox its logs.
func (p *Pool[T]) feed(feed func(*mailbox.Inbox[T]) error) error {
	err := feed(p.in)
	if err != nil {
		p.in.Detach() // from those that it has by now
		p.in.Close()
	}
	return err
}

// seat gives c its way into the mailbox.
func (p *Pool[T]) seat(c *Cell[T]) {
	c.source, c.inbox = share[T]{p.in, p}, p.in
	c.begin(p.in.Reader())
}

// share is a worker's part in the inbox.
type share[T any] struct {
	*mailbox.Inbox[T]
	p *Pool[T]
}

// Close closes the inbox after the last one.
func (s share[T]) Close() {
	switch s.p.open.Add(-1) {
	case 1:
		if host := s.p.host(); host != nil {
			host.nudge() // it may be what the host's end waits for
		}
	case 0:
		s.Inbox.Close()
		close(s.p.done)
		s.p.mu.Lock()
		after := s.p.after
		s.p.after = nil
		s.p.mu.Unlock()
		for _, f := range after {
			f()
		}
	}
}

// wake wakes a worker that is idle.
func (p *Pool[T]) wake() {
	for _, c := range p.awake() {
		if c.box.tryWake() {
			return
		}
	}
}

func (p *Pool[T]) wakeAll() {
	for _, c := range p.awake() {
		c.nudge()
	}
}

// awake returns the workers that are there.
func (p *Pool[T]) awake() []*Cell[T] { return *p.team.Load() }

// all returns the workers, those that are about to start or have stopped included.
func (p *Pool[T]) all() []*Cell[T] {
	p.roster.Lock()
	defer p.roster.Unlock()
	return p.workers
}

// Name returns the topic and the name of the pool.
func (p *Pool[T]) Name() (topic, name string) { return p.cfg.Topic, p.cfg.Name }

func (p *Pool[T]) cores() []*core {
	workers := p.all()
	if team := p.awake(); workers[0].alone != nil && len(team) > 0 {
		workers = team // else the host: there is nobody who is stuck
	}
	cores := make([]*core, len(workers))
	for i, c := range workers {
		cores[i] = &c.core
	}
	return cores
}

// Stop ends the pool; see the method of Cell.
func (p *Pool[T]) Stop(rest Rest, reason string) {
	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	for _, c := range p.stopping() {
		c.Stop(rest, reason)
	}
}

// stopping returns the workers that a Stop is for: those that are there, and the
// host of a group.
func (p *Pool[T]) stopping() []*Cell[T] {
	if p.host() != nil {
		return p.all()
	}
	return p.awake()
}

// Done is closed when all workers have stopped and every event of the mailbox has
// its outcome, or is with the sink.
func (p *Pool[T]) Done() <-chan struct{} { return p.done }

// AfterDone has f called once Done is closed; see the method of Cell.
func (p *Pool[T]) AfterDone(f func()) {
	p.mu.Lock()
	select {
	case <-p.done:
		p.mu.Unlock()
		f()
		return
	default:
	}
	p.after = append(p.after, f)
	p.mu.Unlock()
}

// Interrupt ends the contexts of all workers; see the method of Cell.
func (p *Pool[T]) Interrupt(cause error) {
	for _, c := range p.all() {
		c.Interrupt(cause)
	}
}

// Pause keeps every worker from taking another event; see the method of Cell. Who
// joins a group that is paused begins paused.
func (p *Pool[T]) Pause() {
	p.all()[0].Pause() // the host, so that who joins now either sees it or is seen
	for _, c := range p.all() {
		c.Pause()
	}
}

// Resume ends a pause of every worker.
func (p *Pool[T]) Resume() {
	p.all()[0].Resume()
	for _, c := range p.all() {
		c.Resume()
	}
}

// Restart replaces every worker's instance.
func (p *Pool[T]) Restart() {
	for _, c := range p.members() {
		c.Restart()
	}
}

// Abandon gives up the handlers that run; see the method of Cell.
func (p *Pool[T]) Abandon() bool {
	ran := false
	for _, c := range p.all() {
		ran = c.Abandon() || ran
	}
	return ran
}

// Handles reports whether ctx is that of a handler or hook of a worker.
func (p *Pool[T]) Handles(ctx context.Context) bool {
	return slices.ContainsFunc(p.all(), func(c *Cell[T]) bool { return c.Handles(ctx) })
}

// Config returns the configuration in force, MaxParked for all workers together.
func (p *Pool[T]) Config() Config { return p.cfg }

// Oldest returns how long the event that has waited longest has; see the method of
// Cell.
func (p *Pool[T]) Oldest() time.Duration {
	_, at := p.in.Oldest()
	if at.IsZero() {
		return 0
	}
	return max(0, time.Since(at))
}

// Capacity returns how many events may wait; 0 means without bound.
func (p *Pool[T]) Capacity() int { return p.in.Capacity() }

// Overflow returns the mailbox's policy.
func (p *Pool[T]) Overflow() mailbox.Overflow { return p.cfg.Overflow }

// severity orders the states of workers: that of the pool is the one that a person
// would want to know of.
var severity = []State{
	StateEscalated, StateHung, StateCooldown, StatePaused, StateLettersFull, StateBackoff, StateRestarting,
	StateRunning, StateStarting, StateRetryWait, StateDraining, StateIdle, StateStopped,
}

// State returns the worst of the workers' states. A group without members is vacant,
// unless it is paused or ends.
func (p *Pool[T]) State() State {
	worst := len(severity) - 1
	for _, c := range p.members() {
		worst = min(worst, slices.Index(severity, c.State()))
	}
	if host := p.host(); host != nil && severity[worst] == StateStopped {
		if s := host.State(); s == StatePaused || s == StateDraining || s == StateStopped {
			return s
		}
		return StateVacant
	}
	return severity[worst]
}

// Since returns for how long the event that has been in hand for longest has.
func (p *Pool[T]) Since() time.Duration {
	var longest time.Duration
	for _, c := range p.all() {
		longest = max(longest, c.Since())
	}
	return longest
}

// Counts returns the pool's account. It is consistent in itself at any moment.
func (p *Pool[T]) Counts() Counts {
	n := Counts{Dropped: map[string]uint64{}}
	p.in.Inspect(func(d mailbox.Drops) {
		p.roster.Lock()
		defer p.roster.Unlock()
		taken := p.took
		n.Add(p.former)
		for _, c := range p.workers {
			c.mu.Lock()
			n.Add(c.counts())
			taken += c.saved.Taken()
			c.mu.Unlock()
		}
		n.received(d, taken)
	})
	return n
}

// RedeliveryRoom returns how many redeliveries Redeliver takes at this moment.
func (p *Pool[T]) RedeliveryRoom() int { return max(0, p.cfg.Capacity-p.in.Injected()) }

// Redeliver gives a dead letter's event back; see the method of Cell. It is handled
// by any worker, in its turn if the mailbox is keyed.
func (p *Pool[T]) Redeliver(ev T, seq uint64, publishedAt time.Time, headers map[string]string, r *Redelivery) error {
	return p.RedeliverOf("", ev, seq, publishedAt, headers, r)
}

// RedeliverOf is Redeliver for an event of one of several topics.
func (p *Pool[T]) RedeliverOf(topic string, ev T, seq uint64, publishedAt time.Time, headers map[string]string, r *Redelivery) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return ErrStopped
	}
	if p.in.Injected() >= p.cfg.Capacity {
		return &mailbox.FullError{Mailbox: p.all()[0].name(), Capacity: p.cfg.Capacity}
	}
	meta := &mailbox.Meta{Headers: headers, ID: cmp.Or(r.EventID, r.LetterID)}
	p.in.Inject(mailbox.Item[T]{Event: ev, Topic: topic, Seq: seq, PublishedAt: publishedAt, Meta: meta, Injected: r})
	return nil
}
