package troupetest

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Handler is a handler that records every call and does what a script says. A
// call that the script does not mention succeeds. Methods are safe for
// concurrent use, but for those that begin with Want or Await, which belong to
// the test's goroutine.
type Handler[T any] struct {
	t     testing.TB
	mu    sync.Mutex
	rules []rule[T]
	calls []Call[T]
	begun chan struct{} // closed and replaced when a call begins
	hangs chan struct{} // closed and replaced by Release
	over  bool          // the test has ended
}

type rule[T any] struct {
	match func(Call[T]) bool
	do    Action
}

// Call is one call of a [Handler].
type Call[T any] struct {
	topics.Delivery
	Event T
	// Number counts the calls of the handler from 1.
	Number int
	// Running says that the call has not ended.
	Running bool
	// Err is how it ended: what the handler returned, a *supervisor.PanicError
	// or supervisor.ErrGoexit.
	Err error
}

// NewHandler returns a handler whose every call succeeds. When the test ends,
// calls that hang are released; make it after the [Runtime] that it is for, so
// that this comes before the shutdown.
func NewHandler[T any](t testing.TB) *Handler[T] {
	h := &Handler[T]{t: t, begun: make(chan struct{}), hangs: make(chan struct{})}
	t.Cleanup(func() {
		h.mu.Lock()
		h.over = true
		h.mu.Unlock()
		h.Release()
	})
	return h
}

// On makes the nth call do that, counted over all events and attempts from 1.
func (h *Handler[T]) On(n int, do Action) *Handler[T] {
	return h.When(func(c Call[T]) bool { return c.Number == n }, do)
}

// When makes every call do that for which match, which is given the facts of
// the call, returns true: a certain event, a first attempt, a redelivery. Of
// several rules the first that matches counts. A nil match is every call.
func (h *Handler[T]) When(match func(Call[T]) bool, do Action) *Handler[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = append(h.rules, rule[T]{match, do})
	return h
}

// Handle is the handler: subscribe it, or call it from a factory's instance.
func (h *Handler[T]) Handle(ctx context.Context, ev T) (err error) {
	d, _ := topics.DeliveryFrom(ctx)
	call, do, released := h.begin(Call[T]{Delivery: d, Event: ev, Running: true})
	err = supervisor.ErrGoexit // unless what follows returns or panics
	defer func() {
		value := recover()
		if value != nil {
			err = &supervisor.PanicError{Value: value}
		}
		h.mu.Lock()
		h.calls[call].Running, h.calls[call].Err = false, err
		h.mu.Unlock()
		if value != nil {
			panic(value)
		}
	}()
	return do.run(ctx, released)
}

// begin records a call and looks up what it is to do.
func (h *Handler[T]) begin(c Call[T]) (index int, do Action, released <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.Number = len(h.calls) + 1
	h.calls = append(h.calls, c)
	close(h.begun)
	h.begun = make(chan struct{})
	for _, r := range h.rules {
		if r.match == nil || r.match(c) {
			do = r.do
			break
		}
	}
	return len(h.calls) - 1, do, h.hangs
}

// Release lets every call go that hangs at this moment.
func (h *Handler[T]) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hangs == closed {
		return
	}
	close(h.hangs)
	if h.hangs = make(chan struct{}); h.over {
		h.hangs = closed
	}
}

// closed is closed, and belongs to no bubble.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Calls returns all calls so far in the order in which they began.
func (h *Handler[T]) Calls() []Call[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Call[T](nil), h.calls...)
}

// Events returns the events of the calls that have succeeded, in the order in
// which these began.
func (h *Handler[T]) Events() []T {
	events := []T{}
	for _, c := range h.Calls() {
		if !c.Running && c.Err == nil {
			events = append(events, c.Event)
		}
	}
	return events
}

// WantEvents fails the test unless [Handler.Events] are those, in that order. It
// does not wait: see [Runtime.Idle].
func (h *Handler[T]) WantEvents(want ...T) {
	h.t.Helper()
	got := h.Events()
	if len(got) == len(want) && (len(got) == 0 || reflect.DeepEqual(got, want)) {
		return
	}
	var b strings.Builder
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			fmt.Fprintf(&b, "  [%d] missing  %+v\n", i, want[i])
		case i >= len(want):
			fmt.Fprintf(&b, "  [%d] unwanted %+v\n", i, got[i])
		case !reflect.DeepEqual(got[i], want[i]):
			fmt.Fprintf(&b, "  [%d] = %+v, want %+v\n", i, got[i], want[i])
		}
	}
	h.t.Errorf("troupetest: handled %d events, want %d:\n%s", len(got), len(want), b.String())
}

// Await waits until n calls have begun, and ends the test if that takes longer
// than 30 s.
func (h *Handler[T]) Await(n int) {
	h.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		h.mu.Lock()
		have, begun := len(h.calls), h.begun
		h.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-begun:
		case <-timer.C:
			h.t.Fatalf("troupetest: %d calls of the handler within %v, want %d", have, patience, n)
		}
	}
}
