package actors_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
)

// sleepy is an actor that is passive after ten seconds, with its diary.
func sleepy(w *world, cfg actors.Config, handle func(ctx context.Context, m string) error) (*actors.Ref[string], *tape[string]) {
	w.Helper()
	var diary tape[string]
	if cfg.Own == nil {
		cfg.Own = new(actors.OwnConfig)
	}
	cfg.Own.PassivateAfter = sec(10)
	return actorOf(w, "sleepy", cfg, func() actors.Behavior[string] {
		return actors.Behavior[string]{
			Start: func(context.Context) error { diary.add("start"); return nil },
			Receive: func(ctx context.Context, m string) error {
				diary.add(m)
				if handle != nil {
					return handle(ctx, m)
				}
				return nil
			},
			Stop: func(context.Context) error { diary.add("stop"); return nil },
		}
	}), &diary
}

func wantRefState[M any](t *testing.T, ref *actors.Ref[M], want actors.State) {
	t.Helper()
	synctest.Wait()
	if got := ref.Cell().State(); got != want {
		t.Errorf("State = %s, want %s", got, want)
	}
}

func TestIdleActorIsPassiveUntilTheNextMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, diary := sleepy(w, actors.Config{}, nil)
		time.Sleep(sec(9))
		tellAll(t, ref, "1")
		time.Sleep(sec(9))
		wantRefState(t, ref, actors.StateIdle)
		time.Sleep(sec(2))
		wantRefState(t, ref, actors.StatePassive)
		want(t, "diary", diary.all(), []string{"start", "1", "stop"})
		time.Sleep(time.Hour)
		w.wantSeen("Passivated", 1)
		tellAll(t, ref, "2", "3")
		wantRefState(t, ref, actors.StateIdle)
		time.Sleep(sec(11))
		want(t, "diary", diary.all(), []string{"start", "1", "stop", "start", "2", "3", "stop"})
		w.wantSeen("Passivated", 2)
		w.wantSeen("Started", 2)
		if n := ref.Cell().Counts(); n.Restarts != 0 || n.Done != 3 || n.Balance() != 0 {
			t.Errorf("Counts = %+v", n)
		}
	})
}

// A slow handler is not idle, nor is one with a timer, a stash or a child.
func TestBusyActorIsNotPassivated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, diary := sleepy(w, actors.Config{}, func(ctx context.Context, m string) error {
			switch m {
			case "slow":
				time.Sleep(sec(100))
			case "timer":
				return actors.After(ctx, "key", sec(100), "tick")
			case "stash":
				return actors.Stash(ctx)
			case "unstash":
				return actors.Become(ctx, func(ctx context.Context, _ string) error { return nil })
			case "child":
				_, err := actors.SpawnChild(ctx, "child", func() actors.Behavior[int] {
					return actors.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
				}, actors.Config{})
				return err
			case "no child":
				kid, _ := actors.Child[int](ctx, "child")
				return kid.Stop(ctx, actors.Drain)
			}
			return nil
		})
		for _, step := range []struct {
			tell  string
			wait  int
			state actors.State
		}{
			{"slow", 99, actors.StateRunning}, {"", 10, actors.StateIdle}, {"", 2, actors.StatePassive},
			{"timer", 99, actors.StateIdle}, {"", 30, actors.StatePassive},
			{"child", 100, actors.StateIdle}, {"no child", 30, actors.StatePassive},
			{"stash", 100, actors.StateIdle},
		} {
			if step.tell != "" {
				_ = ref.Tell(t.Context(), step.tell)
			}
			time.Sleep(sec(step.wait))
			synctest.Wait()
			if got := ref.Cell().State(); got != step.state {
				t.Errorf("after %+v: State = %s: %v", step, got, diary.all())
			}
		}
	})
}

func TestPassiveActorCanBeStoppedPausedAndRestarted(t *testing.T) {
	passive := func(t *testing.T) (*world, *actors.Ref[string], *tape[string]) {
		w := newWorld(t)
		ref, diary := sleepy(w, actors.Config{}, nil)
		time.Sleep(sec(11))
		wantRefState(t, ref, actors.StatePassive)
		return w, ref, diary
	}
	for _, rest := range []actors.Rest{actors.Drain, actors.DeadLetterRest, actors.Discard} {
		t.Run("stop "+rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, ref, diary := passive(t)
				wantErr(t, "Stop", ref.Stop(t.Context(), rest), nil)
				want(t, "diary", diary.all(), []string{"start", "stop"})
			})
		})
	}
	t.Run("drain of what waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, ref, diary := passive(t)
			ref.Cell().Pause()
			tellAll(t, ref, "1")
			wantRefState(t, ref, actors.StatePaused)
			ref.Cell().Stop(actors.Drain, "test")
			ref.Cell().Resume()
			<-ref.Done()
			want(t, "diary", diary.all(), []string{"start", "stop", "start", "1", "stop"})
		})
	})
	t.Run("restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, ref, diary := passive(t)
			ref.Cell().Restart()
			time.Sleep(sec(9))
			wantRefState(t, ref, actors.StateIdle)
			time.Sleep(sec(2))
			wantRefState(t, ref, actors.StatePassive)
			want(t, "diary", diary.all(), []string{"start", "stop", "start", "stop"})
		})
	})
}

