package runtime_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// Whatever the store does, it costs no letter and hurts no subscriber, and once
// it works again everything is in it.
func TestStoreThatFailsCostsNothing(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context, release <-chan struct{}) error{
		"error":  func(context.Context, <-chan struct{}) error { return errBoom },
		"panic":  func(context.Context, <-chan struct{}) error { panic("store") },
		"goexit": func(context.Context, <-chan struct{}) error { goruntime.Goexit(); return nil },
		"slow": func(ctx context.Context, _ <-chan struct{}) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"hang": func(_ context.Context, release <-chan struct{}) error {
			<-release
			return errBoom
		},
		"letter error without a letter": func(context.Context, <-chan struct{}) error {
			return &deadletter.LetterError{Index: 1000, Err: errBoom}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				letGo := sync.OnceFunc(func() { close(release) })
				store := newPatchy(t)
				var failing, recovered atomic.Int64
				rt := troupetest.New(t, runtime.Config{DeadLetters: store, Observer: runtime.Observer{
					StoreFailing: func(e runtime.Event) {
						if e.Err == nil || e.Count == 0 {
							t.Errorf("StoreFailing = %+v, want an error and a count", e)
						}
						failing.Add(1)
					},
					StoreRecovered: func(runtime.Event) { recovered.Add(1) },
				}})
				t.Cleanup(letGo)
				store.fail(func(ctx context.Context, _ []deadletter.Letter) error { return fail(ctx, release) })
				topic := open[int](t, rt, "t")
				subscribe(t, topic, "fails", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
				healthy := troupetest.NewHandler[int](t)
				subscribe(t, topic, "healthy", healthy.Handle)
				publish(t, topic, 1, 2, 3)
				time.Sleep(2 * time.Minute)
				healthy.WantEvents(1, 2, 3)
				if c := counts(t, rt, "t", "fails"); c.Parked != 3 || c.DeadLettered != 0 {
					t.Errorf("counts = %+v, want 3 parked", c)
				}
				snap := rt.Snapshot()
				if snap.Letters.Waiting != 3 || snap.Letters.Failing == "" || snap.Letters.Since.IsZero() {
					t.Errorf("letters = %+v, want 3 waiting for a store that fails", snap.Letters)
				}
				if err := rt.Health(); err == nil || !strings.Contains(err.Error(), "dead-letter store: failing since") {
					t.Errorf("Health = %v, want the store's failure", err)
				}
				// It is asked again with growing pauses, not in a loop.
				if n := store.calls(); n < 3 || n > 60 {
					t.Errorf("%d calls of the store in 2 minutes, want about one in 5 s", n)
				}
				store.fail(nil)
				letGo()
				time.Sleep(5 * time.Minute) // the longest pause
				synctest.Wait()
				rt.WantLetters(deadletter.Letter{Sequence: 1}, deadletter.Letter{Sequence: 2}, deadletter.Letter{Sequence: 3})
				if c := counts(t, rt, "t", "fails"); c.Parked != 0 || c.DeadLettered != 3 {
					t.Errorf("counts = %+v, want 3 dead-lettered", c)
				}
				if failing.Load() != 1 || recovered.Load() != 1 {
					t.Errorf("told of %d failures and %d recoveries, want one each", failing.Load(), recovered.Load())
				}
				if err := rt.Health(); err != nil {
					t.Errorf("Health = %v, want nil again", err)
				}
			})
		})
	}
}

// A call of the store that was given up may come to its end after all, when the
// next one has done the same work.
func TestStoreCallThatComesLateChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		release := make(chan struct{})
		var calls atomic.Int64
		store.fail(func(ctx context.Context, ls []deadletter.Letter) error {
			if calls.Add(1) == 1 {
				<-release
			}
			return store.Memory.Add(context.WithoutCancel(ctx), ls)
		})
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
		publish(t, topic, 1)
		rt.Idle(10 * time.Minute)
		publish(t, topic, 2)
		rt.Idle()
		close(release)
		synctest.Wait()
		rt.WantLetters(deadletter.Letter{Sequence: 1}, deadletter.Letter{Sequence: 2})
		if c := counts(t, rt, "t", "s"); c.DeadLettered != 2 || c.Parked != 0 {
			t.Errorf("counts = %+v, want 2 dead-lettered", c)
		}
	})
}

func TestLettersAreWrittenInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", ok[int]).Pause()
		for n := range 1000 {
			publish(t, topic, n)
		}
		sub, err := rt.Subscription("t", "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := sub.Unsubscribe(t.Context(), runtime.DeadLetterRest); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		if letters := rt.Letters(); len(letters) != 1000 {
			t.Errorf("%d letters, want 1000", len(letters))
		}
		if n := store.calls(); n > 500 {
			t.Errorf("%d calls of the store for 1000 letters, want batches", n)
		}
	})
}

func TestSubscriberWithManyUnwrittenLettersWaitsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		rt := troupetest.New(t, runtime.Config{DeadLetters: store, MaxParkedLetters: 4})
		store.fail(func(context.Context, []deadletter.Letter) error { return errBoom })
		topic := open[int](t, rt, "t")
		bad := troupetest.NewHandler[int](t).When(nil, troupetest.Fail(supervisor.Permanent(errBoom)))
		subscribe(t, topic, "bad", bad.Handle)
		good := troupetest.NewHandler[int](t)
		subscribe(t, topic, "good", good.Handle)
		few := troupetest.NewHandler[int](t).On(3, troupetest.Fail(supervisor.Permanent(errBoom)))
		subscribe(t, topic, "few", few.Handle)
		for n := range 20 {
			publish(t, topic, n)
		}
		time.Sleep(time.Minute)
		if n := len(good.Events()); n != 20 {
			t.Errorf("good handled %d events, want 20", n)
		}
		if n := len(few.Events()); n != 19 {
			t.Errorf("few, with one letter, handled %d events, want 19", n)
		}
		// Four letters wait, and one is in the hand of the subscriber, which
		// handles nothing meanwhile.
		if n := len(bad.Calls()); n != 5 {
			t.Errorf("bad was called %d times, want 5", n)
		}
		if c := counts(t, rt, "t", "bad"); c.Parked != 5 || c.Queued != 15 {
			t.Errorf("counts = %+v, want 5 parked and 15 queued", c)
		}
		top, _ := rt.Snapshot().Topic("t")
		if s, _ := top.Subscriber("bad"); s.State != actors.StateLettersFull {
			t.Errorf("state = %s, want %s", s.State, actors.StateLettersFull)
		}
		store.fail(nil)
		rt.Idle(time.Hour)
		if c := counts(t, rt, "t", "bad"); c.DeadLettered != 20 {
			t.Errorf("counts = %+v, want 20 dead-lettered", c)
		}
	})
}

func TestOverflowBeyondUnwrittenLettersIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		store.fail(func(context.Context, []deadletter.Letter) error { return errBoom })
		var dropped atomic.Uint64
		rt := troupetest.New(t, runtime.Config{DeadLetters: store, MaxParkedLetters: 2, Observer: runtime.Observer{
			Dropped: func(e runtime.Event) {
				if e.Reason == actors.ReasonDeadLettersUnavailable {
					dropped.Add(e.Count)
				}
			},
		}})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", ok[int], topics.SubscriberConfig{Capacity: 3, Overflow: mailbox.DeadLetter}).Pause()
		for n := range 10 {
			publish(t, topic, n) // never held back
		}
		c := counts(t, rt, "t", "s")
		if c.Queued != 3 || c.Parked != 2 || c.Dropped[actors.ReasonDeadLettersUnavailable] != 5 {
			t.Errorf("counts = %+v, want 3 queued, 2 parked, 5 dropped", c)
		}
		store.fail(nil)
		if err := rt.Resume("t", "s"); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{Sequence: 4, Reason: supervisor.ReasonOverflow, Payload: []byte("3")},
			deadletter.Letter{Sequence: 5, Reason: supervisor.ReasonOverflow})
		if dropped.Load() != 5 {
			t.Errorf("told of %d drops, want 5", dropped.Load())
		}
	})
}

