package topics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// call is one call of a handler of batches.
type call struct {
	at      time.Duration // since the test began
	events  []int
	attempt int
}

func (c call) String() string { return fmt.Sprintf("%v at %v", c.events, c.at) }

// batches writes down what a handler of batches is given, and does what do says.
type batches struct {
	began time.Time
	mu    sync.Mutex
	list  []call
	do    func(ctx context.Context, batch []int) error
}

func newBatches(do func(context.Context, []int) error) *batches {
	return &batches{began: time.Now(), do: do}
}

func (b *batches) handle(ctx context.Context, batch []int) error {
	d, _ := topics.DeliveryFrom(ctx)
	b.mu.Lock()
	b.list = append(b.list, call{time.Since(b.began), slices.Clone(batch), d.Attempt})
	b.mu.Unlock()
	if b.do == nil {
		return nil
	}
	return b.do(ctx, batch)
}

func (b *batches) calls() []call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}

// want compares the calls with their texts.
func (b *batches) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for _, c := range b.calls() {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// without compares the events of the calls.
func (b *batches) wantEvents(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for _, c := range b.calls() {
		got = append(got, fmt.Sprint(c.events))
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func subscribeBatch(t testing.TB, topic *topics.Topic[int], name string, handle topics.BatchHandler[int], cfg ...topics.SubscriberConfig) *topics.Subscription {
	t.Helper()
	sub, err := topic.SubscribeBatch(name, handle, cfg...)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return sub
}

// burst publishes events that the subscriber gets to see together.
func burst(t testing.TB, topic *topics.Topic[int], sub *topics.Subscription, events ...int) {
	t.Helper()
	sub.Pause()
	synctest.Wait()
	publish(t, topic, events...)
	sub.Resume()
	synctest.Wait()
}

// quick is a policy of two attempts, a second apart.
var quick = supervisor.Retry{MaxAttempts: 2, BaseDelay: time.Second, Jitter: supervisor.NoJitter}

func size(n int) topics.BatchConfig { return topics.BatchConfig{Size: n} }

// fails returns a handler that fails with err as long as one of the events is in
// the batch.
func fails(err error, poison ...int) func(context.Context, []int) error {
	return func(_ context.Context, batch []int) error {
		if slices.ContainsFunc(batch, func(ev int) bool { return slices.Contains(poison, ev) }) {
			return err
		}
		return nil
	}
}

// reasons returns event and reason of each letter.
func reasons(rt *troupetest.Runtime) []string {
	var got []string
	for _, l := range rt.Letters() {
		got = append(got, string(l.Payload)+" "+l.Reason)
	}
	return got
}

func seq(n int) []int {
	var s []int
	for i := range n {
		s = append(s, i)
	}
	return s
}

func TestBatchBeginsBySizeOrPeriod(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Reject, mailbox.DropOldest, mailbox.DeadLetter, mailbox.Unbounded} {
		t.Run(over.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				b := newBatches(func(context.Context, []int) error { time.Sleep(100 * time.Millisecond); return nil })
				subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(3), Overflow: over})
				publish(t, topic, 0, 1)
				synctest.Wait()
				if got := counts(t, rt, "s"); got.Queued != 2 || got.InFlight != 0 {
					t.Errorf("while they wait: %+v", got)
				}
				time.Sleep(300 * time.Millisecond)
				publish(t, topic, 2)
				synctest.Wait()
				if got := counts(t, rt, "s"); got.Queued != 0 || got.InFlight != 3 {
					t.Errorf("in hand: %+v", got)
				}
				publish(t, topic, 3, 4, 5, 6) // while the first batch is in hand
				b.want(t, "[0 1 2] at 300ms")
				time.Sleep(150 * time.Millisecond)
				b.want(t, "[0 1 2] at 300ms", "[3 4 5] at 400ms")
				time.Sleep(5 * time.Second)
				// A second after the batch before it was taken: it cannot have waited for longer.
				b.want(t, "[0 1 2] at 300ms", "[3 4 5] at 400ms", "[6] at 1.4s")
				publish(t, topic, 7) // woken for it
				time.Sleep(5 * time.Second)
				b.want(t, "[0 1 2] at 300ms", "[3 4 5] at 400ms", "[6] at 1.4s", "[7] at 6.45s")
				if got := counts(t, rt, "s"); got.Done != 8 {
					t.Errorf("%+v, want 8 done", got)
				}
			})
		})
	}
}

