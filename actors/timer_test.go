package actors_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
)

// clocked starts an actor that writes down what it is told and when, in seconds
// of its life. A message "fail" panics.
func clocked(w *world, cfg actors.Config, start func(context.Context) error) (*actors.Ref[string], *tape[string]) {
	w.Helper()
	var got tape[string]
	begin := time.Now()
	return actorOf(w, "clocked", cfg, func() actors.Behavior[string] {
		return actors.Behavior[string]{
			Start: start,
			Receive: func(ctx context.Context, m string) error {
				got.add(fmt.Sprintf("%s@%v", m, int(time.Since(begin).Seconds())))
				switch m {
				case "fail":
					panic("boom")
				case "slow":
					time.Sleep(10 * time.Second)
				}
				return nil
			},
		}
	}), &got
}

func sec(n int) time.Duration { return time.Duration(n) * time.Second }

func TestTimersTellTheActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, got := clocked(w, actors.Config{}, func(ctx context.Context) error {
			_ = actors.After(ctx, "once", sec(3), "once")
			_ = actors.Every(ctx, "tick", sec(2), "tick")
			_ = actors.After(ctx, "at once", -1, "at once")
			return nil
		})
		time.Sleep(sec(7))
		want(t, "told", got.all(), []string{"at once@0", "tick@2", "once@3", "tick@4", "tick@6"})
		if n := ref.Cell().Counts(); n.Own != 5 || n.Deliveries != 5 || n.Done != 5 {
			t.Errorf("Counts = %+v", n)
		}
	})
}

func TestTimerThatIsReplacedOrCanceledSaysNothing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		waits   bool // the old timer's message is in the mailbox already
		then    func(ctx context.Context, got *tape[string]) error
		want    []string
		dropped uint64
	}{
		{"replaced", false, renew, []string{"new"}, 0},
		{"replaced while it waits", true, renew, []string{"new"}, 1},
		{"canceled", false, cancel, nil, 0},
		{"canceled while it waits", true, cancel, nil, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var got tape[string]
				ref := doer(w, "a", actors.Config{})
				tell(t, ref, func(ctx context.Context) error {
					err := actors.After(ctx, "key", sec(1), do(func(context.Context) error { got.add("old"); return nil }))
					if tc.waits {
						time.Sleep(sec(2))
					}
					if err != nil {
						return err
					}
					return tc.then(ctx, &got)
				})
				time.Sleep(time.Hour)
				want(t, "told", got.all(), tc.want)
				if n := ref.Cell().Counts(); n.Dropped[actors.ReasonCanceled] != tc.dropped || n.Balance() != 0 {
					t.Errorf("Counts = %+v, want %d canceled", n, tc.dropped)
				}
			})
		})
	}
}

func renew(ctx context.Context, got *tape[string]) error {
	return actors.Every(ctx, "key", sec(3000), do(func(context.Context) error { got.add("new"); return nil }))
}

func cancel(ctx context.Context, _ *tape[string]) error {
	if !actors.CancelTimer(ctx, "key") || actors.CancelTimer(ctx, "key") {
		return fmt.Errorf("CancelTimer does not know what it does")
	}
	return nil
}

// Of a timer at most one message waits: who is slow or paused gets no burst, and
// afterwards the old rhythm.
func TestSlowActorGetsNoBurstOfTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, got := clocked(w, actors.Config{Capacity: 1}, func(ctx context.Context) error {
			return actors.Every(ctx, "tick", sec(2), "tick")
		})
		time.Sleep(sec(3))
		ref.Cell().Pause()
		time.Sleep(sec(100))
		ref.Cell().Resume()
		time.Sleep(sec(4))
		want(t, "told", got.all(), []string{"tick@2", "tick@103", "tick@104", "tick@106"})
	})
}

func TestTimersEndWithTheInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		starts := 0
		ref, got := clocked(w, actors.Config{Policy: once}, func(ctx context.Context) error {
			if starts++; starts > 1 {
				return nil
			}
			_ = actors.After(ctx, "waits", sec(3), "waits")
			_ = actors.Every(ctx, "tick", sec(5), "tick")
			return nil
		})
		ref.Cell().Pause()
		_ = ref.Tell(t.Context(), "slow")
		_ = ref.Tell(t.Context(), "fail")
		ref.Cell().Resume()
		time.Sleep(time.Hour)
		// The messages of both timers waited when the instance failed: they came
		// before "fail" and were handled.
		want(t, "told", got.all(), []string{"slow@0", "waits@10", "tick@10", "fail@10"})
		if n := ref.Cell().Counts(); n.Balance() != 0 || n.Restarts != 1 {
			t.Errorf("Counts = %+v", n)
		}
	})
}