func TestPassiveActorWhoseStartFailsKeepsItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var handled tape[string]
		starts := 0
		ref := actorOf(w, "a", actors.Config{Own: &actors.OwnConfig{PassivateAfter: sec(10)}}, func() actors.Behavior[string] {
			return actors.Behavior[string]{
				Start: func(context.Context) error {
					if starts++; starts == 2 || starts == 3 {
						panic("boom")
					}
					return nil
				},
				Receive: func(_ context.Context, m string) error { handled.add(m); return nil },
			}
		})
		time.Sleep(sec(11))
		wantRefState(t, ref, actors.StatePassive)
		tellAll(t, ref, "1", "2")
		wantRefState(t, ref, actors.StateBackoff)
		time.Sleep(sec(5))
		want(t, "handled", handled.all(), []string{"1", "2"})
		time.Sleep(sec(11))
		wantRefState(t, ref, actors.StatePassive)
	})
}

func TestPassiveActorThatIsAskedAndWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var got tape[string]
		other := doer(w, "other", actors.Config{})
		ref := doer(w, "a", actors.Config{Own: &actors.OwnConfig{PassivateAfter: sec(10)}})
		tell(t, ref, func(ctx context.Context) error { return actors.Watch(ctx, other, obituary(&got)) })
		time.Sleep(sec(11))
		wantRefState(t, ref, actors.StatePassive)
		_ = other.Stop(t.Context(), actors.Drain)
		wantRefState(t, ref, actors.StateIdle)
		want(t, "told", got.all(), []string{"other subscriber_stopped <nil>"})
	})
}

// Messages that come while the instance is let go are handled, each once and in
// order, whatever the mailbox.
func TestPassivationRacesWithTell(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 300
	}
	for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded, mailbox.DropOldest} {
		t.Run(overflow.String(), func(t *testing.T) {
			w := newWorldWith(t, &graveyard{}, actors.Observer{})
			var next [2]int
			var starts, up atomic.Int32
			cfg := actors.Config{Capacity: 1 << 16, Overflow: overflow}
			cfg.Own = &actors.OwnConfig{PassivateAfter: time.Microsecond}
			ref, err := actors.Spawn(w.sys, "a", func() actors.Behavior[[2]int] {
				return actors.Behavior[[2]int]{
					Start: func(context.Context) error {
						starts.Add(1)
						if up.Add(1) != 1 {
							t.Error("two instances at once")
						}
						return nil
					},
					Receive: func(_ context.Context, m [2]int) error {
						if next[m[0]] != m[1] {
							t.Errorf("told %v, want number %d", m, next[m[0]])
						}
						next[m[0]] = m[1] + 1
						return nil
					},
					Stop: func(context.Context) error { up.Add(-1); return nil },
				}
			}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for p := range 2 {
				all.Go(func() {
					for i := range n {
						if err := ref.Tell(context.Background(), [2]int{p, i}); err != nil {
							t.Error(err)
						}
						if i%5 == 0 {
							time.Sleep(time.Duration(50+i%50) * time.Microsecond)
						}
						if p == 0 && i%100 == 50 {
							ref.Cell().Restart()
						}
						if p == 1 && i%100 == 50 {
							ref.Cell().Pause()
							ref.Cell().Resume()
						}
					}
				})
			}
			all.Wait()
			if err := ref.Stop(context.Background(), actors.Drain); err != nil {
				t.Fatal(err)
			}
			c := ref.Cell().Counts()
			if next != [2]int{n, n} || c.Done != uint64(2*n) || c.Balance() != 0 || up.Load() != 0 {
				t.Errorf("handled %v of %d each, %d instances up, Counts = %+v", next, n, up.Load(), c)
			}
			if starts.Load() < 2 {
				t.Errorf("only %d starts: nothing was raced", starts.Load())
			}
		})
	}
}

func TestPassiveActorHoldsNoInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		made := 0
		ref := actorOf(w, "a", actors.Config{Own: &actors.OwnConfig{PassivateAfter: sec(1)}}, func() actors.Behavior[int] {
			made++
			mine := made
			return actors.Behavior[int]{Receive: func(context.Context, int) error {
				if mine != made {
					return fmt.Errorf("instance %d of %d", mine, made)
				}
				return nil
			}}
		})
		for i := range 10 {
			tellAll(t, ref, i)
			time.Sleep(sec(3))
		}
		if n := ref.Cell().Counts(); n.Done != 10 || made != 10 {
			t.Errorf("%d instances, Counts = %+v", made, n)
		}
	})
}
