package actors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// request asks for the double of N.
type request struct {
	N     int
	Reply func(string)
}

func ask(n int) func(func(string)) request {
	return func(reply func(string)) request { return request{n, reply} }
}

// spawn starts an actor that ends with the test.
func spawn[M any](w *world, name string, cfg actors.Config, receive func(context.Context, M) error) *actors.Ref[M] {
	w.Helper()
	ref, err := actors.Spawn(w.sys, name, func() actors.Behavior[M] { return actors.Behavior[M]{Receive: receive} }, cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = ref.Stop(context.Background(), actors.Discard)
		if n := ref.Cell().Counts(); n.Balance() != 0 {
			w.Errorf("%s: Balance = %d: %+v", name, n.Balance(), n)
		}
	})
	return ref
}

func TestTellIsHandledInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var got tape[int]
		ref := spawn(w, "a", actors.Config{}, func(_ context.Context, m int) error { got.add(m); return nil })
		for i := range 3 {
			wantErr(t, "Tell", ref.Tell(t.Context(), i), nil)
		}
		synctest.Wait()
		want(t, "messages", got.all(), []int{0, 1, 2})
	})
}

func TestTellToAFullActor(t *testing.T) {
	block := make(chan struct{})
	full := func(w *world, overflow mailbox.Overflow) *actors.Ref[int] {
		block = make(chan struct{})
		ref := spawn(w, "a", actors.Config{Capacity: 1, Overflow: overflow}, func(context.Context, int) error { <-block; return nil })
		_ = ref.Tell(w.Context(), 1)
		synctest.Wait()
		_ = ref.Tell(w.Context(), 2)
		return ref
	}
	t.Run("Reject", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ref := full(newWorld(t), mailbox.Reject)
			wantErr(t, "Tell", ref.Tell(t.Context(), 3), mailbox.ErrFull)
			close(block)
		})
	})
	t.Run("Block until ctx ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ref := full(newWorld(t), mailbox.Block)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
			defer cancel()
			wantErr(t, "Tell", ref.Tell(ctx, 3), errBoom)
			close(block)
		})
	})
	t.Run("Block until there is room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ref := full(newWorld(t), mailbox.Block)
			time.AfterFunc(time.Second, func() { close(block) })
			wantErr(t, "Tell", ref.Tell(t.Context(), 3), nil)
		})
	})
	t.Run("Block until the actor stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ref := full(newWorld(t), mailbox.Block)
			time.AfterFunc(time.Second, func() { ref.Cell().Stop(actors.Discard, "test"); close(block) })
			wantErr(t, "Tell", ref.Tell(t.Context(), 3), actors.ErrStopped)
		})
	})
}

func TestAskReturnsTheTypedReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref := spawn(w, "a", actors.Config{Policy: retry}, func(ctx context.Context, m request) error {
			switch {
			case m.N < 0 && attempt(ctx) < 3:
				panic("boom")
			case m.N > 0:
				m.Reply(fmt.Sprint(2 * m.N))
				m.Reply("only the first call counts")
				return errBoom // the outcome comes too late
			case m.N == 0:
				return nil
			}
			m.Reply("after retries")
			return nil
		})
		for _, tc := range []struct {
			n    int
			want string
			err  error
		}{{21, "42", nil}, {-1, "after retries", nil}, {0, "", actors.ErrNoReply}} {
			got, err := actors.Ask(t.Context(), ref, ask(tc.n))
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("Ask(%d) = %q, %v, want %q, %v", tc.n, got, err, tc.want, tc.err)
			}
		}
	})
}

func TestAskReturnsWhyTheMessageWasNotHandled(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  actors.Config
		fail func() error
		err  error
	}{
		"exhausted": {actors.Config{Policy: retry}, func() error { return errBoom }, errBoom},
		"permanent": {actors.Config{}, func() error { return supervisor.Permanent(errBoom) }, errBoom},
		"skipped":   {actors.Config{}, func() error { return supervisor.Skip(errBoom) }, errBoom},
		"panic":     {actors.Config{Policy: retry}, func() error { panic(errBoom) }, errBoom},
		"hung": {actors.Config{Timeout: time.Second, Grace: time.Second},
			func() error { time.Sleep(time.Minute); return nil }, supervisor.ErrHung},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ref := spawn(w, "a", tc.cfg, func(context.Context, request) error { return tc.fail() })
				_, err := actors.Ask(t.Context(), ref, ask(1))
				wantErr(t, "Ask", err, tc.err)
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestAskOfAnActorThatStops(t *testing.T) {
	for _, rest := range []actors.Rest{actors.DeadLetterRest, actors.Discard} {
		t.Run(rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ref := spawn(w, "a", actors.Config{}, func(context.Context, request) error { return nil })
				ref.Cell().Pause()
				time.AfterFunc(time.Second, func() { _ = ref.Stop(context.Background(), rest) })
				_, err := actors.Ask(t.Context(), ref, ask(1))
				wantErr(t, "Ask", err, actors.ErrStopped)
				_, err = actors.Ask(t.Context(), ref, ask(1))
				wantErr(t, "Ask after Stop", err, actors.ErrStopped)
				wantErr(t, "Tell after Stop", ref.Tell(t.Context(), request{}), actors.ErrStopped)
			})
		})
	}
}

func TestAskOverflowedToTheDeadLettersIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref := spawn(w, "a", actors.Config{Capacity: 1, Overflow: mailbox.DeadLetter}, func(context.Context, request) error { return nil })
		ref.Cell().Pause()
		_ = ref.Tell(t.Context(), request{N: 1})
		time.AfterFunc(time.Second, func() { ref.Cell().Counts() }) // has the mailbox look
		_, err := actors.Ask(t.Context(), ref, ask(2))
		wantErr(t, "Ask", err, mailbox.ErrFull)
	})
}

func TestAskThatTheOverflowPolicyDropsIsAnswered(t *testing.T) {
	for _, tc := range []struct {
		overflow mailbox.Overflow
		dropped  int // of the two that are asked while the mailbox has room for one
	}{{mailbox.DropOldest, 0}, {mailbox.Latest, 0}, {mailbox.DropNewest, 1}} {
		t.Run(tc.overflow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				block := make(chan struct{})
				ref := spawn(w, "a", actors.Config{Capacity: 1, Overflow: tc.overflow}, func(_ context.Context, r request) error {
					<-block
					r.Reply("done")
					return nil
				})
				wantErr(t, "Tell", ref.Tell(t.Context(), request{Reply: func(string) {}}), nil)
				synctest.Wait()
				var errs [2]error
				for i := range errs {
					go func() { _, errs[i] = actors.Ask(t.Context(), ref, ask(i)) }()
					synctest.Wait()
				}
				close(block)
				synctest.Wait()
				wantErr(t, "dropped Ask", errs[tc.dropped], actors.ErrDropped)
				wantErr(t, "other Ask", errs[1-tc.dropped], nil)
			})
		})
	}
}

func TestAskEndsWithItsContextAndALateReplyDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref := spawn(w, "a", actors.Config{}, func(_ context.Context, m request) error {
			time.Sleep(time.Minute)
			m.Reply("late")
			m.Reply("later")
			return nil
		})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		got, err := actors.Ask(ctx, ref, ask(1))
		wantErr(t, "Ask", err, errBoom)
		if got != "" {
			t.Errorf("Ask = %q", got)
		}
		time.Sleep(time.Hour)
		if n := ref.Cell().Counts(); n.Done != 1 {
			t.Errorf("Counts = %+v", n)
		}
	})
}

func TestAskItselfWouldDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var ref *actors.Ref[request]
		ref = spawn(w, "a", actors.Config{}, func(ctx context.Context, m request) error {
			_, err := actors.Ask(ctx, ref, ask(1))
			m.Reply(fmt.Sprint(errors.Is(err, actors.ErrWouldDeadlock)))
			return nil
		})
		got, err := actors.Ask(t.Context(), ref, ask(1))
		if got != "true" || err != nil {
			t.Errorf("Ask = %q, %v", got, err)
		}
	})
}

func TestAskItselfFromItsStartHookWouldDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		started := make(chan *actors.Ref[request], 1)
		failed := make(chan error, 1)
		ref, err := actors.Spawn(w.sys, "a", func() actors.Behavior[request] {
			return actors.Behavior[request]{
				Start: func(ctx context.Context) error {
					if _, ok := actors.DeliveryFrom(ctx); ok {
						t.Error("DeliveryFrom in a hook: ok")
					}
					_, err := actors.Ask(ctx, <-started, ask(1))
					failed <- err
					return nil
				},
				Receive: func(context.Context, request) error { return nil },
			}
		}, actors.Config{})
		if err != nil {
			t.Fatal(err)
		}
		started <- ref
		wantErr(t, "Ask", <-failed, actors.ErrWouldDeadlock)
		wantErr(t, "Stop", ref.Stop(t.Context(), actors.Drain), nil)
	})
}

func TestCircleOfAsksWouldDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const n = 3
		refs := make([]*actors.Ref[request], n)
		for i := range n {
			refs[i] = spawn(w, fmt.Sprint("a", i), actors.Config{Policy: once}, func(ctx context.Context, m request) error {
				got, err := actors.Ask(ctx, refs[(i+1)%n], ask(1))
				if errors.Is(err, actors.ErrWouldDeadlock) {
					got, err = fmt.Sprint("found by ", i), nil
				}
				m.Reply(got)
				return err
			})
		}
		start := time.Now()
		got, err := actors.Ask(t.Context(), refs[0], ask(1))
		if got != "found by 2" || err != nil || time.Since(start) > 0 {
			t.Errorf("Ask = %q, %v after %v", got, err, time.Since(start))
		}
	})
}

