package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// actor consumes one mailbox in the manner of package actors: a goroutine while
// there is work, none else, and a position published once for stride events.
type actor[T any] struct {
	cur    *mailbox.Cursor[T]
	r      *mailbox.Reader[T]
	stride int
	handle func(r *mailbox.Reader[T], v T)
	// publish, if set, is called right before the position becomes known.
	publish func(inHand bool)

	state   atomic.Uint32
	signal  atomic.Bool
	leaving atomic.Bool
	taken   atomic.Uint64
	wakes   atomic.Uint64
	ended   chan struct{} // closed once it has left and read everything
}

const (
	actorIdle uint32 = iota
	actorRunning
)

// start subscribes a and lets it run.
func (a *actor[T]) start(log *mailbox.Log[T], cfg mailbox.CursorConfig[T]) error {
	cfg.Wake = a.wake
	a.ended = make(chan struct{})
	// It counts as running, as it must from before the cursor is attached.
	a.state.Store(actorRunning)
	var err error
	if a.cur, a.r, err = log.Subscribe(cfg); err != nil {
		return err
	}
	go a.run()
	return nil
}

func (a *actor[T]) wake() {
	a.wakes.Add(1)
	if a.state.Load() == actorIdle && a.state.CompareAndSwap(actorIdle, actorRunning) {
		go a.run()
	}
}

// leave detaches the actor, which reads what is its own and ends.
func (a *actor[T]) leave() {
	a.cur.Detach()
	a.leaving.Store(true)
	a.signal.Store(true)
	if a.state.CompareAndSwap(actorIdle, actorRunning) {
		go a.run()
	}
}

func (a *actor[T]) run() {
	for {
		a.signal.Store(false)
		a.batch()
		goruntime.Gosched()
		if a.leaving.Load() && a.r.Drained() {
			a.cur.Close()
			close(a.ended)
			return
		}
		if a.ready() {
			continue
		}
		a.sleep() // S1
		if a.ready() {
			continue // S2
		}
		a.state.Store(actorIdle)
		if !a.signal.Load() && a.sleeps() || !a.state.CompareAndSwap(actorIdle, actorRunning) { // S3
			return
		}
	}
}

func (a *actor[T]) sleep() {
	if in := a.cur.Inbox(); in != nil {
		in.Sleep()
		return
	}
	a.cur.Sleep()
}

func (a *actor[T]) sleeps() bool {
	if in := a.cur.Inbox(); in != nil {
		return in.Sleeps()
	}
	return a.cur.Sleeps()
}

func (a *actor[T]) ready() bool {
	return a.r.Ready() || a.leaving.Load() && a.r.Drained()
}

func (a *actor[T]) batch() {
	left := 1
	for range 1024 {
		v, ok := a.r.Next()
		if !ok {
			break
		}
		a.taken.Add(1)
		if left--; left == 0 {
			left = a.stride
			a.show(true)
		}
		a.handle(a.r, v)
	}
	a.show(false)
}

func (a *actor[T]) show(inHand bool) {
	if a.publish != nil {
		a.publish(inHand)
	}
	a.r.Publish(inHand)
	a.r.Settle()
}

func (a *actor[T]) String() string {
	return fmt.Sprintf("state %d leaving %v sleeps %v taken %d len %d wakes %d",
		a.state.Load(), a.leaving.Load(), a.cur.Sleeps(), a.taken.Load(), a.cur.Len(), a.wakes.Load())
}

// watchdog ends the process with the stacks of all goroutines when nothing has
// moved for a minute: the one way in which a lost wake-up shows.
func watchdog(t *testing.T, progress func() uint64, state func() string) {
	t.Helper()
	const patience = time.Minute
	last, name := progress(), t.Name()
	var dog *time.Timer
	dog = time.AfterFunc(patience, func() {
		if now := progress(); now != last {
			last = now
			dog.Reset(patience)
			return
		}
		debug.SetTraceback("all")
		panic(name + " hangs: " + state())
	})
	t.Cleanup(func() { dog.Stop() })
}

var errGaveUp = errors.New("test: gave up")

// impatient ends every wait at once.
func impatient() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errGaveUp)
	return ctx
}

func subscribe[T any](t testing.TB, log *mailbox.Log[T], cfg mailbox.CursorConfig[T]) (*mailbox.Cursor[T], *mailbox.Reader[T]) {
	t.Helper()
	c, r, err := log.Subscribe(cfg)
	if err != nil {
		t.Fatalf("Subscribe(%q) = %v", cfg.Name, err)
	}
	return c, r
}

func publish[T any](t testing.TB, log *mailbox.Log[T], vs ...T) {
	t.Helper()
	for _, v := range vs {
		if err := log.Append(impatient(), v); err != nil {
			t.Fatalf("Append(%v) = %v", v, err)
		}
	}
}

// take returns what waits, up to n events, and makes the position known.
func take[T any](r *mailbox.Reader[T], n int) []T {
	var got []T
	for len(got) < n {
		v, ok := r.Next()
		if !ok {
			break
		}
		got = append(got, v)
	}
	r.Publish(false)
	r.Settle()
	return got
}
