package actors_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
)

func TestPublishingIntoTheOwnFullMailboxWouldDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var errs tape[error]
		var s *subject
		s = w.handler(actors.Config{Capacity: 2}, func(ctx context.Context, ev int) error {
			if ev == 0 {
				for range 3 {
					errs.add(s.log.Append(ctx, 1))
				}
			}
			return nil
		})
		start := time.Now()
		s.publish(0)
		s.wantCounts(actors.Counts{Deliveries: 3, Done: 3})
		for i, err := range errs.all() {
			if i < 2 {
				wantErr(t, "Append with room", err, nil)
			} else {
				wantErr(t, "Append without", err, actors.ErrWouldDeadlock)
			}
		}
		if errs.len() != 3 || time.Since(start) != 0 {
			t.Errorf("%d publications in %v", errs.len(), time.Since(start))
		}
	})
}

// pair are two actors that forward to each other, as often as the event says.
func pair(w *world, found chan<- error) (a, b *subject) {
	forward := func(to **subject) func(context.Context, int) error {
		return func(ctx context.Context, ev int) error {
			for range ev {
				if err := (*to).log.Append(ctx, 0); err != nil {
					found <- err
					return nil
				}
			}
			return nil
		}
	}
	a = w.handler(actors.Config{Name: "a", Capacity: 1}, forward(&b))
	b = w.handler(actors.Config{Name: "b", Capacity: 1}, forward(&a))
	return a, b
}

func TestCircleOfFullMailboxesWouldDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		found := make(chan error, 2)
		a, b := pair(w, found)
		a.Pause()
		b.Pause()
		a.publish(5)
		b.publish(5)
		start := time.Now()
		a.Resume()
		b.Resume()
		wantErr(t, "Append", <-found, actors.ErrWouldDeadlock)
		if d := time.Since(start); d > time.Second {
			t.Errorf("found after %v, want a second at most", d)
		}
		time.Sleep(time.Minute)
		for _, s := range []*subject{a, b} {
			s.wantState(actors.StateIdle)
		}
	})
}

// a waits for b, whose mailbox is full while it works. Later b waits for a: it
// closes the circle.
func TestCircleClosedByTheSecondWaiterIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		found := make(chan error, 1)
		var a, b *subject
		a = w.handler(actors.Config{Name: "a", Capacity: 1}, func(ctx context.Context, ev int) error {
			if ev == 0 {
				return nil
			}
			return b.log.Append(ctx, 0)
		})
		b = w.handler(actors.Config{Name: "b", Capacity: 1}, func(ctx context.Context, ev int) error {
			if ev == 0 {
				return nil
			}
			time.Sleep(10*time.Second + time.Second/2)
			found <- a.log.Append(ctx, 0)
			return nil
		})
		b.publish(1)
		synctest.Wait()
		b.publish(0)
		a.publish(1)
		synctest.Wait()
		a.publish(0) // now both are full, and a waits for b
		start := time.Now()
		wantErr(t, "Append", <-found, actors.ErrWouldDeadlock)
		if d := time.Since(start); d > 11500*time.Millisecond {
			t.Errorf("found after %v, want a second after 10.5 s at most", d)
		}
	})
}