func TestBatchConfig(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	batch := func(context.Context, []int) error { return nil }
	for _, c := range []struct {
		cfg  topics.SubscriberConfig
		want []string
	}{
		{topics.SubscriberConfig{Capacity: 10, Batch: size(11)}, []string{"Batch.Size 11: must be between 1 and Capacity, which is 10"}},
		{topics.SubscriberConfig{Capacity: 99}, []string{"Batch.Size 100"}},
		{topics.SubscriberConfig{Timeout: -1, Batch: topics.BatchConfig{Size: -1, Period: -2}}, []string{"Batch.Size -1", "Batch.Period -2ns", "Timeout -1ns"}},
		{topics.SubscriberConfig{Capacity: 10, Batch: size(10)}, nil},
		{topics.SubscriberConfig{Capacity: 10, Overflow: mailbox.Unbounded, Batch: size(11)}, nil},
		{topics.SubscriberConfig{Batch: topics.BatchConfig{Period: supervisor.NoDelay}}, nil},
	} {
		_, err := topic.SubscribeBatch("s", batch, c.cfg)
		if err == nil != (c.want == nil) {
			t.Errorf("%+v: error = %v, want %q", c.cfg, err, c.want)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		}
		if err == nil {
			sub, _ := rt.Subscription("t", "s")
			_ = sub.Unsubscribe(t.Context(), runtime.Drain)
		}
	}
	if _, err := topic.Subscribe("s", ok, topics.SubscriberConfig{Batch: size(2)}); err == nil || !strings.Contains(err.Error(), "SubscribeBatch") {
		t.Errorf("Batch for a handler of events: %v", err)
	}
	for what, err := range map[string]error{
		"SubscribeBatch":               second(topic.SubscribeBatch("s", nil)),
		"SubscribeBatchFactory":        second(topic.SubscribeBatchFactory("s", nil)),
		"SubscribePatternBatch":        second(topics.SubscribePatternBatch[int](rt.Runtime, "t.*", "s", nil)),
		"SubscribePatternBatchFactory": second(topics.SubscribePatternBatchFactory[int](rt.Runtime, "t.*", "s", nil)),
	} {
		if err == nil || !strings.Contains(err.Error(), "must not be nil") {
			t.Errorf("%s of nil: error = %v", what, err)
		}
	}
}

func second[A any](_ A, err error) error { return err }

// NoDelay takes what is there.
func TestBatchWithoutPeriodTakesWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(func(context.Context, []int) error { time.Sleep(time.Second); return nil })
		subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: topics.BatchConfig{Period: supervisor.NoDelay}})
		publish(t, topic, 0)
		synctest.Wait()
		publish(t, topic, 1, 2)
		rt.Idle()
		b.want(t, "[0] at 0s", "[1 2] at 1s")
	})
}

// A batch of the size of the mailbox begins when that is full, also if positions
// of the log have been given up and hold no event.
func TestFullMailboxBeginsABatch(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Reject} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			b := newBatches(nil)
			subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{
				Capacity: 4, Overflow: over, Batch: topics.BatchConfig{Size: 4, Period: time.Hour},
			})
			var wg sync.WaitGroup
			for n := range 40 {
				wg.Go(func() {
					for topic.Publish(t.Context(), n) != nil {
						time.Sleep(time.Millisecond)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			if got := counts(t, rt, "s"); got.Done != 40 || len(b.calls()) != 10 {
				t.Errorf("%v: %d calls, %+v, want 40 in 10", over, len(b.calls()), got)
			}
		})
	}
}

// A failing batch is retried whole, then split until the culprit is alone, which has
// its own attempts from then on and becomes the letter.
func TestFailingBatchIsTakenApartUntilTheCulpritIsAlone(t *testing.T) {
	for _, ordering := range []actors.Ordering{topics.Ordered, topics.Parked} {
		t.Run(ordering.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				b := newBatches(fails(errBoom, 5))
				sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(8), Retry: quick, Ordering: ordering})
				burst(t, topic, sub, seq(8)...)
				rt.Idle()
				b.want(t,
					"[0 1 2 3 4 5 6 7] at 0s", "[0 1 2 3 4 5 6 7] at 1s", // whole
					"[0 1 2 3] at 1s", "[4 5 6 7] at 1s", "[4 5] at 1s", "[4] at 1s", // apart
					"[5] at 1s", "[5] at 2s", // alone
					"[6 7] at 2s")
				wantSlice(t, "letters", reasons(rt), "5 attempts_exhausted")
				l := rt.Letters()[0]
				if len(l.Attempts) != 6 || l.Attempts[5].Number != 6 {
					t.Errorf("attempts of the letter: %+v, want 6", l.Attempts)
				}
				got := counts(t, rt, "s")
				if got.Done != 7 || got.DeadLettered != 1 || got.Failures != 6 || got.Retries != 8 {
					t.Errorf("%+v, want 7 done, a letter, 6 failures, 8 retries", got)
				}
			})
		})
	}
}

