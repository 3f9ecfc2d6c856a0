package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// broken is a runtime with one dead letter, of event 1 for t/s.
type broken struct {
	*troupetest.Runtime
	topic *topics.Topic[int]
	sub   *topics.Subscription
	h     *troupetest.Handler[int]
	store *patchy
	id    string
	began time.Time
}

// fresh matches calls that are no redelivery, again those that are.
func fresh(c troupetest.Call[int]) bool { return c.LetterID == "" }
func again(c troupetest.Call[int]) bool { return c.LetterID != "" }

// newBroken makes the first delivery of event 1 a dead letter; then does what
// the script says. Retries take a second, then two, then four …
func newBroken(t *testing.T, cfg topics.SubscriberConfig, script ...troupetest.Action) *broken {
	t.Helper()
	b := &broken{store: newPatchy(t), began: time.Now()}
	b.Runtime = troupetest.New(t, runtime.Config{DeadLetters: b.store})
	b.topic = open[int](t, b.Runtime, "t")
	b.h = troupetest.NewHandler[int](t).On(1, troupetest.Fail(supervisor.Permanent(errBoom)))
	for i, do := range script {
		b.h.On(i+2, do)
	}
	if cfg.Retry.MaxAttempts == 0 {
		cfg.Retry.MaxAttempts = 3
	}
	cfg.Retry.BaseDelay, cfg.Retry.Jitter = time.Second, supervisor.NoJitter
	b.sub = subscribe(t, b.topic, "s", b.h.Handle, cfg)
	if err := b.topic.PublishWith(t.Context(), 1, topics.Meta{Headers: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
	b.Idle()
	b.id = b.Letters()[0].ID
	return b
}

func (b *broken) redrive(t *testing.T, cfg ...runtime.RedriveConfig) {
	t.Helper()
	if err := b.Redrive(t.Context(), b.id, cfg...); err != nil {
		t.Fatalf("Redrive: %v", err)
	}
}

// letter returns the only letter.
func (b *broken) letter(t *testing.T) deadletter.Letter {
	t.Helper()
	b.Idle(time.Hour)
	letters := b.Letters()
	if len(letters) != 1 || letters[0].ID != b.id {
		t.Fatalf("letters = %+v, want the one of before", letters)
	}
	return letters[0]
}

func TestRedriveThatSucceedsResolvesTheLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{}, troupetest.Fail(errBoom))
		time.Sleep(time.Minute)
		b.redrive(t, runtime.RedriveConfig{By: "ada"})
		l := b.letter(t)
		want := deadletter.Redrive{Number: 1, By: "ada", Outcome: deadletter.OutcomeDone,
			StartedAt: b.began.Add(time.Minute).UTC(), EndedAt: b.began.Add(time.Minute + time.Second).UTC()}
		if l.State != deadletter.StateResolved || len(l.Redrives) != 1 || l.Redrives[0] != want {
			t.Errorf("letter is %s with %+v, want resolved with %+v", l.State, l.Redrives, want)
		}
		// Evidence stays.
		if l.AttemptCount != 1 || l.Error != "boom" || l.Reason != supervisor.ReasonPermanent {
			t.Errorf("letter = %+v, want what it was", l)
		}
		calls := b.h.Calls()
		for i, c := range calls[1:] {
			if c.Event != 1 || c.Sequence != 1 || c.Attempt != i+1 || c.LetterID != b.id || c.Headers["k"] != "v" || !c.PublishedAt.Equal(b.began) {
				t.Errorf("redelivery = %+v, want the facts of the event and the letter", c)
			}
		}
		c := counts(t, b.Runtime, "t", "s")
		if c.Deliveries != 2 || c.Redelivered != 1 || c.Done != 1 || c.DeadLettered != 1 {
			t.Errorf("counts = %+v, want 2 deliveries, one of them redelivered", c)
		}
	})
}

func TestRedriveThatFailsUpdatesTheLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{}, troupetest.Fail(errBoom), troupetest.Fail(errBoom), troupetest.Panic("worse"))
		before := b.letter(t)
		b.redrive(t)
		l := b.letter(t)
		if l.State != deadletter.StateOpen || l.Redrives[0].Outcome != deadletter.OutcomeFailed || l.Redrives[0].Error != supervisor.ReasonExhausted {
			t.Errorf("letter is %s with %+v, want open with a failed redrive", l.State, l.Redrives)
		}
		if l.Reason != supervisor.ReasonExhausted || l.Cause != "panic" || l.Error != "panic: worse" || l.PanicValue != "worse" || l.Stack == "" {
			t.Errorf("letter = %+v, want the newest failure", l)
		}
		if l.AttemptCount != 4 || len(l.Attempts) != 4 || l.Attempts[0].Redrive != 0 || l.Attempts[3].Redrive != 1 || l.Attempts[3].Number != 3 {
			t.Errorf("attempts = %+v, want 1 and 3 of the redrive", l.Attempts)
		}
		if l.FirstFailedAt != before.FirstFailedAt || !l.LastFailedAt.After(before.LastFailedAt) || l.Fingerprint == before.Fingerprint || string(l.Payload) != "1" {
			t.Errorf("letter = %+v, want new times and fingerprint", l)
		}
		if c := counts(t, b.Runtime, "t", "s"); c.DeadLettered != 2 || c.Redelivered != 1 {
			t.Errorf("counts = %+v, want 2 dead-lettered", c)
		}
		// And again.
		b.redrive(t)
		if l := b.letter(t); l.State != deadletter.StateResolved || l.RedriveCount() != 2 {
			t.Errorf("letter is %s with %+v, want resolved by the second redrive", l.State, l.Redrives)
		}
	})
}

func TestRedriveThatIsSkippedResolvesTheLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{}, troupetest.Fail(supervisor.Skip(errors.New("too old"))))
		b.redrive(t)
		l := b.letter(t)
		if l.State != deadletter.StateResolved || l.Redrives[0].Outcome != deadletter.OutcomeSkipped || l.Redrives[0].Error != "too old" {
			t.Errorf("letter is %s with %+v, want resolved and skipped", l.State, l.Redrives)
		}
	})
}

func TestRedriveIsAbortedByWhatEndsTheSubscriber(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(t *testing.T, b *broken)
		says string
	}{
		"unsubscribe, dead letters": {func(t *testing.T, b *broken) { _ = b.sub.Unsubscribe(t.Context(), runtime.DeadLetterRest) }, supervisor.ReasonUnsubscribed},
		"unsubscribe, discard":      {func(t *testing.T, b *broken) { _ = b.sub.Unsubscribe(t.Context(), runtime.Discard) }, supervisor.ReasonUnsubscribed},
		"shutdown":                  {func(t *testing.T, b *broken) { shutdown(t, b.Runtime, time.Minute) }, supervisor.ReasonShutdown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, topics.SubscriberConfig{})
				before := b.letter(t)
				b.sub.Pause()
				b.redrive(t)
				c.end(t, b)
				l := b.letter(t)
				if l.State != deadletter.StateOpen || l.Redrives[0].Outcome != deadletter.OutcomeAborted || l.Redrives[0].Error != c.says {
					t.Errorf("letter is %s with %+v, want open and aborted: %s", l.State, l.Redrives, c.says)
				}
				if l.Reason != before.Reason || l.AttemptCount != 1 || l.Fingerprint != before.Fingerprint {
					t.Errorf("letter = %+v, want the failure of before", l)
				}
			})
		})
	}
}

func TestDrainHandlesRedeliveriesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{})
		b.sub.Pause()
		b.redrive(t)
		b.sub.Resume()
		if err := b.sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
			t.Fatal(err)
		}
		if l := b.letter(t); l.State != deadletter.StateResolved {
			t.Errorf("letter is %s, want resolved", l.State)
		}
	})
}

func TestRedriveBudget(t *testing.T) {
	for _, c := range []struct{ policy, budget, want int }{{3, 0, 3}, {3, 1, 1}, {1, 4, 4}, {supervisor.Unlimited, 2, 2}} {
		t.Run(fmt.Sprintf("%d of %d", c.budget, c.policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: c.policy}})
				b.h.When(again, troupetest.Fail(errBoom))
				b.redrive(t, runtime.RedriveConfig{Budget: c.budget})
				l := b.letter(t)
				if n := l.AttemptCount - 1; n != c.want || l.Reason != supervisor.ReasonExhausted || l.Redrives[0].Budget != c.budget {
					t.Errorf("redrive made %d attempts: %+v, want %d", n, l, c.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{})
		if err := b.Redrive(t.Context(), b.id, runtime.RedriveConfig{Budget: -1}); err == nil || !strings.Contains(err.Error(), "Budget -1: must not be negative") {
			t.Errorf("Redrive = %v, want a fault of the budget", err)
		}
	})
}

func TestRedriveTwiceAtOnceIsNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{})
		b.h.When(again, troupetest.Hang())
		var given, notOpen notes[bool]
		var operators sync.WaitGroup
		for range 8 {
			operators.Go(func() {
				switch err := b.Redrive(t.Context(), b.id); {
				case err == nil:
					given.add(true)
				case errors.Is(err, deadletter.ErrNotOpen):
					notOpen.add(true)
				default:
					t.Errorf("Redrive: %v", err)
				}
			})
		}
		operators.Wait()
		if len(given.all()) != 1 || len(notOpen.all()) != 7 {
			t.Errorf("%d redrives, %d refused, want 1 and 7", len(given.all()), len(notOpen.all()))
		}
		b.h.Await(2)
		b.h.Release()
		if l := b.letter(t); l.State != deadletter.StateResolved || len(l.Redrives) != 1 {
			t.Errorf("letter is %s with %+v, want resolved by one redrive", l.State, l.Redrives)
		}
		wantErr(t, "Redrive of a resolved letter", b.Redrive(t.Context(), b.id), deadletter.ErrNotOpen)
	})
}

// After an error the letter is as open as before.
func TestRedriveThatIsRefusedLeavesTheLetterOpen(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, b *broken)
		want  error
	}{
		"unknown letter":     {func(t *testing.T, b *broken) { b.id = "nobody" }, deadletter.ErrNotFound},
		"unknown subscriber": {func(t *testing.T, b *broken) { _ = b.sub.Unsubscribe(t.Context(), runtime.Drain) }, runtime.ErrUnknownSubscriber},
		"unknown topic": {func(t *testing.T, b *broken) {
			b.edit(t, func(l *deadletter.Letter) { l.Topic = "elsewhere" })
		}, runtime.ErrUnknownTopic},
		"no payload": {func(t *testing.T, b *broken) {
			b.edit(t, func(l *deadletter.Letter) { l.Payload, l.PayloadError = nil, "lost" })
		}, runtime.ErrNoPayload},
		"store that fails to get": {func(t *testing.T, b *broken) { _ = b.store.Memory.Close() }, deadletter.ErrClosed},
		"ended context":           {func(t *testing.T, b *broken) {}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, topics.SubscriberConfig{})
				id := b.id
				c.spoil(t, b)
				ctx, cancel := context.WithCancel(context.Background())
				if c.want == context.Canceled {
					cancel()
				}
				defer cancel()
				wantErr(t, "Redrive", b.Redrive(ctx, b.id), c.want)
				if name == "store that fails to get" {
					return
				}
				l, err := b.store.Get(t.Context(), id)
				if err != nil || l.State != deadletter.StateOpen || len(l.Redrives) != 0 {
					t.Errorf("letter = %+v, %v, want open without a redrive", l, err)
				}
				if n := len(b.h.Calls()); n != 1 {
					t.Errorf("handler was called %d times, want 1", n)
				}
			})
		})
	}
}

func (b *broken) edit(t *testing.T, change func(*deadletter.Letter)) {
	t.Helper()
	if err := b.store.Update(t.Context(), b.id, func(l *deadletter.Letter) error { change(l); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestRedriveThatCannotBeGivenIsRecordedAndOpen(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, b *broken)
		says  string
	}{
		"payload that cannot be decoded": {func(t *testing.T, b *broken) {
			b.edit(t, func(l *deadletter.Letter) { l.Payload = []byte("{") })
		}, "decode application/json as int"},
		"payload of another codec": {func(t *testing.T, b *broken) {
			b.edit(t, func(l *deadletter.Letter) { l.ContentType = "text/plain" })
		}, "not text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, topics.SubscriberConfig{})
				c.spoil(t, b)
				err := b.Redrive(t.Context(), b.id)
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Redrive = %v, want %q", err, c.says)
				}
				l := b.letter(t)
				if l.State != deadletter.StateOpen || len(l.Redrives) != 1 || l.Redrives[0].Outcome != deadletter.OutcomeAborted || !strings.Contains(l.Redrives[0].Error, c.says) {
					t.Errorf("letter is %s with %+v, want open and aborted", l.State, l.Redrives)
				}
			})
		})
	}
}

func TestRedrivesThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		h := troupetest.NewHandler[int](t).When(fresh, troupetest.Fail(supervisor.Permanent(errBoom)))
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Capacity: 2})
		publish(t, topic, 1, 2, 3)
		rt.Idle()
		sub.Pause()
		for i, l := range rt.Letters() {
			err := rt.Redrive(t.Context(), l.ID)
			if i < 2 && err != nil {
				t.Errorf("Redrive: %v", err)
			}
			if i == 2 {
				wantErr(t, "third Redrive", err, mailbox.ErrFull)
			}
		}
		sub.Resume()
		rt.WantLetters(deadletter.Letter{Sequence: 1, State: deadletter.StateResolved}, deadletter.Letter{Sequence: 2, State: deadletter.StateResolved},
			deadletter.Letter{Sequence: 3, State: deadletter.StateOpen})
	})
}

func TestRedriveNeverFansOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{})
		other := troupetest.NewHandler[int](t)
		subscribe(t, b.topic, "other", other.Handle)
		b.redrive(t)
		b.letter(t)
		b.h.WantEvents(1)
		other.WantEvents()
		if top, _ := b.Snapshot().Topic("t"); top.Accepted != 1 {
			t.Errorf("accepted = %d, want 1: a redrive is no publication", top.Accepted)
		}
	})
}

// A redriven event that fails waits aside: what it once broke it must not hold up.
func TestRedriveHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{}, troupetest.Fail(supervisor.RetryAfter(errBoom, time.Hour)))
		b.redrive(t)
		synctest.Wait()
		publish(t, b.topic, 2, 3)
		synctest.Wait()
		b.h.WantEvents(2, 3)
		b.Idle(2 * time.Hour)
		b.h.WantEvents(2, 3, 1)
	})
}

func TestLetterThatIsEvictedMeanwhile(t *testing.T) {
	evict := func(t *testing.T, b *broken) {
		if n, err := b.store.Delete(t.Context(), b.id); n != 1 || err != nil {
			t.Fatalf("Delete = %d, %v", n, err)
		}
	}
	t.Run("success needs no letter", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroken(t, topics.SubscriberConfig{})
			b.sub.Pause()
			b.redrive(t)
			evict(t, b)
			b.sub.Resume()
			b.WantLetters()
			b.h.WantEvents(1)
		})
	})
	t.Run("failure is a letter again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroken(t, topics.SubscriberConfig{}, troupetest.Fail(supervisor.Permanent(errors.New("still"))))
			b.sub.Pause()
			b.redrive(t)
			evict(t, b)
			b.sub.Resume()
			b.WantLetters(deadletter.Letter{ID: b.id, Sequence: 1, Error: "still", State: deadletter.StateOpen, Payload: []byte("1"), Subscriber: "s"})
		})
	})
}

func TestRedriveOfAnUnroutedLetterPublishesItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t", topics.Config{Unrouted: topics.DeadLetterUnrouted})
		if err := topic.PublishWith(t.Context(), 7, topics.Meta{Headers: map[string]string{"k": "v"}}); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{Topic: "t", Reason: supervisor.ReasonUnrouted, Payload: []byte("7"), Headers: map[string]string{"k": "v"}})
		a, b := troupetest.NewHandler[int](t), troupetest.NewHandler[int](t)
		subscribe(t, topic, "a", a.Handle)
		subscribe(t, topic, "b", b.Handle)
		if err := rt.Redrive(t.Context(), rt.Letters()[0].ID); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{State: deadletter.StateResolved, Reason: supervisor.ReasonUnrouted})
		a.WantEvents(7)
		b.WantEvents(7)
		if c := a.Calls()[0]; c.Headers["k"] != "v" || c.LetterID != "" {
			t.Errorf("delivery = %+v, want the headers", c)
		}
	})
}

func TestOutcomeOfARedriveSurvivesAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{}, troupetest.Fail(supervisor.Permanent(errBoom)))
		b.sub.Pause()
		b.redrive(t)
		b.store.failUpdate(func(context.Context, string, func(*deadletter.Letter) error) error { panic("store") })
		b.sub.Resume()
		time.Sleep(time.Minute)
		if c := counts(t, b.Runtime, "t", "s"); c.Parked != 1 {
			t.Errorf("counts = %+v, want 1 parked", c)
		}
		b.store.failUpdate(nil)
		if l := b.letter(t); l.State != deadletter.StateOpen || l.Redrives[0].Outcome != deadletter.OutcomeFailed || l.AttemptCount != 2 {
			t.Errorf("letter is %s with %+v, want open and failed", l.State, l.Redrives)
		}
	})
}

func TestRedriveThatMakesTheLetterTooLargeKeepsTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t, deadletter.MemoryConfig{MaxBytes: 8 << 10})
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic := open[int](t, rt, "t")
		h := troupetest.NewHandler[int](t).On(1, troupetest.Fail(supervisor.Permanent(errBoom))).
			On(2, troupetest.Fail(supervisor.Permanent(errors.New(strings.Repeat("x", 10<<10)))))
		subscribe(t, topic, "s", h.Handle)
		publish(t, topic, 1)
		rt.Idle()
		id := rt.Letters()[0].ID
		if err := rt.Redrive(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{ID: id, State: deadletter.StateOpen, Error: "boom"})
		if l := rt.Letters()[0]; l.Redrives[0].Outcome != deadletter.OutcomeFailed {
			t.Errorf("redrive = %+v, want failed", l.Redrives)
		}
	})
}