func TestLetterThatIsTooLargeIsKeptWithoutItsPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{DeadLetters: newPatchy(t, deadletter.MemoryConfig{MaxBytes: 16 << 10})})
		topic := open[string](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, string) error { return supervisor.Permanent(errBoom) })
		large := strings.Repeat("x", 20<<10)
		publish(t, topic, "a", large, "b")
		rt.Idle()
		var bare deadletter.Letter
		for _, l := range rt.Letters() {
			if l.Sequence == 2 {
				bare = l
			} else if len(l.Payload) == 0 {
				t.Errorf("letter %d lost its payload, too", l.Sequence)
			}
		}
		if bare.Payload != nil || !strings.Contains(bare.PayloadError, "left out, 20482 bytes") || bare.Error != "boom" {
			t.Errorf("letter = %+v, want one without payload that says so", bare)
		}
		if c := counts(t, rt, "t", "s"); c.DeadLettered != 3 {
			t.Errorf("counts = %+v, want 3 dead-lettered", c)
		}
		wantErr(t, "Redrive", rt.Redrive(t.Context(), bare.ID), runtime.ErrNoPayload)
	})
}

func TestLetterThatIsRefusedForGoodIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		store.fail(func(ctx context.Context, ls []deadletter.Letter) error {
			for i, l := range ls {
				if l.Sequence == 2 {
					return &deadletter.LetterError{Index: i, ID: l.ID, Err: deadletter.ErrTooLarge}
				}
			}
			return store.Memory.Add(ctx, ls)
		})
		var dropped notes[runtime.Event]
		rt := troupetest.New(t, runtime.Config{DeadLetters: store, Observer: runtime.Observer{Dropped: dropped.add}})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
		publish(t, topic, 1, 2, 3)
		rt.WantLetters(deadletter.Letter{Sequence: 1}, deadletter.Letter{Sequence: 3})
		c := counts(t, rt, "t", "s")
		if c.DeadLettered != 2 || c.Dropped[runtime.ReasonLetterRefused] != 1 || c.Parked != 0 {
			t.Errorf("counts = %+v, want 2 dead-lettered and 1 refused", c)
		}
		if d := dropped.all(); len(d) != 1 || d[0].Sequence != 2 || d[0].Reason != runtime.ReasonLetterRefused || d[0].Count != 1 {
			t.Errorf("told of drops %+v, want that of event 2", d)
		}
	})
}

func TestCodecThatFailsCostsThePayloadOnly(t *testing.T) {
	for name, c := range map[string]struct {
		marshal func(release <-chan struct{}) ([]byte, error)
		says    string
	}{
		"error":  {func(<-chan struct{}) ([]byte, error) { return nil, errBoom }, "boom"},
		"panic":  {func(<-chan struct{}) ([]byte, error) { panic("codec") }, "the codec panicked: codec"},
		"goexit": {func(<-chan struct{}) ([]byte, error) { goruntime.Goexit(); return nil, nil }, "the codec does not return"},
		"hang":   {func(release <-chan struct{}) ([]byte, error) { <-release; return nil, nil }, "the codec does not return"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				rt := troupetest.New(t)
				t.Cleanup(func() { close(release) })
				topic := open[int](t, rt, "t", topics.Config{Codec: codec{marshal: func(v any) ([]byte, error) {
					if v == 2 {
						return c.marshal(release)
					}
					return []byte(fmt.Sprint(v)), nil
				}}})
				subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
				publish(t, topic, 1, 2, 3)
				rt.Idle(10 * time.Minute)
				letters := rt.Letters()
				if len(letters) != 3 {
					t.Fatalf("%d letters, want 3", len(letters))
				}
				for i, l := range letters {
					if i == 1 {
						if l.Payload != nil || l.PayloadError != c.says || l.Error != "boom" {
							t.Errorf("letter = %+v, want PayloadError %q and no payload", l, c.says)
						}
						wantErr(t, "Redrive", rt.Redrive(t.Context(), l.ID), runtime.ErrNoPayload)
					} else if string(l.Payload) != fmt.Sprint(i+1) || l.PayloadError != "" || l.ContentType != "test/codec" {
						t.Errorf("letter = %+v, want its payload", l)
					}
				}
			})
		})
	}
}