// Ordered lets nothing overtake a batch that waits or is taken apart; Parked does.
func TestBatchThatWaitsAndThoseBehindIt(t *testing.T) {
	for _, c := range []struct {
		ordering actors.Ordering
		want     []string
	}{
		{topics.Ordered, []string{"[0 1]", "[0 1]", "[0]", "[0]", "[1]", "[2 3]"}},
		{topics.Parked, []string{"[0 1]", "[2 3]", "[0 1]", "[0]", "[0]", "[1]"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			b := newBatches(fails(errBoom, 0))
			subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2), Retry: quick, Ordering: c.ordering})
			publish(t, topic, 0, 1, 2, 3)
			rt.Idle()
			b.wantEvents(t, c.want...)
			wantSlice(t, "letters", reasons(rt), "0 attempts_exhausted")
		})
	}
}

// Beyond MaxParked a batch waits at the head.
func TestParkedBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(fails(errBoom, 0, 2, 4))
		subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2), Retry: quick, Ordering: topics.Parked, MaxParked: 3})
		publish(t, topic, seq(8)...)
		synctest.Wait()
		b.wantEvents(t, "[0 1]", "[2 3]") // and not 4 and 5
		if got := counts(t, rt, "s"); got.RetryWait != 4 || got.Queued != 4 {
			t.Errorf("%+v, want 4 aside, 4 queued", got)
		}
		rt.Idle()
		if got := counts(t, rt, "s"); got.Done != 5 || got.DeadLettered != 3 {
			t.Errorf("%+v, want 5 done, 3 letters", got)
		}
	})
}

// A failure that is nobody's fault takes a batch apart, and each of its events still
// gets all the attempts of its own.
func TestOutageThatOutlivesTheBatchCostsNoLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(nil)
		b.do = func(context.Context, []int) error {
			if time.Since(b.began) < 2500*time.Millisecond {
				return errBoom
			}
			return nil
		}
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{
			Batch: size(4), Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Second, Jitter: supervisor.NoJitter, MaxDelay: time.Second},
		})
		burst(t, topic, sub, 0, 1, 2, 3)
		rt.Idle()
		b.want(t, "[0 1 2 3] at 0s", "[0 1 2 3] at 1s", "[0 1 2 3] at 2s",
			"[0 1] at 2s", "[0] at 2s", "[0] at 3s", "[1] at 3s", "[2 3] at 3s")
		if got := counts(t, rt, "s"); got.Done != 4 || got.DeadLettered != 0 {
			t.Errorf("%+v, want 4 done", got)
		}
	})
}

func TestVerdictsOnABatch(t *testing.T) {
	for _, c := range []struct {
		name    string
		handle  func(context.Context, []int) error
		retry   supervisor.Retry
		calls   []string
		letters []string
		done    uint64
		skipped uint64
	}{
		{"permanent", fails(supervisor.Permanent(errBoom), 1), quick,
			[]string{"[0 1 2] at 0s", "[0 1] at 0s", "[0] at 0s", "[1] at 0s", "[2] at 0s"}, []string{"1 permanent"}, 2, 0},
		{"skip", fails(supervisor.Skip(errBoom), 1), quick, []string{"[0 1 2] at 0s"}, nil, 0, 3},
		{"retry after", fails(supervisor.RetryAfter(errBoom, 10*time.Second), 1), quick,
			[]string{"[0 1 2] at 0s", "[0 1 2] at 10s", "[0 1] at 20s", "[0] at 30s", "[1] at 30s", "[1] at 40s", "[2] at 40s"},
			[]string{"1 attempts_exhausted"}, 2, 0},
		{"no retry", fails(errBoom, 1), once, []string{"[0 1 2] at 0s", "[0 1] at 0s", "[0] at 0s", "[1] at 0s", "[2] at 0s"},
			[]string{"1 attempts_exhausted"}, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				b := newBatches(c.handle)
				sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(3), Retry: c.retry})
				burst(t, topic, sub, 0, 1, 2)
				rt.Idle(time.Hour)
				b.want(t, c.calls...)
				wantSlice(t, "letters", reasons(rt), c.letters...)
				if got := counts(t, rt, "s"); got.Done != c.done || got.Dropped["skipped"] != c.skipped {
					t.Errorf("%+v, want %d done, %d skipped", got, c.done, c.skipped)
				}
			})
		})
	}
}

// Without a limit a batch is taken apart all the same, and only the culprit is
// retried for ever.
func TestUnlimitedRetriesDoNotHoldUpABatchForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(nil)
		b.do = func(ctx context.Context, batch []int) error {
			if time.Since(b.began) > time.Minute {
				return nil
			}
			return fails(errBoom, 0)(ctx, batch)
		}
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2), Ordering: topics.Parked, Retry: supervisor.Retry{
			MaxAttempts: supervisor.Unlimited, BaseDelay: time.Second, MaxDelay: time.Second, Jitter: supervisor.NoJitter,
		}})
		burst(t, topic, sub, 0, 1)
		time.Sleep(30 * time.Second)
		for i, c := range b.calls() {
			if want := i < 5; want != (len(c.events) == 2) {
				t.Errorf("call %d: %v", i, c)
			}
		}
		rt.Idle(time.Hour)
		if got := counts(t, rt, "s"); got.Done != 2 || got.DeadLettered != 0 {
			t.Errorf("%+v, want 2 done", got)
		}
	})
}