func TestWaitingTickIsDroppedWithItsInstance(t *testing.T) {
	for _, how := range []string{"restart", "stop"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				starts := 0
				ref, got := clocked(w, actors.Config{}, func(ctx context.Context) error {
					if starts++; starts > 1 {
						return nil
					}
					return actors.Every(ctx, "tick", sec(1), "tick")
				})
				synctest.Wait()
				ref.Cell().Pause()
				time.Sleep(sec(5))
				if how == "restart" {
					ref.Cell().Restart()
				} else {
					_ = ref.Stop(t.Context(), actors.DeadLetterRest)
				}
				synctest.Wait()
				ref.Cell().Resume()
				time.Sleep(time.Hour)
				want(t, "told", got.all(), nil)
				w.wantLetters()
				if n := ref.Cell().Counts(); n.Deliveries != 1 || n.Dropped[actors.ReasonCanceled] != 1 || n.Balance() != 0 {
					t.Errorf("Counts = %+v", n)
				}
			})
		})
	}
}

// A tick whose handling fails is an event like any other.
func TestTickIsRetriedAndDeadLettered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		starts := 0
		ref, got := clocked(w, actors.Config{Policy: retry}, func(ctx context.Context) error {
			if starts++; starts > 1 {
				return nil
			}
			return actors.After(ctx, "key", sec(1), "fail")
		})
		time.Sleep(time.Hour)
		want(t, "told", got.all(), []string{"fail@1", "fail@2", "fail@4"})
		w.wantLetters("fail attempts_exhausted")
		if n := ref.Cell().Counts(); n.Own != 1 || n.Deliveries != 1 {
			t.Errorf("Counts = %+v", n)
		}
	})
}

func TestTimersRefuse(t *testing.T) {
	wantErr(t, "After", actors.After(t.Context(), "key", 1, 1), actors.ErrNoActor)
	if actors.CancelTimer(t.Context(), "key") {
		t.Error("CancelTimer outside: true")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref := doer(w, "a", actors.Config{Timeout: sec(1), Grace: sec(1)})
		tell(t, ref, func(ctx context.Context) error {
			wantErr(t, "type", actors.After(ctx, "key", 1, 1), actors.ErrTypeMismatch)
			if actors.Every(ctx, "key", 0, do(nil)) == nil {
				t.Error("Every(0): no error")
			}
			return nil
		})
		late := make(chan error, 1)
		tell(t, ref, func(ctx context.Context) error {
			time.Sleep(time.Minute)
			late <- actors.After(ctx, "key", 1, do(nil))
			return nil
		})
		wantErr(t, "of a zombie", <-late, actors.ErrStopped)
	})
}

func TestNoTimerFiresOnceTheActorDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, got := clocked(w, actors.Config{}, func(ctx context.Context) error {
			_ = actors.After(ctx, "once", sec(1), "once")
			return actors.Every(ctx, "tick", sec(2), "tick")
		})
		synctest.Wait()
		ref.Drain()
		time.Sleep(time.Hour)
		want(t, "told", got.all(), nil)
	})
}

// Timers that are set, replaced and canceled while they fire, while the actor is
// told, restarted and stopped: the account adds up and nothing old comes.
func TestTimersUnderFire(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		w := newWorldWith(t, &graveyard{}, actors.Observer{})
		ref := doerUnbound(t, w, "a")
		var mu sync.Mutex
		current := map[string]int{}
		serial := 0
		set := func(ctx context.Context, key string) {
			serial++
			mine := serial
			mu.Lock()
			current[key] = mine
			mu.Unlock()
			_ = actors.Every(ctx, key, time.Microsecond, do(func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if current[key] != mine {
					t.Errorf("timer %s: told of %d, is %d", key, mine, current[key])
				}
				return nil
			}))
		}
		var all sync.WaitGroup
		for p := range 2 {
			all.Go(func() {
				for i := range 200 {
					key := fmt.Sprint(i % 3)
					_ = ref.Tell(context.Background(), func(ctx context.Context) error {
						if (i+p)%5 == 0 {
							mu.Lock()
							current[key] = 0
							mu.Unlock()
							actors.CancelTimer(ctx, key)
							return nil
						}
						set(ctx, key)
						return nil
					})
					if i%50 == 25 {
						ref.Cell().Restart()
					}
				}
			})
		}
		all.Wait()
		_ = ref.Stop(context.Background(), actors.DeadLetterRest)
		balancedRef(t, ref)
		if n := ref.Cell().Counts(); n.Queued+n.InFlight+n.RetryWait != 0 {
			t.Errorf("Counts = %+v", n)
		}
	}
}