// The circle comes about without anybody beginning to wait: b waits for c, and
// what it waits for turns into a when c has room and a has none.
func TestCircleThatComesAboutLaterIsFoundWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		found := make(chan error, 2)
		both := w.log() // read by a and c
		var b *subject
		a := w.cellOn(both, actors.CellConfig[int]{
			Config: actors.Config{Name: "a", Capacity: 2},
			Receive: func(ctx context.Context, ev int) error {
				if ev == 0 {
					return nil
				}
				if err := b.log.Append(ctx, 0); err != nil {
					found <- err
				}
				return nil
			},
		})
		c := w.cellOn(both, actors.CellConfig[int]{
			Config:  actors.Config{Name: "c", Capacity: 1},
			Receive: func(context.Context, int) error { return nil },
		})
		b = w.handler(actors.Config{Name: "b", Capacity: 1}, func(ctx context.Context, ev int) error {
			for range ev {
				if err := both.Append(ctx, 0); err != nil {
					found <- err
				}
			}
			return nil
		})
		c.Pause()
		b.Pause()
		b.publish(3)
		a.publish(1) // taken by a, which waits for b; queued for c, which is full by that
		synctest.Wait()
		b.Resume() // takes its event, so a goes on; b waits for c
		time.Sleep(time.Minute)
		if len(found) > 0 {
			t.Fatalf("found a circle where there is none: %v", <-found)
		}
		a.wantState(actors.StateIdle)
		if l := w.held.of("Held"); l[len(l)-1].Subscriber != "c" {
			t.Errorf("Held = %+v", l[len(l)-1])
		}
		c.Resume()
		time.Sleep(time.Minute)
		b.wantState(actors.StateIdle)
		if len(found) > 0 {
			t.Errorf("found a circle where there is none: %v", <-found)
		}
	})
}

// Two goroutines of one handler wait; that one goes on must not hide the other.
func TestCircleThroughOneOfTwoGoroutinesOfAHandlerIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		found := make(chan error, 1)
		var a, b *subject
		c := w.handler(actors.Config{Name: "c", Capacity: 1}, func(context.Context, int) error { return nil })
		c.Pause()
		c.publish(0)
		a = w.handler(actors.Config{Name: "a", Capacity: 1}, func(ctx context.Context, ev int) error {
			if ev == 0 {
				return nil
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = b.log.Append(ctx, 0)
			}()
			synctest.Wait()
			_ = c.log.Append(ctx, 0)
			<-done
			return nil
		})
		b = w.handler(actors.Config{Name: "b", Capacity: 1}, func(ctx context.Context, ev int) error {
			if ev == 0 {
				return nil
			}
			time.Sleep(time.Second)
			c.Resume() // a's other goroutine goes on
			time.Sleep(time.Second)
			if err := a.log.Append(ctx, 0); err != nil {
				found <- err
			}
			return nil
		})
		b.publish(1)
		synctest.Wait()
		b.publish(0)
		go a.publish(1)
		time.Sleep(time.Second / 2)
		a.publish(0)
		wantErr(t, "Append", <-found, actors.ErrWouldDeadlock)
	})
}

func TestHeldIsToldAtOnceAndEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Capacity: 1}, func(context.Context, int) error { return nil })
		s.Pause()
		s.publish(1)
		if l := w.held.of("Held"); len(l) != 0 {
			t.Errorf("Held = %+v without a publisher that waits", l)
		}
		time.AfterFunc(3*time.Second+time.Second/2, s.Resume)
		s.publish(2)
		var waits []time.Duration
		for _, e := range w.held.of("Held") {
			if e.Topic != "topic" || e.Subscriber != "subject" {
				t.Errorf("Held = %+v", e)
			}
			waits = append(waits, e.Delay)
		}
		want(t, "Held", waits, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second})
		time.Sleep(time.Minute)
		if n := len(w.held.of("Held")); n != 4 {
			t.Errorf("Held was told %d times, want 4", n)
		}
	})
}

// A pipeline may flush while its logs drain: handlers may still publish, nobody
// else.
func TestDrainingLogAdmitsHandlersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		second := w.handler(actors.Config{Name: "second"}, func(context.Context, int) error { return nil })
		first := w.handler(actors.Config{Name: "first"}, func(ctx context.Context, ev int) error { return second.log.Append(ctx, ev) })
		first.Pause()
		first.publish(1)
		first.log.Drain()
		second.log.Drain()
		if err := second.log.Append(t.Context(), 2); err == nil {
			t.Error("Append from outside was taken")
		}
		first.Resume()
		second.wantCounts(actors.Counts{Deliveries: 1, Done: 1})
	})
}