// partly returns a handler that names the events of which err returns an error.
func partly(of func(ev int) error) func(context.Context, []int) error {
	return func(_ context.Context, batch []int) error {
		var failed topics.BatchError
		for i, ev := range batch {
			failed.Fail(i, of(ev))
		}
		return failed.Err()
	}
}

// A handler that names those that failed has handled the others; each has the
// verdict of its own error.
func TestPartialResults(t *testing.T) {
	for _, wrap := range []func(error) error{
		func(err error) error { return err },
		func(err error) error {
			if err == nil {
				return nil
			}
			return fmt.Errorf("insert: %w", err)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			named := partly(func(ev int) error {
				switch ev {
				case 1, 5:
					return errBoom
				case 2:
					return supervisor.Permanent(errors.New("no such account"))
				case 3:
					return supervisor.Skip(errBoom)
				case 4:
					return supervisor.RetryAfter(errBoom, 7*time.Second)
				}
				return nil
			})
			b := newBatches(func(ctx context.Context, batch []int) error { return wrap(named(ctx, batch)) })
			sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(8), Retry: quick})
			burst(t, topic, sub, seq(8)...)
			if got := counts(t, rt, "s"); got.Done != 3 || got.RetryWait != 3 || got.DeadLettered != 1 || got.Dropped["skipped"] != 1 {
				t.Errorf("after the first call: %+v", got)
			}
			rt.Idle(time.Hour)
			b.want(t, "[0 1 2 3 4 5 6 7] at 0s", "[1 4 5] at 7s") // one smaller batch, when all are due
			wantSlice(t, "letters", reasons(rt), "2 permanent", "1 attempts_exhausted", "4 attempts_exhausted", "5 attempts_exhausted")
			if l := rt.Letters()[0]; len(l.Attempts) != 1 || l.Attempts[0].Error != "no such account" {
				t.Errorf("letter of 2: %+v", l.Attempts)
			}
		})
	}
}

func TestPartialResultsOfOddShapes(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     func(batch []int) error
		calls   []string
		letters []string
	}{
		{"names nobody", func([]int) error { return &topics.BatchError{} }, []string{"[0 1]"}, nil},
		{"nil errors", func([]int) error { return &topics.BatchError{Failed: map[int]error{0: nil, 1: nil}} }, []string{"[0 1]"}, nil},
		{"nil pointer", func([]int) error { var e *topics.BatchError; return e }, []string{"[0 1]", "[0]", "[1]"}, []string{"0 attempts_exhausted", "1 attempts_exhausted"}},
		{"a verdict for all", func([]int) error {
			return supervisor.Permanent(&topics.BatchError{Failed: map[int]error{0: errBoom}})
		}, []string{"[0 1]"}, []string{"0 permanent"}},
		{"joined", func([]int) error { return errors.Join(errBoom, &topics.BatchError{Failed: map[int]error{0: errBoom}}) },
			[]string{"[0 1]"}, []string{"0 attempts_exhausted"}},
		{"out of range", func(batch []int) error {
			if len(batch) == 2 {
				return &topics.BatchError{Failed: map[int]error{2: errBoom}}
			}
			return nil
		}, []string{"[0 1]", "[0]", "[1]"}, nil},
		{"out of range when alone", func(batch []int) error {
			if len(batch) == 2 || batch[0] == 1 {
				return &topics.BatchError{Failed: map[int]error{-1: errBoom}}
			}
			return nil
		}, []string{"[0 1]", "[0]", "[1]"}, []string{"1 attempts_exhausted"}},
		{"panics when asked", func(batch []int) error {
			if len(batch) == 2 {
				return bomb{}
			}
			return nil
		}, []string{"[0 1]", "[0]", "[1]"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				b := newBatches(func(_ context.Context, batch []int) error { return c.err(batch) })
				sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2), Retry: once})
				burst(t, topic, sub, 0, 1)
				rt.Idle()
				b.wantEvents(t, c.calls...)
				wantSlice(t, "letters", reasons(rt), c.letters...)
				for _, l := range rt.Letters() {
					if err := l.Attempts[len(l.Attempts)-1].Error; strings.HasPrefix(c.name, "out") && !strings.Contains(err, "names event -1 of a batch of 1") {
						t.Errorf("error of the letter: %q", err)
					}
				}
			})
		})
	}
}

