package actors_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
)

// shy is an actor that stashes numbers until it is told "open".
func shy(w *world, cfg actors.Config) (*actors.Ref[string], *tape[string]) {
	w.Helper()
	var got tape[string]
	return actorOf(w, "shy", cfg, func() actors.Behavior[string] {
		open := false
		return actors.Behavior[string]{Receive: func(ctx context.Context, m string) error {
			switch {
			case m == "open":
				open = true
				return actors.UnstashAll(ctx)
			case m == "boom":
				panic("boom")
			case m == "late":
				_ = actors.Stash(ctx)
				time.Sleep(time.Minute)
				return nil
			case m == "fails":
				_ = actors.Stash(ctx)
				return errBoom
			case open:
				got.add(m)
				return nil
			}
			return actors.Stash(ctx)
		}}
	}), &got
}

func tellAll[M any](t testing.TB, ref *actors.Ref[M], ms ...M) {
	t.Helper()
	for _, m := range ms {
		if err := ref.Tell(context.Background(), m); err != nil {
			t.Fatalf("Tell(%v) = %v", m, err)
		}
	}
	synctest.Wait()
}

func TestStashedMessagesComeBackInOrderBeforeTheMailbox(t *testing.T) {
	for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.DropOldest, mailbox.Unbounded} {
		t.Run(overflow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ref, got := shy(w, actors.Config{Overflow: overflow})
				tellAll(t, ref, "1", "2", "3")
				n := ref.Cell().Counts()
				if n.Stashed != 3 || n.RetryWait != 3 || n.Deliveries != 3 || n.Done != 0 || n.Balance() != 0 {
					t.Errorf("Counts = %+v", n)
				}
				if s := ref.Cell().State(); s != actors.StateIdle {
					t.Errorf("State = %s", s)
				}
				ref.Cell().Pause()
				tellAll(t, ref, "open", "4")
				ref.Cell().Resume()
				synctest.Wait()
				want(t, "handled", got.all(), []string{"1", "2", "3", "4"})
				n = ref.Cell().Counts()
				if n.Stashed != 0 || n.Done != 5 || n.Retries != 0 || n.Failures != 0 || n.Balance() != 0 {
					t.Errorf("Counts = %+v", n)
				}
			})
		})
	}
}

func TestStashIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, got := shy(w, actors.Config{Policy: once, Own: &actors.OwnConfig{MaxStash: 2}})
		tellAll(t, ref, "1", "2", "3")
		w.wantLetters("3 attempts_exhausted")
		if err := w.sink.all()[0].Attempts[0].Err; !errors.Is(err, actors.ErrStashFull) {
			t.Errorf("error of the letter = %v", err)
		}
		tellAll(t, ref, "open")
		want(t, "handled", got.all(), []string{"1", "2"})
	})
}

func TestRestartUnstashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, got := shy(w, actors.Config{Policy: once})
		tellAll(t, ref, "1", "2", "boom")
		if n := ref.Cell().Counts(); n.Stashed != 2 || n.Restarts != 1 || n.Balance() != 0 {
			t.Errorf("Counts = %+v, want both stashed again", n)
		}
		ref.Cell().Restart()
		synctest.Wait()
		tellAll(t, ref, "3", "open")
		want(t, "handled", got.all(), []string{"1", "2", "3"})
	})
}

func TestStopGivesStashedMessagesTheirOutcome(t *testing.T) {
	for _, tc := range []struct {
		rest    actors.Rest
		letters []string
	}{
		{actors.Drain, []string{"1 subscriber_stopped", "2 subscriber_stopped"}},
		{actors.DeadLetterRest, []string{"1 subscriber_stopped", "2 subscriber_stopped"}},
		{actors.Discard, nil},
	} {
		t.Run(tc.rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ref, _ := shy(w, actors.Config{})
				tellAll(t, ref, "1", "2")
				wantErr(t, "Stop", ref.Stop(t.Context(), tc.rest), nil)
				w.wantLetters(tc.letters...)
				n := ref.Cell().Counts()
				if n.RetryWait+n.Queued+n.Stashed != 0 || n.Balance() != 0 || n.TotalDropped() != uint64(2-len(tc.letters)) {
					t.Errorf("Counts = %+v", n)
				}
			})
		})
	}
}

// A message that fails is not set aside, one that is late in succeeding is, and
// one that is given up is not.
func TestStashHoldsOnlyWithSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, _ := shy(w, actors.Config{Policy: once, Timeout: time.Second, Grace: time.Hour})
		tellAll(t, ref, "fails")
		w.wantLetters("fails attempts_exhausted")
		tellAll(t, ref, "late")
		time.Sleep(time.Hour)
		if n := ref.Cell().Counts(); n.Stashed != 1 || n.Failures != 1 {
			t.Errorf("Counts = %+v", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ref, _ := shy(w, actors.Config{Policy: once, Timeout: time.Second, Grace: time.Second})
		tellAll(t, ref, "late")
		time.Sleep(time.Hour)
		w.wantLetters("late hung")
		if n := ref.Cell().Counts(); n.Stashed != 0 || n.Balance() != 0 || n.Late != 0 {
			t.Errorf("Counts = %+v", n)
		}
	})
}

func TestStashedAskWaitsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		open := false
		ref := spawn(w, "a", actors.Config{}, func(ctx context.Context, m request) error {
			switch {
			case m.Reply == nil:
				open = true
				return actors.UnstashAll(ctx)
			case open:
				m.Reply("at last")
				return nil
			}
			return actors.Stash(ctx)
		})
		time.AfterFunc(time.Minute, func() { _ = ref.Tell(context.Background(), request{}) })
		got, err := actors.Ask(t.Context(), ref, ask(1))
		if got != "at last" || err != nil {
			t.Errorf("Ask = %q, %v", got, err)
		}
	})
}

func TestStashRefuses(t *testing.T) {
	wantErr(t, "Stash", actors.Stash(t.Context()), actors.ErrNoActor)
	wantErr(t, "UnstashAll", actors.UnstashAll(t.Context()), actors.ErrNoActor)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hooked := make(chan error, 2)
		ref := actorOf(w, "a", actors.Config{}, func() actors.Behavior[int] {
			return actors.Behavior[int]{
				Start:   func(ctx context.Context) error { hooked <- actors.Stash(ctx); return nil },
				Receive: func(context.Context, int) error { return nil },
			}
		})
		if <-hooked == nil {
			t.Error("Stash in a hook: no error")
		}
		_ = ref
	})
}
