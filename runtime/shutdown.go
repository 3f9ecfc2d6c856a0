package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

// Report says how a shutdown went.
type Report struct {
	// Clean reports whether every delivery had its outcome in time: nothing was
	// left, nothing was lost, nothing still runs.
	Clean bool `json:"clean"`
	// Took is how long it took.
	Took time.Duration `json:"took_ns"`
	// Left names the subscribers that had events left. They became dead letters
	// with reason shutdown.
	Left []Left `json:"left,omitempty"`
	// StillRunning names the subscribers with handlers that did not return.
	// Their goroutines run until they do.
	StillRunning []string `json:"still_running,omitempty"`
	// Lost is how many of the dead letters could not be written before the end.
	Lost uint64 `json:"lost"`
	// Snapshot is the account at the end.
	Snapshot Snapshot `json:"snapshot"`
}

// Left is what a subscriber had not handled or, without a name, what the topic
// was to publish later.
type Left struct {
	Topic      string `json:"topic"`
	Subscriber string `json:"subscriber"`
	Events     uint64 `json:"events"`
}

// Err returns nil for a clean shutdown, else an error that says what was left.
func (r Report) Err() error {
	if r.Clean {
		return nil
	}
	var parts []string
	for _, l := range r.Left {
		who := l.Topic + "/" + l.Subscriber
		if l.Subscriber == "" {
			who = l.Topic + ", scheduled"
		}
		parts = append(parts, fmt.Sprintf("%s: %d events dead-lettered", who, l.Events))
	}
	for _, name := range r.StillRunning {
		parts = append(parts, name+": handler still runs")
	}
	if r.Lost > 0 {
		parts = append(parts, fmt.Sprintf("%d dead letters lost: the store did not take them", r.Lost))
	}
	return fmt.Errorf("%w: %s", ErrUnclean, strings.Join(parts, "; "))
}

// ErrUnclean is what Run returns when events were left.
var ErrUnclean = errors.New("runtime: shutdown was not clean")

// errDeadline is the cause of the contexts that end at the deadline.
var errDeadline = errors.New("runtime: shutdown deadline")

// Shutdown ends the runtime. It
//
//  1. refuses publications from outside, subscriptions and topics ([ErrClosed]),
//     ends recurring publications, and takes back what is scheduled and not due,
//     which becomes dead letters, reason shutdown, unless the topic discards it,
//  2. lets the pipeline flush: handlers may still publish, and no batch waits
//     to be complete,
//  3. stops subscribers in reverse order of subscription,
//  4. when ctx ends, ends the contexts of the handlers that still run, and
//     gives up on those that do not return within Config.CancelGrace,
//  5. makes dead letters, with reason shutdown, of the events that are left:
//     also of those that wait at a subscriber that an operator has paused or
//     that has escalated, which is not waited for,
//  6. stops the dead-letter actor last, when all is written, or ctx has ended
//     and Config.CancelGrace passed: what is not written is dropped, reason
//     dead_letters_unavailable,
//  7. tells the engines of topics what has become of their events. Those that had no
//     outcome by the deadline went back to them, and are no dead letters.
//
// It blocks until then, so for CancelGrace four times beyond ctx at the most.
// The error is nil unless ctx is that of a handler ([ErrWouldDeadlock]): see
// [Report.Clean]. Shutdown is idempotent: further calls wait for the first one
// and return its report, or the cause of their ctx. A publisher that races with
// it gets acceptance, and its event an outcome, or [ErrClosed].
func (rt *Runtime) Shutdown(ctx context.Context) (Report, error) {
	if actors.InHandler(ctx) {
		return Report{}, fmt.Errorf("runtime: shutdown from a handler: %w", ErrWouldDeadlock)
	}
	rt.mu.Lock()
	first := rt.state == StateRunning
	if first {
		rt.state = StateDraining
	}
	rt.mu.Unlock()
	if first {
		rt.shutdown(ctx)
		close(rt.done)
		return rt.report, nil
	}
	select {
	case <-rt.done:
		return rt.report, nil
	case <-ctx.Done():
		return Report{}, context.Cause(ctx)
	}
}