// bomb is an error whose methods panic.
type bomb struct{}

func (bomb) Error() string { return "bomb" }
func (bomb) As(any) bool   { panic("boom") }

// Those that a part of a batch names are attempted alone: they have been in company
// for long enough.
func TestNamedOfAPartAreAttemptedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(func(ctx context.Context, batch []int) error {
			if len(batch) > 4 {
				return errBoom // does not say who it was
			}
			return partly(func(ev int) error {
				if ev == 1 || ev == 2 {
					return errBoom
				}
				return nil
			})(ctx, batch)
		})
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(8), Retry: quick})
		burst(t, topic, sub, seq(8)...)
		rt.Idle()
		b.want(t, "[0 1 2 3 4 5 6 7] at 0s", "[0 1 2 3 4 5 6 7] at 1s", "[0 1 2 3] at 1s", "[1] at 2s", "[2] at 2s", "[4 5 6 7] at 2s")
		wantSlice(t, "letters", reasons(rt), "1 attempts_exhausted", "2 attempts_exhausted")
	})
}

// A panic restarts the instance, and the batch in hand is attempted again.
func TestPanicOfABatchRestarts(t *testing.T) {
	for what, die := range map[string]func(){"panic": func() { panic("boom") }, "goexit": func() { goexit() }} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				b := newBatches(nil)
				instances := 0
				sub, err := topic.SubscribeBatchFactory("s", func() topics.Behavior[[]int] {
					instances++
					first := instances == 1
					return topics.Behavior[[]int]{Receive: func(ctx context.Context, batch []int) error {
						_ = b.handle(ctx, batch)
						if first {
							die()
						}
						return nil
					}}
				}, topics.SubscriberConfig{Batch: size(3), Retry: quick})
				if err != nil {
					t.Fatal(err)
				}
				burst(t, topic, sub, 0, 1, 2)
				publish(t, topic, 3, 4, 5)
				rt.Idle()
				b.want(t, "[0 1 2] at 0s", "[0 1 2] at 1s", "[3 4 5] at 1s")
				if got := counts(t, rt, "s"); got.Done != 6 || got.Restarts != 1 || instances != 2 {
					t.Errorf("%+v, %d instances", got, instances)
				}
			})
		})
	}
}

// A batch that misses its deadline is attempted again; one that hangs is taken apart
// into single events, so that a deaf culprit costs two zombies and one letter.
func TestTimeoutOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		late := newBatches(func(ctx context.Context, batch []int) error {
			if len(batch) > 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		release := make(chan struct{})
		deaf := newBatches(func(_ context.Context, batch []int) error {
			if slices.Contains(batch, 1) {
				<-release
			}
			return nil
		})
		cfg := topics.SubscriberConfig{Batch: size(3), Retry: quick, Timeout: time.Second, Grace: time.Second}
		subscribeBatch(t, topic, "late", late.handle, cfg)
		subscribeBatch(t, topic, "deaf", deaf.handle, cfg)
		publish(t, topic, 0, 1, 2)
		rt.Idle()
		late.want(t, "[0 1 2] at 0s", "[0 1 2] at 2s", "[0 1] at 3s", "[0] at 4s", "[1] at 4s", "[2] at 4s")
		deaf.want(t, "[0 1 2] at 0s", "[0] at 2s", "[1] at 2s", "[2] at 4s")
		wantSlice(t, "letters", reasons(rt), "1 hung")
		if got := counts(t, rt, "deaf"); got.Done != 2 || got.Zombies != 2 || got.Abandoned != 2 {
			t.Errorf("deaf: %+v", got)
		}
		close(release)
		synctest.Wait()
		if got := counts(t, rt, "deaf"); got.Late != 4 || got.Zombies != 0 {
			t.Errorf("deaf, after all: %+v", got)
		}
	})
}

// A Drain flushes what waits for company, at once, and waits for it.
func TestBatchThatIsDrainedIsFlushed(t *testing.T) {
	for what, end := range map[string]func(*testing.T, *troupetest.Runtime, *topics.Subscription){
		"unsubscribe": func(t *testing.T, _ *troupetest.Runtime, sub *topics.Subscription) {
			if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
				t.Error(err)
			}
		},
		"shutdown": func(t *testing.T, rt *troupetest.Runtime, _ *topics.Subscription) {
			if r, err := rt.Shutdown(t.Context()); err != nil || !r.Clean {
				t.Error(r, err)
			}
		},
	} {
		for _, workers := range []int{1, 3} {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				next, err := topics.Open[int](rt.Runtime, "next")
				if err != nil {
					t.Fatal(err)
				}
				b := newBatches(func(ctx context.Context, batch []int) error {
					time.Sleep(time.Second)
					if err := ctx.Err(); err != nil {
						return err
					}
					return next.Publish(ctx, len(batch))
				})
				sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: topics.BatchConfig{Period: time.Hour}, Workers: workers})
				behind := newBatches(nil)
				subscribeBatch(t, next, "s", behind.handle, topics.SubscriberConfig{Batch: topics.BatchConfig{Period: time.Hour}})
				publish(t, topic, 0, 1, 2)
				time.Sleep(time.Second)
				b.want(t)
				end(t, rt, sub)
				if got := b.calls(); len(got) != 1 || len(got[0].events) != 3 || got[0].at != time.Second {
					t.Errorf("%s: %v, want all at once", what, got)
				}
				if what == "shutdown" {
					behind.want(t, "[3] at 2s")
				}
				if took := time.Since(b.began); took != 2*time.Second {
					t.Errorf("%s took until %v, want 2s", what, took)
				}
			})
		}
	}
}

