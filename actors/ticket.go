package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/mailbox"
)

// ErrNotInHandler is returned by [Reply] for a context that is not a handler's.
var ErrNotInHandler = errors.New("actors: not in a handler")

// Ticket is how one publisher waits for what becomes of one event. It travels
// beside the event; each actor that the event was accepted for says on it, once,
// how the event has ended there.
//
//	t := actors.NewTicket(sys)
//	defer t.Close()
//	err := actors.Send(ctx, t, log, ev, nil)
//	err = t.Wait(ctx)
//	outcomes := t.Outcomes()
//
// A ticket is for one Send; it, Wait and Close belong to one goroutine. Between Close
// and the event's end nothing of what becomes of it is kept.
type Ticket struct {
	guard   *Guard
	accepts func(v any) error // nil: who waits asks nothing
	notice  Notice            // instead of all that follows
	first   bool              // one reply is enough

	mu       sync.Mutex
	awaited  map[recipient]any // the owners of those whose outcome is still to come
	sent     bool              // awaited is complete
	outcomes []Outcome
	replies  []*reply // of calls that have not ended: few at a time
	ended    bool
	closed   bool
	done     chan struct{} // closed when ended
	wait     *guardWait    // of a handler that waits
}

// recipient tells actors of one log apart.
type recipient struct{ topic, name string }

// reply is what a handler has replied in one attempt.
type reply struct {
	by      recipient
	attempt int
	v       any
	err     error // it is of no use
}

// NewTicket returns a ticket that ends when every actor has told its outcome. A
// dead letter is told when it is in the store, or dropped by it.
func NewTicket(sys *System) *Ticket {
	return &Ticket{guard: sys.guard, done: make(chan struct{})}
}

// NewRequest returns a ticket that takes replies, see [Reply], if accepts says so;
// else its error goes to both sides. With first it ends with the first reply. An
// event that no attempt could handle is told at once, not when it is in the store.
func NewRequest(sys *System, first bool, accepts func(reply any) error) *Ticket {
	t := NewTicket(sys)
	t.first, t.accepts = first, accepts
	return t
}

// Notice is told how one event has ended, instead of somebody who waits for it. Its
// sender keeps the event beyond the actor: what the actor leaves when it stops is
// dropped, reason [ReasonReturned], and not a dead letter.
type Notice interface {
	// Told is told each outcome, once. It must neither block nor call anybody:
	// mailboxes are locked.
	Told(o Outcome)
	// Source is what [Delivery.Source] returns.
	Source() any
}

// NewNotice returns a ticket for n. It needs no Close.
func NewNotice(n Notice) *Ticket { return &Ticket{notice: n} }

// kept reports whether the sender keeps the event.
func (t *Ticket) kept() bool { return t != nil && t.notice != nil }

// Send publishes ev, with m, which may be nil and must not be used again, to the
// actors that read log. Errors are those of the log, and [ErrWouldDeadlock] if ctx
// is that of a handler that the outcome depends on: then nothing is published.
func Send[T any](ctx context.Context, t *Ticket, log *mailbox.Log[T], ev T, m *mailbox.Meta) error {
	if who := callerOf(ctx); who != nil {
		t.expect(log.Owners(), false)
		wait := &guardWait{g: t.guard, who: who, full: t.owners}
		if err := wait.enter(); err != nil {
			return err
		}
		t.wait = wait
	}
	owners, err := log.AppendTicket(ctx, ev, m, t)
	if err != nil {
		return err
	}
	t.expect(owners, true)
	return nil
}

// Wait waits until the ticket ends. Errors: the cause of ctx; [ErrWouldDeadlock]
// if by now the outcome depends on the handler that ctx is of.
func (t *Ticket) Wait(ctx context.Context) error {
	if t.wait != nil { // whom it waits for may be others than it seemed before
		if err := t.wait.circle(); err != nil {
			return err
		}
	}
	select {
	case <-t.done:
		return nil
	default:
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Outcomes returns what is known, in the order in which it came.
func (t *Ticket) Outcomes() []Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.outcomes)
}

// Busy returns the names of the actors whose outcome is still to come, sorted.
func (t *Ticket) Busy() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for who := range t.awaited {
		names = append(names, who.name)
	}
	slices.Sort(names)
	return names
}