func TestEventThatJSONCannotEncodeIsKeptWithoutPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[func()](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, func()) error { return supervisor.Permanent(errBoom) })
		publish(t, topic, func() {})
		rt.Idle()
		if l := rt.Letters(); len(l) != 1 || l[0].Payload != nil || !strings.Contains(l[0].PayloadError, "unsupported type") || l[0].GoType != "func()" {
			t.Errorf("letters = %+v, want one that says why it has no payload", l)
		}
	})
}

type badError struct{}

func (badError) Error() string { panic("no words") }

func TestErrorWhoseMethodPanicsIsStillALetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return badError{} }, topics.SubscriberConfig{Retry: once})
		publish(t, topic, 1)
		rt.Idle()
		if l := rt.Letters(); len(l) != 1 || !strings.Contains(l[0].Error, "badError, whose Error method panics: no words") {
			t.Errorf("letters = %+v, want one with the type of the error", l)
		}
	})
}

type wrapped struct{ err error }

func (w *wrapped) Error() string { return "wrapped: " + w.err.Error() }
func (w *wrapped) Unwrap() error { return w.err }

func TestLetterTellsEverythingThatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		type order struct{ ID string }
		topic := open[order](t, rt, "orders.placed")
		subscribe(t, topic, "billing", func(ctx context.Context, o order) error {
			time.Sleep(2 * time.Second)
			if d, _ := topics.DeliveryFrom(ctx); d.Attempt < 3 {
				return fmt.Errorf("bill: %w", &wrapped{errBoom})
			}
			explode(o.ID)
			return nil
		}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Second, Jitter: supervisor.NoJitter}})
		publish(t, topic, order{"o-0"})
		headers := map[string]string{"tenant": "x"}
		published := time.Now().UTC()
		if err := topic.PublishWith(t.Context(), order{"o-1"}, topics.Meta{Headers: headers}); err != nil {
			t.Fatal(err)
		}
		headers["tenant"] = "changed"
		rt.Idle(time.Hour)
		letters := rt.Letters()
		if len(letters) != 2 {
			t.Fatalf("%d letters, want 2", len(letters))
		}
		l := letters[1]
		// The first event takes 3 attempts of 2 s and waits 1 s and 2 s.
		started := published.Add(9 * time.Second)
		want := deadletter.Letter{
			Topic: "orders.placed", Subscriber: "billing", Sequence: 2,
			Payload: []byte(`{"ID":"o-1"}`), ContentType: "application/json", GoType: "runtime_test.order", Headers: map[string]string{"tenant": "x"},
			Reason: supervisor.ReasonExhausted, Cause: "panic", Error: "panic: exploded: o-1",
			ErrorTypes: []string{"*supervisor.PanicError"}, PanicValue: "exploded: o-1", AttemptCount: 3,
			PublishedAt: published, FirstFailedAt: started.Add(2 * time.Second), LastFailedAt: started.Add(9 * time.Second),
			State: deadletter.StateOpen,
			Attempts: []deadletter.Attempt{
				{Number: 1, Started: started, Duration: 2 * time.Second, Cause: "error", Error: "bill: wrapped: boom"},
				{Number: 2, Started: started.Add(3 * time.Second), Duration: 2 * time.Second, Cause: "error", Error: "bill: wrapped: boom"},
				{Number: 3, Started: started.Add(7 * time.Second), Duration: 2 * time.Second, Cause: "panic", Error: "panic: exploded: o-1"},
			},
		}
		rt.WantLetters(deadletter.Letter{Sequence: 1}, want)
		if l.ID == "" || l.Node == "" || l.Fingerprint == "" || l.PayloadError != "" || len(l.Redrives) != 0 {
			t.Errorf("letter = %+v, want an ID, a node and a fingerprint", l)
		}
		lines := strings.Split(strings.TrimSpace(l.Stack), "\n")
		if !strings.HasSuffix(lines[0], "runtime_test.explode") || !strings.Contains(l.Stack, "TestLetterTellsEverything") ||
			strings.Contains(l.Stack, "actors.") || strings.Contains(l.Stack, "protoactor") || strings.Contains(l.Stack, "runtime.gopanic") {
			t.Errorf("stack is not that of the user's code:\n%s", l.Stack)
		}
	})
}