// What else may become of what waits, in the mailbox and as parts of a batch.
func TestBatchesEnd(t *testing.T) {
	for _, c := range []struct {
		rest    actors.Rest
		ord     actors.Ordering
		letters int
		dropped uint64
	}{
		{runtime.DeadLetterRest, topics.Ordered, 7, 0},
		{runtime.DeadLetterRest, topics.Parked, 7, 0},
		{runtime.Discard, topics.Ordered, 0, 7},
		{runtime.Discard, topics.Parked, 0, 7},
	} {
		t.Run(fmt.Sprint(c.rest, c.ord), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				b := newBatches(fails(errBoom, 1))
				sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(4), Ordering: c.ord,
					Retry: supervisor.Retry{MaxAttempts: 2, BaseDelay: time.Minute, Jitter: supervisor.NoJitter}})
				burst(t, topic, sub, 0, 1, 2, 3)
				time.Sleep(90 * time.Second)
				publish(t, topic, 4, 5, 6)
				synctest.Wait()
				b.want(t, "[0 1 2 3] at 0s", "[0 1 2 3] at 1m0s", "[0 1] at 1m0s", "[0] at 1m0s", "[1] at 1m0s") // 1, and 2 with 3 wait
				before := counts(t, rt, "s")
				if before.RetryWait != 3 || before.Queued != 3 || before.Done != 1 {
					t.Errorf("before: %+v", before)
				}
				if err := sub.Unsubscribe(t.Context(), c.rest); err != nil {
					t.Fatal(err)
				}
				rt.Idle()
				got := account(t, rt).Total
				if got.Done != 1 || int(got.DeadLettered)+1 != max(c.letters, 1) || got.Dropped["unsubscribed"]+1 != max(c.dropped, 1) {
					t.Errorf("%+v, want %d letters, %d dropped", got, c.letters-1, c.dropped)
				}
			})
		})
	}
}

// The end of a shutdown abandons a deaf handler; its batch becomes letters.
func TestShutdownAbandonsADeafBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{CancelGrace: time.Second})
		topic := open(t, rt)
		release := make(chan struct{})
		sub := subscribeBatch(t, topic, "s", func(context.Context, []int) error { <-release; return nil }, topics.SubscriberConfig{Batch: size(3)})
		burst(t, topic, sub, seq(5)...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := rt.Shutdown(ctx)
		if err != nil || len(r.StillRunning) != 1 || r.Snapshot.Total.DeadLettered != 5 {
			t.Errorf("%+v, %v, want 5 letters and one that runs", r, err)
		}
		wantSlice(t, "letters", reasons(rt), "0 hung", "1 hung", "2 hung", "3 shutdown", "4 shutdown")
		close(release)
	})
}

func TestPausedBatchesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(nil)
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2)})
		publish(t, topic, 0)
		synctest.Wait()
		sub.Pause()
		publish(t, topic, 1, 2)
		time.Sleep(time.Minute)
		b.want(t)
		sub.Resume()
		rt.Idle()
		b.want(t, "[0 1] at 1m0s", "[2] at 1m1s")
	})
}

// A restart ends the context of a batch, which is attempted again uncharged; what it
// names as done is done.
func TestRestartDuringABatchChargesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(nil)
		b.do = func(ctx context.Context, batch []int) error {
			switch len(b.calls()) {
			case 1:
				<-ctx.Done()
				return ctx.Err()
			case 2:
				<-ctx.Done()
				return &topics.BatchError{Failed: map[int]error{1: ctx.Err()}}
			}
			return nil
		}
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(3), Retry: once})
		burst(t, topic, sub, 0, 1, 2)
		sub.Restart()
		synctest.Wait()
		sub.Restart()
		rt.Idle()
		b.want(t, "[0 1 2] at 0s", "[0 1 2] at 0s", "[1] at 0s")
		if got := counts(t, rt, "s"); got.Done != 3 || got.Failures != 0 {
			t.Errorf("%+v, want 3 done, no failure", got)
		}
	})
}

