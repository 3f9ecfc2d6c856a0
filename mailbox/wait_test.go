package mailbox_test

import (
	"context"
	"errors"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// follower records what a parked publisher is told.
type follower struct {
	still []time.Duration
	fail  error
	done  int
}

func (f *follower) Still(waited time.Duration) error {
	f.still = append(f.still, waited)
	return f.fail
}

func (f *follower) Done() { f.done++ }

// full returns a log whose only cursor, of capacity 1, is full.
func full(t *testing.T, keeper mailbox.Gatekeeper) (*mailbox.Log[int], *mailbox.Cursor[int], *mailbox.Reader[int]) {
	t.Helper()
	log := mailbox.NewLog[int](keeper)
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Name: "c", Capacity: 1, Owner: "owner of c"})
	publish(t, log, 1)
	return log, c, r
}

// append2 publishes 2 in a goroutine of its own and returns where its error arrives.
func append2(ctx context.Context, log *mailbox.Log[int]) chan error {
	result := make(chan error, 1)
	go func() { result <- log.Append(ctx, 2) }()
	return result
}

// parked asserts that one publisher waits.
func parked(t *testing.T, log *mailbox.Log[int], result chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		t.Fatalf("Append = %v, want that it waits", err)
	default:
	}
	if got := log.Waiting(); got != 1 {
		t.Fatalf("Waiting() = %d, want 1", got)
	}
}

// Whatever ends a wait ends it at once and leaves nothing behind.
func TestBlockedPublisherGoesOn(t *testing.T) {
	errCause := errors.New("test: cause")
	for _, row := range []struct {
		name string
		end  func(log *mailbox.Log[int], c *mailbox.Cursor[int], r *mailbox.Reader[int], cancel context.CancelCauseFunc)
		want error
	}{
		{"when there is room", func(_ *mailbox.Log[int], _ *mailbox.Cursor[int], r *mailbox.Reader[int], _ context.CancelCauseFunc) {
			r.Next()
			r.Publish(true)
			r.Settle()
		}, nil},
		{"with the cause of its context", func(_ *mailbox.Log[int], _ *mailbox.Cursor[int], _ *mailbox.Reader[int], cancel context.CancelCauseFunc) {
			cancel(errCause)
		}, errCause},
		{"with ErrClosed when the log closes", func(log *mailbox.Log[int], _ *mailbox.Cursor[int], _ *mailbox.Reader[int], _ context.CancelCauseFunc) {
			log.Close()
		}, mailbox.ErrClosed},
		{"with ErrClosed when the log drains", func(log *mailbox.Log[int], _ *mailbox.Cursor[int], _ *mailbox.Reader[int], _ context.CancelCauseFunc) {
			log.Drain()
		}, mailbox.ErrClosed},
		{"with ErrNoSubscriber when the last mailbox leaves", func(_ *mailbox.Log[int], c *mailbox.Cursor[int], _ *mailbox.Reader[int], _ context.CancelCauseFunc) {
			c.Detach()
		}, mailbox.ErrNoSubscriber},
		{"when the full mailbox leaves and another stays", func(log *mailbox.Log[int], c *mailbox.Cursor[int], _ *mailbox.Reader[int], _ context.CancelCauseFunc) {
			if _, _, err := log.Subscribe(mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded}); err != nil {
				panic(err)
			}
			c.Detach()
		}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &follower{}
				log, c, r := full(t, &gate{wait: func(context.Context, func() []any) (mailbox.Wait, error) { return f, nil }})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				result := append2(ctx, log)
				parked(t, log, result)
				time.Sleep(2500 * time.Millisecond)
				row.end(log, c, r, cancel)
				synctest.Wait()
				select {
				case err := <-result:
					if !errors.Is(err, row.want) {
						t.Errorf("Append = %v, want %v", err, row.want)
					}
				default:
					t.Fatal("Append still waits")
				}
				if got := log.Waiting(); got != 0 {
					t.Errorf("Waiting() = %d, want 0", got)
				}
				if want := []time.Duration{time.Second, 2 * time.Second}; !slices.Equal(f.still, want) || f.done != 1 {
					t.Errorf("Still, Done = %v, %d, want %v, 1", f.still, f.done, want)
				}
			})
		})
	}
}

func TestInsiderWaitsWhileTheLogDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, r := full(t, &gate{})
		log.Drain()
		result := append2(insider(t.Context()), log)
		parked(t, log, result)
		take(r, 1)
		if err := <-result; err != nil {
			t.Errorf("Append = %v, want nil", err)
		}
	})
}

func TestGatekeeperSeesWhoIsFullAndMayRefuse(t *testing.T) {
	errRefused := errors.New("test: would deadlock")
	var owners []any
	log, _, _ := full(t, &gate{wait: func(_ context.Context, full func() []any) (mailbox.Wait, error) {
		owners = full()
		return nil, errRefused
	}})
	subscribe(t, log, mailbox.CursorConfig[int]{Name: "roomy", Capacity: 9, Owner: "owner of roomy"})
	if err := log.Append(t.Context(), 2); err != errRefused {
		t.Errorf("Append = %v, want %v", err, errRefused)
	}
	if !slices.Equal(owners, []any{"owner of c"}) {
		t.Errorf("full() = %v, want the owner of c", owners)
	}
}

func TestErrorOfStillEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{fail: errors.New("test: enough")}
		log, _, _ := full(t, &gate{wait: func(context.Context, func() []any) (mailbox.Wait, error) { return f, nil }})
		started := time.Now()
		if err := log.Append(t.Context(), 2); err != f.fail {
			t.Errorf("Append = %v, want %v", err, f.fail)
		}
		if got := time.Since(started); got != time.Second || f.done != 1 {
			t.Errorf("waited %v and Done %d times, want 1s and once", got, f.done)
		}
	})
}

// What happens between the look for room and the place in the list of waiters
// must not be missed. The gatekeeper is asked at just that moment.
func TestChangeRightBeforePublisherParksIsSeen(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(log *mailbox.Log[int], c *mailbox.Cursor[int], r *mailbox.Reader[int])
		want   error
	}{
		{"room", func(_ *mailbox.Log[int], _ *mailbox.Cursor[int], r *mailbox.Reader[int]) { take(r, 1) }, nil},
		{"Close", func(log *mailbox.Log[int], _ *mailbox.Cursor[int], _ *mailbox.Reader[int]) { log.Close() }, mailbox.ErrClosed},
		{"Drain", func(log *mailbox.Log[int], _ *mailbox.Cursor[int], _ *mailbox.Reader[int]) { log.Drain() }, mailbox.ErrClosed},
		{"Detach", func(_ *mailbox.Log[int], c *mailbox.Cursor[int], _ *mailbox.Reader[int]) { c.Detach() }, mailbox.ErrNoSubscriber},
	} {
		for _, claimed := range []bool{false, true} {
			name := row.name
			if claimed {
				name += " after the claim"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var change func()
					log, c, r := full(t, &gate{wait: func(context.Context, func() []any) (mailbox.Wait, error) {
						change()
						return nil, nil
					}})
					change = func() { row.change(log, c, r) }
					ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errGaveUp)
					defer cancel()
					finish := func() error { return log.Append(ctx, 2) }
					if claimed {
						k := log.Claim()
						finish = func() error { return k.Finish(ctx, 2, nil) }
					}
					want := row.want
					if claimed && row.name == "Detach" {
						want = nil // it was claimed for c, which may hold more now
					}
					started := time.Now()
					if err := finish(); err != want || time.Since(started) != 0 {
						t.Errorf("Append = %v after %v, want %v at once", err, time.Since(started), want)
					}
				})
			})
		}
	}
}

// Waiters are served in the order in which they came, and one that was woken
// and found its room gone goes first.
func TestWaitingPublishersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		log, _, r := full(t, nil)
		results := make(chan error, n)
		for i := range n {
			go func() { results <- log.Append(t.Context(), 100+i) }()
			synctest.Wait()
		}
		if got := log.Waiting(); got != n {
			t.Fatalf("Waiting() = %d, want %d", got, n)
		}
		var got []int
		for range n + 1 {
			got = append(got, take(r, 1)...)
			synctest.Wait()
		}
		want := []int{1}
		for i := range n {
			want = append(want, 100+i)
		}
		if !slices.Equal(got, want) {
			t.Errorf("Next returned %v, want %v", got, want)
		}
		for range n {
			if err := <-results; err != nil {
				t.Errorf("Append = %v, want nil", err)
			}
		}
	})
}

