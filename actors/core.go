package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// Ordering says what the events behind a failing one do while it waits for its
// next attempt.
type Ordering uint8

const (
	// Ordered lets nothing overtake: the failing event stays at the head of the
	// line through retries and restarts.
	Ordered Ordering = iota
	// Parked sets the failing event aside and goes on with the next.
	Parked
)

// String returns ordered or parked.
func (o Ordering) String() string {
	if o == Parked {
		return "parked"
	}
	return "ordered"
}

// Config describes an actor. The zero value, with a name, works.
type Config struct {
	// Topic and Name identify the actor to people. Name is required.
	Topic, Name string
	// Policy decides about failures.
	Policy supervisor.Policy
	// Capacity is how many events may wait. Zero is 4096.
	Capacity int
	// Overflow is what happens when so many wait. Zero is Block.
	Overflow mailbox.Overflow
	// Timeout bounds one call of the handler, and with Grace one of a hook;
	// zero does not. A handler that returns nil late has succeeded.
	Timeout time.Duration
	// Grace is how long a handler may take to return after its deadline before
	// it is abandoned. Zero is 5 s.
	Grace time.Duration
	// MaxZombies is how many abandoned handlers may still be running before
	// the actor waits for one of them instead of abandoning another. Zero is 2.
	MaxZombies int
	// Ordering is what retries do to the order of events. Zero is Ordered.
	Ordering Ordering
	// Rehearsal allows redeliveries that are rehearsals.
	Rehearsal bool
	// MaxParked is how many events may wait aside under Parked; beyond it the
	// actor waits like Ordered. Zero is 1024.
	MaxParked int
	// Group supervises the actor. Nil is the root.
	Group *Group
	// Own is what an actor made by [Spawn] can do beside handling messages.
	Own *OwnConfig
}

// The defaults of Config.
const (
	DefaultCapacity   = 4096
	DefaultGrace      = 5 * time.Second
	DefaultMaxZombies = 2
	DefaultMaxParked  = 1024
	maxCapacity       = 1 << 30
)

