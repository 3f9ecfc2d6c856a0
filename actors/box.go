package actors

import (
	goruntime "runtime"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// The states of a box. Publishers start an idle one; only a signal starts a
// dormant one, so that a suspended actor costs its publishers nothing.
const (
	boxIdle uint32 = iota
	boxDormant
	boxRunning
)

// The bits of a loop's signals. Any of them ends a batch after the event in hand.
const (
	sigSystem  uint32 = 1 << iota // a protoactor-go message waits
	sigControl                    // something in the cell has changed
	sigGone                       // the loop has been abandoned; never cleared
)

// worker is the cell behind a box.
type worker interface {
	// fault returns, once, a failure that the tree has to answer.
	takeFault() *fault
	// runnable reports whether a batch may run, and ready whether there is
	// something in the mailbox. sleep asks to be woken by the next event;
	// sleeps, which anybody may call, reports whether that is still to come.
	runnable() bool
	ready() bool
	sleep()
	sleeps() bool
	// pass leaves what is in the mailbox to others, since this one may not run.
	pass()
	// batch handles events. It does not panic.
	batch()
	signals() *atomic.Uint32
	Interrupt(cause error)
	// unhang follows a zombie's end while the cell waits for one.
	unhang()
	// unstash gives back what the handler has set aside.
	unstash()
	// idled is called after the box has gone idle or dormant.
	idled()
}

// box adapts a cell to protoactor-go: it is the actor's mailbox.
//
// protoactor-go's own traffic waits in queue, under a lock, for it is rare; the
// events wait in the cell's log and do not pass through protoactor-go's context:
// the cell answers for whatever happens in a batch, and what the tree has to
// answer is escalated. Besides its price, that context needs 0.6 KiB of stack, and
// with it a goroutine that has just begun would have to grow its own (BenchmarkWake).
type box struct {
	w          worker
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	runFn      func() // b.run, allocated once

	state atomic.Uint32
	gen   atomic.Uint64 // counts takeovers; a run of an older generation touches nothing

	posted atomic.Bool // something is in what follows
	mu     sync.Mutex
	system []any
	user   []any

	// The running goroutine's.
	suspended bool
	over      bool // protoactor-go's actor has stopped
}

func newBox(w worker) *box {
	b := &box{w: w}
	b.runFn = b.run
	return b
}

// RegisterHandlers, Start, PostUserMessage, PostSystemMessage and
// UserMessageCount make a box an actor.Mailbox.
func (b *box) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	b.invoker, b.dispatcher = invoker, dispatcher
}

func (b *box) Start() {}

func (b *box) PostUserMessage(message any) {
	b.mu.Lock()
	b.user = append(b.user, message)
	b.posted.Store(true)
	b.mu.Unlock()
	b.signal(sigSystem)
}

func (b *box) PostSystemMessage(message any) {
	_, restart := message.(*actor.Restart)
	if restart {
		b.w.Interrupt(errRestarting) // of a sibling that failed, perhaps: the event in hand may come back soon
	}
	b.mu.Lock()
	if n := len(b.system); restart && n > 0 && b.system[n-1] == message {
		b.mu.Unlock()
		return // siblings that fail together, or an impatient operator: one restart will do
	}
	b.system = append(b.system, message)
	b.posted.Store(true)
	b.mu.Unlock()
	b.signal(sigSystem)
}

func (b *box) UserMessageCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.user)
}

// signal ends the batch that runs, or starts a run if none does.
func (b *box) signal(sig uint32) {
	b.w.signals().Or(sig)
	for {
		s := b.state.Load()
		if s == boxRunning {
			return
		}
		if b.state.CompareAndSwap(s, boxRunning) {
			b.dispatcher.Schedule(b.runFn)
			return
		}
	}
}

// wake is called by publishers whose event this box may have missed.
func (b *box) wake() { b.tryWake() }

// tryWake is wake, and reports whether the box was idle.
func (b *box) tryWake() bool {
	if b.state.Load() == boxIdle && b.state.CompareAndSwap(boxIdle, boxRunning) {
		b.dispatcher.Schedule(b.runFn)
		return true
	}
	return false
}

// takeover starts a run in place of one whose goroutine has been given up. gen
// has moved on before, when it was: should it end in between, it must not start
// a run, too.
func (b *box) takeover() { b.dispatcher.Schedule(b.runFn) }

// run drives the actor until there is nothing to do.
func (b *box) run() {
	gen := b.gen.Load()
	returned := false
	defer func() {
		// A handler has ended this goroutine with Goexit. The cell has noted
		// it; the mailbox must go on.
		if !returned && b.gen.Load() == gen {
			b.dispatcher.Schedule(b.runFn)
		}
	}()
	for {
		sig := b.w.signals()
		sig.And(^(sigSystem | sigControl)) // before looking at what they announce
		b.deliver()
		if f := b.w.takeFault(); f != nil {
			b.invoker.EscalateFailure(f.Err, f)
			continue
		}
		runnable := !b.suspended && b.w.runnable()
		if runnable && b.w.ready() {
			b.w.batch()
			// After a full batch others get the processor; after another one,
			// publishers often follow up and a yield is cheaper than a wake-up.
			goruntime.Gosched()
			continue
		}
		rest := boxDormant
		if runnable {
			b.w.sleep() // S1
			if b.w.ready() {
				continue // S2
			}
			rest = boxIdle
		} else {
			b.w.pass()
		}
		b.state.Store(rest)
		b.w.idled()
		// From here on the actor may be another goroutine's, so only atomics
		// are looked at: whoever came before the store found us running. One who
		// posts may have signalled to a loop that has been given up since.
		if sig.Load() == 0 && !b.posted.Load() && (!runnable || b.w.sleeps()) || !b.state.CompareAndSwap(rest, boxRunning) { // S3
			returned = true
			return
		}
	}
}

// deliver hands protoactor-go's messages to its context.
func (b *box) deliver() {
	for b.posted.Load() {
		b.mu.Lock()
		system, user := b.system, b.user
		b.system, b.user = nil, nil
		b.posted.Store(false)
		b.mu.Unlock()
		b.w.pass() // hooks may take their time, and it may have been woken for an event
		for _, m := range system {
			switch m.(type) {
			case *actor.SuspendMailbox:
				b.suspended = true
			case *actor.ResumeMailbox:
				b.suspended = false
			case *actor.Stop:
				b.invoker.InvokeSystemMessage(m)
				b.over = true
			case *actor.Restart:
				// protoactor-go would bring a stopped actor back to life.
				if !b.over {
					b.invoker.InvokeSystemMessage(m)
				}
			default:
				b.invoker.InvokeSystemMessage(m)
			}
		}
		for _, m := range user {
			b.invoker.InvokeUserMessage(m)
		}
	}
}