// Who has been answered waits no more, even if it has not noticed yet: telling
// it something afterwards closes no circle.
func TestReplyEndsTheWaitBeforeItIsNoticed(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var asks *actors.Ref[int]
			told := make(chan error, 1)
			answers := spawn(w, "answers", actors.Config{}, func(ctx context.Context, m request) error {
				m.Reply("yes")
				told <- asks.Tell(ctx, 3)
				return nil
			})
			asks = spawn(w, "asks", actors.Config{Capacity: 1}, func(ctx context.Context, ev int) error {
				if ev != 1 {
					return nil
				}
				_ = asks.Tell(ctx, 2) // now its mailbox is full
				_, err := actors.Ask(ctx, answers, ask(1))
				return err
			})
			_ = asks.Tell(t.Context(), 1)
			wantErr(t, "Tell after the reply", <-told, nil)
		})
	}
}

func TestStopGoesTheWayOfItsRest(t *testing.T) {
	for _, tc := range []struct {
		rest    actors.Rest
		handled []int
		letters []string
		dropped uint64
	}{
		{actors.Drain, []int{1, 2, 3}, nil, 0},
		{actors.DeadLetterRest, []int{1}, []string{"2 subscriber_stopped", "3 subscriber_stopped"}, 0},
		{actors.Discard, []int{1}, nil, 2},
	} {
		t.Run(tc.rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var handled tape[int]
				ref := spawn(w, "a", actors.Config{}, func(_ context.Context, m int) error {
					time.Sleep(time.Second)
					handled.add(m)
					return nil
				})
				for m := 1; m <= 3; m++ {
					_ = ref.Tell(t.Context(), m)
				}
				synctest.Wait()
				wantErr(t, "Stop", ref.Stop(t.Context(), tc.rest), nil)
				want(t, "handled when Stop returned", handled.all(), tc.handled)
				w.wantLetters(tc.letters...)
				if n := ref.Cell().Counts(); n.Dropped[supervisor.ReasonStopped] != tc.dropped {
					t.Errorf("Counts = %+v", n)
				}
			})
		})
	}
}

func TestStopFromItsOwnHandlerReturnsAtOnce(t *testing.T) {
	for _, rest := range []actors.Rest{actors.Drain, actors.DeadLetterRest, actors.Discard} {
		t.Run(rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var ref *actors.Ref[int]
				ref = spawn(w, "a", actors.Config{}, func(ctx context.Context, m int) error {
					if m == 1 {
						wantErr(t, "Stop", ref.Stop(ctx, rest), nil)
					}
					return nil
				})
				ref.Cell().Pause()
				_, _ = ref.Tell(t.Context(), 1), ref.Tell(t.Context(), 2)
				ref.Cell().Resume()
				<-ref.Cell().Done()
				if n := ref.Cell().Counts(); n.Done == 2 != (rest == actors.Drain) {
					t.Errorf("Counts = %+v", n)
				}
			})
		})
	}
}

func TestStopReturnsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref := spawn(w, "a", actors.Config{}, func(context.Context, int) error { time.Sleep(time.Minute); return nil })
		_ = ref.Tell(t.Context(), 1)
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		wantErr(t, "Stop", ref.Stop(ctx, actors.Discard), errBoom)
		wantErr(t, "second Stop", ref.Stop(t.Context(), actors.Discard), nil)
	})
}

func TestNameIsFreeRightAfterDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 100 {
			ref, err := actors.Spawn(w.sys, "a", func() actors.Behavior[int] {
				return actors.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
			}, actors.Config{})
			if err != nil {
				t.Fatalf("Spawn %d: %v", i, err)
			}
			_ = ref.Tell(t.Context(), i)
			_ = ref.Stop(t.Context(), actors.Drain)
		}
	})
}

func TestSpawnRefusesWithoutFactory(t *testing.T) {
	w := newWorld(t)
	if _, err := actors.Spawn[int](w.sys, "a", nil, actors.Config{}); err == nil {
		t.Error("no error")
	}
	if _, err := actors.Spawn(w.sys, "", func() actors.Behavior[int] { return actors.Behavior[int]{} }, actors.Config{}); err == nil {
		t.Error("no name: no error")
	}
}

func TestSpawnInAClosedSystemReturnsErrStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.sys.Close()
		_, err := actors.Spawn(w.sys, "a", func() actors.Behavior[int] { return actors.Behavior[int]{} }, actors.Config{})
		wantErr(t, "Spawn", err, actors.ErrStopped)
	})
}