func TestDeliveriesFrom(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			var got [][]topics.Delivery
			var first []topics.Delivery
			sub := subscribeBatch(t, topic, "s", func(ctx context.Context, _ []int) error {
				d, _ := topics.DeliveryFrom(ctx)
				got, first = append(got, topics.DeliveriesFrom(ctx)), append(first, d)
				if len(got) == 1 {
					return errBoom
				}
				return nil
			}, topics.SubscriberConfig{Batch: size(2), Retry: quick, Timeout: timeout})
			sub.Pause()
			for n := range 2 {
				if err := topic.PublishWith(t.Context(), n, topics.Meta{Headers: map[string]string{"n": fmt.Sprint(n)}}); err != nil {
					t.Fatal(err)
				}
			}
			sub.Resume()
			rt.Idle()
			if len(got) != 2 || len(got[0]) != 2 {
				t.Fatalf("deliveries: %+v", got)
			}
			for call, ds := range got {
				for i, d := range ds {
					if d.Topic != "t" || d.Subscriber != "s" || d.Sequence != uint64(i+1) || d.Attempt != call+1 || d.Headers["n"] != fmt.Sprint(i) || d.PublishedAt.IsZero() {
						t.Errorf("call %d, event %d: %+v", call, i, d)
					}
				}
				if first[call].Sequence != 1 || first[call].Attempt != call+1 {
					t.Errorf("DeliveryFrom: %+v, want the first event's", first[call])
				}
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var got []topics.Delivery
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error { got = topics.DeliveriesFrom(ctx); return nil })
		publish(t, topic, 1)
		rt.Idle()
		if len(got) != 1 || got[0].Sequence != 1 || topics.DeliveriesFrom(t.Context()) != nil {
			t.Errorf("of a single event: %+v", got)
		}
	})
}

// A letter that is sent back comes alone: it was found guilty once.
func TestRedeliveryComesAlone(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			b := newBatches(nil)
			b.do = func(ctx context.Context, batch []int) error {
				d, _ := topics.DeliveryFrom(ctx)
				if d.LetterID != "" && len(b.calls()) > 7 {
					return nil
				}
				return partlyAlone(fails(errBoom, 1))(ctx, batch)
			}
			sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2), Retry: once, Workers: workers})
			burst(t, topic, sub, 0, 1)
			rt.Idle()
			publish(t, topic, 2)
			letters := rt.Letters()
			if len(letters) != 1 {
				t.Fatal(letters)
			}
			if err := rt.Redrive(t.Context(), letters[0].ID); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			b.wantEvents(t, "[0 1]", "[0]", "[1]", "[1]") // and 2 waits for company
			rt.Idle()
			b.wantEvents(t, "[0 1]", "[0]", "[1]", "[1]", "[2]")
			l, err := rt.DeadLetters().Get(t.Context(), letters[0].ID)
			if err != nil || l.State != deadletter.StateOpen || len(rt.Letters()) != 1 {
				t.Errorf("%v %v, want the letter open again", l.State, err)
			}
		})
	}
}

func partlyAlone(h func(context.Context, []int) error) func(context.Context, []int) error {
	return func(ctx context.Context, batch []int) error {
		err := h(ctx, batch)
		if err != nil && len(batch) == 1 {
			return &topics.BatchError{Failed: map[int]error{0: err}}
		}
		return err
	}
}

func TestBatchErrorText(t *testing.T) {
	var e topics.BatchError
	if err := e.Err(); err != nil {
		t.Errorf("of none: %v", err)
	}
	e.Fail(3, nil)
	if e.Err() != nil || len(e.Failed) != 0 {
		t.Errorf("nil: %v", e.Failed)
	}
	for i := range 4 {
		e.Fail(9-i, fmt.Errorf("e%d", i))
	}
	if got, want := e.Err().Error(), "4 events of the batch failed: 6: e3; 7: e2; 8: e1; …"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
}

// A decider overrules what becomes of a batch, and of what it names.
func TestDeciderOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			decide  supervisor.Decider
			calls   []string
			letters []string
			done    uint64
		}{
			"drop instead of taking apart": {func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				d.Fate, d.Reason = supervisor.FateDrop, "stale"
				return d
			}, []string{"[0 1]"}, nil, 0},
			"done": {func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				d.Fate = supervisor.FateDone
				return d
			}, []string{"[0 1]"}, nil, 2},
			"one more attempt": {func(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				if f.Attempt == 1 {
					d.Fate, d.Delay = supervisor.FateRetry, time.Second
				}
				return d
			}, []string{"[0 1]", "[0 1]", "[0]", "[1]", "[1]"}, []string{"1 attempts_exhausted"}, 1},
			"stop": {func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				d.Directive = supervisor.DirectiveStop
				return d
			}, []string{"[0 1]"}, []string{"0 subscriber_stopped", "1 subscriber_stopped"}, 0},
			"panics": {func(supervisor.Failure, supervisor.Decision) supervisor.Decision { panic("decider") },
				[]string{"[0 1]", "[0]", "[1]"}, []string{"1 attempts_exhausted"}, 1},
		} {
			rt := troupetest.New(t)
			topic := open(t, rt)
			b := newBatches(fails(errBoom, 1))
			sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2), Retry: once, Decide: c.decide})
			burst(t, topic, sub, 0, 1)
			rt.Idle()
			t.Log(name)
			b.wantEvents(t, c.calls...)
			wantSlice(t, "letters", reasons(rt), c.letters...)
			if got := account(t, rt).Total; got.Done != c.done {
				t.Errorf("%+v, want %d done", got, c.done)
			}
		}
	})
}