// A wake-up that reaches a publisher that gives up is passed on.
func TestWakeUpOfAPublisherThatGivesUpIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, r := full(t, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		first := append2(ctx, log)
		synctest.Wait()
		second := append2(t.Context(), log)
		synctest.Wait()
		cancel(errGaveUp) // both at once for the first: room and the end of its context
		take(r, 1)
		if err := <-first; err != nil {
			if !errors.Is(err, errGaveUp) {
				t.Errorf("Append of the first = %v, want nil or the cause", err)
			}
		} else {
			take(r, 1)
		}
		if err := <-second; err != nil {
			t.Errorf("Append of the second = %v, want nil", err)
		}
	})
}

// A publisher that claimed its slot before there was no room waits on it, in
// its place.
func TestClaimedSlotBecomesAnEventWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, r := full(t, nil)
		k := log.Claim()
		result := make(chan error, 1)
		go func() { result <- k.Finish(t.Context(), 2, nil) }()
		parked(t, log, result)
		later := append2(t.Context(), log)
		synctest.Wait()
		if got := take(r, 9); !slices.Equal(got, []int{1}) {
			t.Fatalf("Next returned %v, want [1]", got)
		}
		if err := <-result; err != nil {
			t.Errorf("Finish = %v, want nil", err)
		}
		synctest.Wait()
		if got := take(r, 1); !slices.Equal(got, []int{2}) {
			t.Errorf("Next returned %v, want [2]", got)
		}
		if err := <-later; err != nil {
			t.Errorf("Append = %v, want nil", err)
		}
	})
}

// Gatekeepers look at each other's waits: full may be called by any goroutine,
// also while the publisher that it belongs to wakes up and waits again.
func TestWhoIsFullMayBeAskedByAnybodyWhileAPublisherWaits(t *testing.T) {
	var mu sync.Mutex
	var asks []func() []any
	log, _, r := full(t, &gate{wait: func(_ context.Context, full func() []any) (mailbox.Wait, error) {
		mu.Lock()
		defer mu.Unlock()
		asks = append(asks, full)
		return nil, nil
	}})
	var publishers, onlooker sync.WaitGroup
	for p := range 4 {
		publishers.Go(func() {
			for n := range 200 {
				if err := log.Append(t.Context(), 1000*p+n); err != nil {
					t.Errorf("Append = %v, want nil", err)
				}
			}
		})
	}
	var stop atomic.Bool
	onlooker.Go(func() {
		for !stop.Load() {
			mu.Lock()
			last := slices.Clone(asks[max(0, len(asks)-8):])
			mu.Unlock()
			for _, ask := range last {
				for _, owner := range ask() {
					if owner != "owner of c" {
						t.Errorf("full() = %v, want the owner of c", owner)
					}
				}
			}
			goruntime.Gosched()
		}
	})
	for n := 0; n < 801; {
		n += len(take(r, 1))
		goruntime.Gosched()
	}
	publishers.Wait()
	stop.Store(true)
	onlooker.Wait()
}

// Room is handed on by whoever finds it: between the consumer's move and its look
// at who waits, a publisher takes a part of the room for itself.
func TestRoomFoundByAPublisherIsNotLostToThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		_, r := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 1})
		publish(t, log, 1)
		done := make(chan error, 1)
		go func() { done <- log.Append(t.Context(), 2) }()
		synctest.Wait()
		if log.Waiting() != 1 {
			t.Fatalf("Waiting() = %d, want 1", log.Waiting())
		}
		r.Next()
		r.Publish(false)
		if err := log.Append(impatient(), 3); err != nil {
			t.Fatalf("Append = %v, want that it finds the room", err)
		}
		r.Settle()
		synctest.Wait()
		for log.Waiting() > 0 {
			if _, ok := r.Next(); !ok {
				t.Fatal("a publisher waits beside an empty mailbox")
			}
			r.Publish(false)
			r.Settle()
			synctest.Wait()
		}
		if err := <-done; err != nil {
			t.Errorf("Append = %v, want nil", err)
		}
	})
}