func (c Config) withDefaults() Config {
	c.Policy = c.Policy.WithDefaults()
	if c.Capacity == 0 {
		c.Capacity = DefaultCapacity
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.MaxZombies == 0 {
		c.MaxZombies = DefaultMaxZombies
	}
	if c.MaxParked == 0 {
		c.MaxParked = DefaultMaxParked
	}
	if c.Own != nil {
		own := c.Own.withDefaults()
		c.Own = &own
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		fault("Name \"\": must not be empty")
	}
	if c.Capacity < 1 || c.Capacity > maxCapacity {
		fault("Capacity %d: must be between 1 and %d, or 0 for %d", c.Capacity, maxCapacity, DefaultCapacity)
	}
	if !c.Overflow.Valid() {
		fault("Overflow %v: is not a policy", c.Overflow)
	}
	if c.Timeout < 0 {
		fault("Timeout %v: must not be negative", c.Timeout)
	}
	if c.Grace < 0 {
		fault("Grace %v: must not be negative", c.Grace)
	}
	if c.MaxZombies < 0 {
		fault("MaxZombies %d: must not be negative", c.MaxZombies)
	}
	if c.MaxParked < 0 {
		fault("MaxParked %d: must not be negative", c.MaxParked)
	}
	if c.Ordering > Parked {
		fault("Ordering %d: must be Ordered or Parked", c.Ordering)
	}
	return errors.Join(append(faults, c.Policy.Validate(), c.Own.validate())...)
}

// State says what an actor is doing, or why it is not.
type State string

// The states of an actor.
const (
	StateStarting    State = "starting"
	StateIdle        State = "idle"
	StateRunning     State = "running"
	StateRetryWait   State = "retry_wait"        // the event at the head waits for its next attempt
	StateRestarting  State = "restarting"        // the instance is being replaced
	StateBackoff     State = "backoff"           // waits before a restart
	StatePaused      State = "paused"            // by an operator
	StateCooldown    State = "cooldown"          // paused for restarting too often
	StateEscalated   State = "escalated"         // nobody above could help; waits for Resume
	StateHung        State = "hung"              // the handler does not return and cannot be abandoned
	StateLettersFull State = "dead_letters_full" // waits for room for a dead letter
	StatePassive     State = "passive"           // without an instance until the next message
	StateDraining    State = "draining"
	StateStopped     State = "stopped"
)

// Rest says what becomes of the events that still wait when an actor is stopped.
type Rest uint8

const (
	// Drain handles them first.
	Drain Rest = iota
	// DeadLetterRest makes them dead letters.
	DeadLetterRest
	// Discard drops and counts them.
	Discard
)

// String returns drain, dead_letter or discard.
func (r Rest) String() string { return [...]string{"drain", "dead_letter", "discard"}[r%3] }

// errRestarting ends the context of an instance that is being replaced. The
// event in hand is not charged for an error that follows.
var errRestarting = errors.New("actors: the actor is being restarted")

// fault is a failure that the tree answers: it travels as the message of
// protoactor-go's Failure.
type fault struct {
	supervisor.Failure
	directive supervisor.Directive
	delay     time.Duration // the least that a restart waits
	who       *core
}

// core is the part of a cell that does not depend on the type of its events.
type core struct {
	sys       *System
	cfg       Config
	pool      pool    // nil unless it shares its mailbox with others
	member    string  // tells it from these
	traits    *Traits // without workers; nil if there is nothing to say
	box       *box
	pid       *actor.PID
	node      *node
	instances int // how many have been made; the running goroutine's
	finished  chan struct{}
	timer     *time.Timer // next attempt; the running goroutine's
	detach    func()
	alone     func() bool     // whether the pool has no guests; of its host, else nil
	self      *self           // of an actor made by Spawn, else nil
	labels    context.Context // of profiles, nil if none are wanted

	sig    atomic.Pointer[atomic.Uint32] // of the loop that runs or runs next
	paused atomic.Bool
	// leaving is set for a consumer that takes nothing more out of its pool's mailbox.
	leaving atomic.Bool
	asked   atomic.Bool   // for a Restart, which the group has not seen yet
	rest    atomic.Uint32 // of Rest, once stopping
	hurry   atomic.Bool   // batches wait for no company any more
	guest   bool          // may leave its pool without ending it; beside the others, for its room

	ledger                   // its mu guards what follows, too
	turn       uint64        // counts flushes, so that a late guard knows its call is over
	since      time.Duration // when the last flush was, on the clock of epoch
	settling   bool          // the handler has returned and its event is being settled
	condition  State         // backoff, cooldown, escalated, hung, or ""
	ending     bool          // draining or stopping
	stopReason string
	pending    *fault
	cancel     context.CancelCauseFunc // ends the instance's context
	giveUpHook context.CancelFunc      // ends waiting for the hook that runs
	freed      chan struct{}           // closed when a zombie ends, for a hook that waits to become one
	full       bool                    // waits for room in the sink
	abandon    bool                    // Abandon has been called
	after      []func()                // to call when finished is closed
	oldestSeq  uint64                  // of the event that Oldest has looked at last
	oldestAt   time.Time               // when that was published, by the earliest answer
}

// name returns how people refer to the actor.
func (c *core) name() string {
	if c.cfg.Topic == "" || c.cfg.Topic == c.cfg.Name { // told directly
		return c.cfg.Name
	}
	return c.cfg.Topic + "/" + c.cfg.Name
}

func (c *core) event() Event { return Event{Topic: c.cfg.Topic, Subscriber: c.cfg.Name} }

func (c *core) signals() *atomic.Uint32 { return c.sig.Load() }

func (c *core) idled() { c.sys.poke() }

// nudge makes the cell look at what has changed.
func (c *core) nudge() { c.box.signal(sigControl) }

func (c *core) takeFault() *fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.pending
	c.pending = nil
	return f
}

// Pause keeps the actor from taking another event, until Resume. The one in
// hand is finished. It does not block and is idempotent.
func (c *core) Pause() {
	if c.paused.Swap(true) {
		return
	}
	c.mu.Lock()
	c.pauses++
	c.mu.Unlock()
	c.nudge()
	if c.sys.obs.Paused != nil {
		e := c.event()
		e.Reason = ReasonOperator
		Notify(c.sys.obs.Paused, e)
	}
}