// Close says that nobody waits any more: what is told from now on is dropped.
func (t *Ticket) Close() {
	if t.wait != nil {
		t.wait.Done()
	}
	t.mu.Lock()
	t.closed = true
	t.awaited, t.outcomes, t.replies = nil, nil, nil
	t.mu.Unlock()
}

// owners returns whom the ticket waits for, for the guard: nobody once it has
// ended, also if who waits has not noticed yet.
func (t *Ticket) owners() []any {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	owners := make([]any, 0, len(t.awaited))
	for _, o := range t.awaited {
		owners = append(owners, o)
	}
	return owners
}

// expect says whose outcomes are to come: those of owners that have not been told
// already. Before the event is sent it is a guess.
func (t *Ticket) expect(owners []any, sent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = sent
	t.awaited = make(map[recipient]any, len(owners))
	for _, o := range owners {
		if named, ok := o.(interface{ Name() (topic, name string) }); ok {
			topic, name := named.Name()
			t.awaited[recipient{topic, name}] = o
		}
	}
	for _, o := range t.outcomes {
		delete(t.awaited, recipient{o.Topic, o.Subscriber})
	}
	t.look()
}

// tell notes an outcome. It neither blocks nor calls anybody: mailboxes are locked.
func (t *Ticket) tell(o Outcome) {
	if t.notice != nil {
		t.notice.Told(o)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	who := recipient{o.Topic, o.Subscriber}
	// That of an attempt that failed, or was given up, does not count.
	if r := t.forget(who); r != nil && o.Kind == OutcomeDone && r.attempt == o.Attempts {
		if o.Err = r.err; o.Err == nil {
			o.reply = r
		}
	}
	t.outcomes = append(t.outcomes, o)
	delete(t.awaited, who)
	if t.first && o.reply != nil {
		t.end()
		return
	}
	t.look()
}

// look ends the ticket if nothing is to come. The caller holds mu.
func (t *Ticket) look() {
	if t.sent && len(t.awaited) == 0 {
		t.end()
	}
}

func (t *Ticket) end() {
	if !t.ended {
		t.ended = true
		close(t.done)
	}
}

// early reports whether a dead letter is told before it is in the store.
func (t *Ticket) early() bool { return t != nil && t.accepts != nil }

// retract forgets what was replied in an attempt that will be repeated.
func (t *Ticket) retract(c *core) {
	if t != nil {
		t.mu.Lock()
		t.forget(recipient{c.cfg.Topic, c.cfg.Name})
		t.mu.Unlock()
	}
}

// Reply answers the event that the handler of ctx has in hand. It counts when the
// handler has succeeded: what an attempt replied that then fails is forgotten. Of
// several calls in one attempt the first counts. If nobody asked, or nobody waits
// any more, Reply does nothing and returns nil, since the handler's work is the
// same then.
//
// Errors: [ErrNotInHandler]; what the one who asks has against v.
func Reply(ctx context.Context, v any) error {
	d, ok := ctx.Value(deliveryKey{}).(*deliveryCtx)
	if !ok || d.facts == nil {
		return fmt.Errorf("%w: reply with the context that the handler was called with", ErrNotInHandler)
	}
	f := d.facts()
	if f.ticket == nil || f.ticket.accepts == nil {
		return nil
	}
	r := &reply{by: recipient{d.core.cfg.Topic, d.core.cfg.Name}, attempt: f.Attempt, v: v, err: f.ticket.accepts(v)}
	if r.err != nil {
		r.v = nil
	}
	return f.ticket.note(r)
}

// note keeps r until its call has ended.
func (t *Ticket) note(r *reply) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.closed {
		return nil
	}
	// An abandoned handler may reply while a later attempt runs.
	counts := r
	if was := t.forget(r.by); was != nil && was.attempt >= r.attempt {
		counts = was
	}
	t.replies = append(t.replies, counts)
	return r.err
}

// forget takes back what an actor has replied, nil if nothing. The caller holds mu.
func (t *Ticket) forget(who recipient) *reply {
	for i, r := range t.replies {
		if r.by == who {
			t.replies = slices.Delete(t.replies, i, i+1)
			return r
		}
	}
	return nil
}

// ticketOf returns what a mailbox has carried as a ticket.
func ticketOf(carried any) *Ticket {
	t, _ := carried.(*Ticket)
	return t
}