// Failures and retries are told once for a batch and once for each event that is
// named; outcomes once for each event.
func TestObserverOfBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen notes[string]
		see := func(what string) func(runtime.Event) {
			return func(e runtime.Event) {
				seen.add(fmt.Sprint(what, " ", e.Sequence, "×", e.Count, " ", e.Attempt, e.Reason))
			}
		}
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{
			Handled: see("handled"), Failed: see("failed"), Retrying: see("retrying"), Dropped: see("dropped"), DeadLettered: see("dead"),
		}})
		topic := open(t, rt)
		calls := 0
		sub := subscribeBatch(t, topic, "s", func(_ context.Context, batch []int) error {
			switch calls++; calls {
			case 1:
				return errBoom
			case 2:
				return &topics.BatchError{Failed: map[int]error{1: supervisor.Permanent(errBoom), 2: supervisor.Skip(errBoom)}}
			}
			return supervisor.Skip(errBoom)
		}, topics.SubscriberConfig{Batch: size(3), Retry: quick})
		burst(t, topic, sub, 0, 1, 2)
		rt.Idle()
		burst(t, topic, sub, 3, 4, 5)
		got := seen.all()
		slices.Sort(got)
		wantSlice(t, "told", got,
			"dead 2×0 2permanent",
			"dropped 3×1 2skipped", "dropped 4×3 1skipped",
			"failed 1×3 1", "failed 2×1 2permanent", "failed 3×1 2skipped", "failed 4×3 1skipped",
			"handled 1×0 2", "retrying 1×3 1")
	})
}

// More deaf batches than there may be zombies: the subscriber waits for one of them.
func TestDeafBatchesWaitForAZombie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		whole, alone := make(chan struct{}), make(chan struct{})
		b := newBatches(func(_ context.Context, batch []int) error {
			switch {
			case batch[0] > 0:
			case len(batch) > 1:
				<-whole
			default:
				<-alone
			}
			return nil
		})
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(2), Timeout: time.Second, Grace: time.Second, MaxZombies: 1})
		burst(t, topic, sub, 0, 1, 2, 3)
		time.Sleep(time.Minute)
		b.wantEvents(t, "[0 1]", "[0]")
		if got := counts(t, rt, "s"); got.Zombies != 1 || got.InFlight != 1 || got.RetryWait != 1 || got.Queued != 2 {
			t.Errorf("%+v", got)
		}
		close(whole) // which makes room for the one that is alone
		rt.Idle()
		b.wantEvents(t, "[0 1]", "[0]", "[1]", "[2 3]")
		wantSlice(t, "letters", reasons(rt), "0 hung")
		close(alone)
		synctest.Wait()
		if got := counts(t, rt, "s"); got.Done != 3 || got.Late != 3 || got.Zombies != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// One culprit that panics, found among many, costs no more of the restarts that are
// allowed than its attempts in the whole batch and alone.
func TestCulpritThatPanicsDoesNotUseUpTheRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		instances := 0
		sub, err := topic.SubscribeBatchFactory("s", func() topics.Behavior[[]int] {
			instances++
			broken := false
			return topics.Behavior[[]int]{Receive: func(_ context.Context, batch []int) error {
				if broken {
					t.Error("an instance that has panicked was called again")
				}
				if slices.Contains(batch, 63) {
					broken = true
					panic("boom")
				}
				return nil
			}}
		}, topics.SubscriberConfig{Restart: supervisor.Restart{MaxRestarts: 10, OnExceed: supervisor.ExceedStop}})
		if err != nil {
			t.Fatal(err)
		}
		burst(t, topic, sub, seq(100)...)
		rt.Idle()
		got := counts(t, rt, "s") // there it is
		if got.Done != 99 || got.DeadLettered != 1 || got.Restarts != 16 || instances != 17 {
			t.Errorf("%+v, %d instances, want 99 done, 5 attempts whole, 6 in parts and 5 alone", got, instances)
		}
	})
}