func (rt *Runtime) shutdown(ctx context.Context) {
	began := time.Now()
	rt.attaching.Wait() // subscriptions that came before; no further ones begin
	topics := rt.openTopics()
	for _, t := range topics {
		t.Drain()
	}
	for _, s := range rt.subscriptions() {
		s.cell.Hurry() // what waits for company would wait in vain
	}
	_, _ = rt.settle(ctx, inert) // at the deadline, what is left is counted below

	subs := rt.subscriptions()
	for _, s := range slices.Backward(subs) {
		s.cell.Stop(actors.DeadLetterRest, supervisor.ReasonShutdown)
		select {
		case <-s.cell.Done():
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		rt.force(topics, subs)
	}
	for _, t := range topics {
		t.Close()
	}

	end, cancel := rt.beyond(ctx)
	defer cancel()
	wait(end, subs) // those with many letters wait for room
	_, _ = rt.settle(end, unscheduled)
	rt.letters.flush(end)
	rt.sys.GiveUp() // from here on nobody waits for room
	final, cancelFinal := rt.beyond(end)
	defer cancelFinal()
	left := wait(final, subs)
	_, _ = rt.settle(final, buried)
	rt.letters.close(final)
	last, cancelLast := rt.beyond(final)
	defer cancelLast()
	for _, t := range topics {
		t.Flush(last) // what has its outcome by now
	}
	rt.fleet.leave(last)
	if len(left) == 0 {
		rt.sys.Close()
	}
	rt.finish(began, left)
}

// beyond returns a context that ends CancelGrace after ctx.
func (rt *Runtime) beyond(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	timer := time.AfterFunc(time.Hour, cancel)
	timer.Stop()
	stop := context.AfterFunc(ctx, func() { timer.Reset(rt.cfg.CancelGrace) })
	return later, func() {
		stop()
		timer.Stop()
		cancel()
	}
}

// wait waits until the subscribers have stopped and returns those that had not
// when ctx ended.
func wait(ctx context.Context, subs []*Subscription) (left []*Subscription) {
	for _, s := range subs {
		select {
		case <-s.cell.Done():
		case <-ctx.Done():
			if !s.stopped() {
				left = append(left, s)
			}
		}
	}
	return left
}

// force ends what has not ended by the deadline.
func (rt *Runtime) force(topics []Topic, subs []*Subscription) {
	rt.sys.Interrupt(errDeadline)
	for _, t := range topics {
		t.Close() // lets go of handlers that wait for room, whatever their context
	}
	for _, s := range subs {
		s.cell.Stop(actors.DeadLetterRest, supervisor.ReasonShutdown)
	}
	grace, cancel := context.WithTimeout(context.Background(), rt.cfg.CancelGrace)
	defer cancel()
	for _, s := range wait(grace, subs) {
		s.cell.Abandon()
	}
}

// finish makes the report. Subscribers in left have not come to their end.
func (rt *Runtime) finish(began time.Time, left []*Subscription) {
	snap := rt.Snapshot()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.state, snap.State = StateClosed, StateClosed
	r := Report{Took: time.Since(began), Left: rt.left, Snapshot: snap, Lost: snap.Total.Dropped[actors.ReasonDeadLettersUnavailable]}
	unfinished := make(map[*Subscription]bool, len(left))
	for _, s := range left {
		unfinished[s] = true
	}
	for _, s := range rt.attached() {
		if s.cell.Counts().Zombies > 0 || unfinished[s] {
			r.StillRunning = append(r.StillRunning, s.topic+"/"+s.name)
		}
	}
	for _, t := range snap.Topics {
		if n := t.Scheduled.Left; n > 0 {
			r.Left = append(r.Left, Left{Topic: t.Name, Events: n})
		}
		for _, e := range t.Recurring {
			if e.Running > 0 {
				r.StillRunning = append(r.StillRunning, t.Name+", every "+e.Name)
			}
		}
	}
	r.Clean = len(r.Left) == 0 && len(r.StillRunning) == 0 && r.Lost == 0
	rt.report = r
}

// stopped notes what a subscriber had left.
func (rt *Runtime) stopped(e Event) {
	if IsPattern(e.Topic) {
		rt.mu.Lock()
		rt.stale = append(rt.stale, e.Topic)
		rt.mu.Unlock()
	}
	if e.Reason != supervisor.ReasonShutdown || e.Count == 0 {
		return
	}
	rt.mu.Lock()
	rt.left = append(rt.left, Left{e.Topic, e.Subscriber, e.Count})
	rt.mu.Unlock()
}

func (rt *Runtime) openTopics() []Topic {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	var open []Topic
	for _, t := range rt.topics {
		open = append(open, t.Topic)
	}
	return open
}

func (rt *Runtime) subscriptions() []*Subscription {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.attached()
}

// attached returns the subscribers that are, stopped or not. The caller holds mu.
func (rt *Runtime) attached() []*Subscription {
	return slices.DeleteFunc(slices.Concat(rt.past, rt.subs), func(s *Subscription) bool { return s.cell == nil })
}