// Resume ends a pause, whoever made it: an actor that cools down after too
// many restarts or that has escalated is restarted at once.
func (c *core) Resume() {
	was := c.paused.Swap(false)
	c.mu.Lock()
	down := c.condition == StateCooldown || c.condition == StateEscalated || c.condition == StateBackoff
	c.mu.Unlock()
	if down {
		c.tellResumed()
		c.sys.send(c.cfg.Group.pid, &resumeChild{c.node})
		return
	}
	if was {
		c.tellResumed() // before what it does then
	}
	c.nudge()
}

func (c *core) tellResumed() {
	if c.sys.obs.Resumed != nil {
		Notify(c.sys.obs.Resumed, c.event())
	}
}

// Restart replaces the instance, and those of the siblings that the group's
// strategy adds, as after a failure that concerned no event: it counts against
// no limit. The context of a handler that runs ends. What it then makes of the
// event in hand holds if it succeeds; if it returns an error the event goes
// back to the head of the line, uncharged. Restart does not block; the new
// instance waits for the handler to return.
//
// Calls that come before the restart has begun are one.
func (c *core) Restart() {
	if !c.asked.Swap(true) {
		c.sys.send(c.cfg.Group.pid, &resumeChild{c.node})
	}
}

// Stop ends the actor. Events published from now on are not its any more;
// those that wait go the way of rest, reason saying why. It does not block;
// see Done.
func (c *core) Stop(rest Rest, reason string) {
	c.detach()
	c.mu.Lock()
	if !c.ending || Rest(c.rest.Load()) == Drain {
		c.rest.Store(uint32(rest))
		c.stopReason = reason
		if c.self != nil {
			c.self.childRest = rest
		}
	}
	c.ending = true
	over := c.condition == StateStopped
	c.mu.Unlock()
	switch {
	case over:
	case rest == Drain:
		c.nudge()
	default:
		c.sys.as.Root.Stop(c.pid)
	}
}

// Done is closed when the actor has stopped and every event of its mailbox has
// its outcome, or is with the sink.
func (c *core) Done() <-chan struct{} { return c.finished }

// Handles reports whether ctx is that of a handler or hook of this actor, which
// must not wait for the actor's end.
func (c *core) Handles(ctx context.Context) bool { return callerOf(ctx) == c }

// Interrupt ends the context of the instance, and with it that of the handler
// that runs. The instance gets no further event: a Restart or Stop must follow.
func (c *core) Interrupt(cause error) {
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// handlerFailed reports an attempt to the observer.
func (c *core) handlerFailed(seq uint64, f supervisor.Failure, d supervisor.Decision) {
	c.tellFault(d.Fault)
	o := &c.sys.obs
	if o.Failed == nil && o.Retrying == nil || d.Fate == supervisor.FateDone {
		return
	}
	e := c.event()
	e.Sequence, e.Attempt, e.Cause, e.Err, e.Reason = seq, f.Attempt, f.Cause, f.Err, d.Reason
	if !d.Uncharged {
		Notify(o.Failed, e)
	}
	if d.Fate == supervisor.FateRetry {
		e.Delay = d.Delay
		Notify(o.Retrying, e)
	}
}

// errDeciderGoexit is the fault of a decider that ended its goroutine.
var errDeciderGoexit = fmt.Errorf("actors: decider: %w", supervisor.ErrGoexit)

// decide asks the policy. A decider of the user's gets a goroutine of its own,
// because a Goexit in it could not be survived on this one.
func (c *core) decide(f supervisor.Failure, p supervisor.Policy) supervisor.Decision {
	rnd := rand.Float64()
	if p.Decide == nil {
		return p.Decision(f, rnd)
	}
	result := make(chan *supervisor.Decision, 1)
	go func() {
		var decided *supervisor.Decision
		defer func() { result <- decided }()
		d := p.Decision(f, rnd)
		decided = &d
	}()
	if d := <-result; d != nil {
		return *d
	}
	p.Decide = nil
	d := p.Decision(f, rnd)
	d.Fault = errDeciderGoexit
	return d
}