//go:noinline
func explode(id string) { panic("exploded: " + id) }

func TestFingerprintIsEqualForEqualFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		fail := func(_ context.Context, n int) error {
			switch {
			case n < 10:
				return fmt.Errorf("order %d of customer %d not found", n, n*7919)
			case n < 20:
				explode(fmt.Sprint(n))
			}
			return errBoom
		}
		subscribe(t, topic, "a", fail, topics.SubscriberConfig{Retry: once})
		subscribe(t, topic, "b", fail, topics.SubscriberConfig{Retry: once})
		publish(t, topic, 1, 2, 11, 12, 21, 22)
		rt.Idle(time.Hour)
		groups := map[string][]string{}
		for _, l := range rt.Letters() {
			groups[l.Fingerprint] = append(groups[l.Fingerprint], l.Subscriber+string(l.Payload))
		}
		if len(groups) != 6 {
			t.Errorf("fingerprints group letters as %v, want pairs of equal failures of one subscriber", groups)
		}
		for f, g := range groups {
			if f == "" || len(g) != 2 {
				t.Errorf("group %q = %v, want 2", f, g)
			}
		}
	})
}

func TestLetterHasTheFirstAndTheNewestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return errBoom },
			topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 50, BaseDelay: supervisor.NoDelay}})
		publish(t, topic, 1)
		rt.Idle()
		l := rt.Letters()[0]
		if l.AttemptCount != 50 || len(l.Attempts) != deadletter.MaxAttempts || l.Attempts[0].Number != 1 ||
			l.Attempts[1].Number != 32 || l.Attempts[19].Number != 50 {
			t.Errorf("%d attempts, kept %+v, want 50, the first and 32 to 50", l.AttemptCount, l.Attempts)
		}
	})
}

// A full store gives up letters and says so; the account of the runtime is of
// what happened and does not change.
func TestEvictedLettersAreCountedByTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var evicted notes[uint64]
		store := newPatchy(t, deadletter.MemoryConfig{Capacity: 2, OnEvict: func(l deadletter.Letter) { evicted.add(l.Sequence) }})
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
		publish(t, topic, 1, 2, 3, 4, 5)
		rt.WantLetters(deadletter.Letter{Sequence: 4}, deadletter.Letter{Sequence: 5})
		wantSlice(t, "evicted", evicted.all(), 1, 2, 3)
		if s := store.Stats(); s.Added != 5 || s.Evicted != 3 || s.Stored != 2 {
			t.Errorf("stats = %+v, want 5 added, 3 evicted", s)
		}
		if c := counts(t, rt, "t", "s"); c.DeadLettered != 5 {
			t.Errorf("counts = %+v, want 5 dead-lettered", c)
		}
	})
}

// The dead-letter actor's own failures are not dead letters.
func TestDeadLettersAreNeverDeadLettered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		store.fail(func(context.Context, []deadletter.Letter) error { panic(errors.New("store")) })
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
		publish(t, topic, 1)
		time.Sleep(time.Hour)
		store.fail(nil)
		time.Sleep(10 * time.Minute)
		rt.WantLetters(deadletter.Letter{Sequence: 1, Subscriber: "s"})
		if snap := rt.Snapshot(); len(snap.Topics) != 1 || len(snap.Topics[0].Subscribers) != 1 {
			t.Errorf("snapshot shows more than the program's own: %+v", snap)
		}
	})
}
