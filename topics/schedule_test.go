package topics_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
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
	"pgregory.net/rapid"
)

// after schedules ev and fails the test if that is refused.
func after(t testing.TB, topic *topics.Topic[int], d time.Duration, ev int, m ...topics.Meta) topics.Scheduled {
	t.Helper()
	s, err := topic.PublishAfter(t.Context(), d, ev, m...)
	if err != nil {
		t.Fatalf("PublishAfter(%v, %d): %v", d, ev, err)
	}
	return s
}

// recorder returns a handler and what it has been given, with the virtual times
// since now.
func recorder() (topics.Handler[int], *notes[string]) {
	var got notes[string]
	began := time.Now()
	return func(_ context.Context, ev int) error {
		got.add(fmt.Sprintf("%v: %d", time.Since(began), ev))
		return nil
	}, &got
}

// TestScheduledAgreesWithAPlainList holds order, cancellation and account of both
// clocks against a sorted list.
func TestScheduledAgreesWithAPlainList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				Do:   rapid.SampledFrom([]string{"after", "at", "after", "at", "cancel", "sleep"}).Draw(rt, "do"),
				S:    rapid.IntRange(-1, 30).Draw(rt, "s"),
				Whom: rapid.IntRange(0, 1<<20).Draw(rt, "whom"),
			}
		}), 1, 60).Draw(rt, "script")
		var fault error
		synctest.Test(t, func(t *testing.T) { fault = play(t, script) })
		if fault != nil {
			rt.Fatal(fault)
		}
	})
}

type step struct {
	Do   string
	S    int // seconds
	Whom int // to cancel
}

func play(t *testing.T, script []step) error {
	world := troupetest.New(t)
	topic := open(t, world)
	var got notes[int]
	subscribe(t, topic, "s", func(_ context.Context, ev int) error { got.add(ev); return nil })
	type entry struct {
		due    time.Time
		ev     int
		handle topics.Scheduled
		gone   bool
	}
	var list []*entry
	var want []int
	canceled := 0
	pass := func() { // what is due has been published
		synctest.Wait()
		due := slices.DeleteFunc(slices.Clone(list), func(e *entry) bool { return e.gone || e.due.After(time.Now()) })
		slices.SortStableFunc(due, func(a, b *entry) int { return a.due.Compare(b.due) })
		for _, e := range due {
			e.gone = true
			want = append(want, e.ev)
		}
	}
	for n, s := range script {
		d := time.Duration(s.S) * time.Second
		switch s.Do {
		case "after", "at":
			e := &entry{due: time.Now().Add(d), ev: n}
			var err error
			if s.Do == "at" {
				e.handle, err = topic.PublishAt(t.Context(), e.due, n)
			} else {
				e.handle, err = topic.PublishAfter(t.Context(), d, n)
			}
			if err != nil {
				return err
			}
			list = append(list, e)
			pass()
		case "cancel":
			if len(list) == 0 {
				continue
			}
			e := list[s.Whom%len(list)]
			if ok := e.handle.Cancel(); ok == e.gone {
				return fmt.Errorf("Cancel of %d, gone %v: %v", e.ev, e.gone, ok)
			}
			if !e.gone {
				e.gone = true
				canceled++
			}
		case "sleep":
			time.Sleep(d)
			pass()
		}
	}
	left := len(list) - len(want) - canceled
	before := account(t, world).Scheduled
	report, err := world.Shutdown(t.Context())
	if err != nil {
		return err
	}
	if !slices.Equal(got.all(), want) {
		return fmt.Errorf("handled %v, want %v", got.all(), want)
	}
	top, _ := report.Snapshot.Topic("t")
	have := top.Scheduled
	if want := (runtime.Scheduled{
		Taken: uint64(len(list)), Published: uint64(len(want)), Canceled: uint64(canceled), Left: uint64(left),
	}); have != want || before.Pending != have.Left {
		return fmt.Errorf("scheduled %+v, pending before %d; want %+v", have, before.Pending, want)
	}
	if n := len(world.Letters()); n != left {
		return fmt.Errorf("%d letters, want %d", n, left)
	}
	return nil
}

func TestDueAtOnceIsInOrderOfTheCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := open(t, troupetest.New(t))
		var got, want notes[int]
		subscribe(t, topic, "s", func(_ context.Context, ev int) error { got.add(ev); return nil })
		at := time.Now().Add(time.Minute)
		for n := range 1000 {
			if n%3 == 0 {
				if _, err := topic.PublishAt(t.Context(), at, n); err != nil {
					t.Fatal(err)
				}
			} else {
				after(t, topic, time.Minute, n)
			}
			want.add(n)
		}
		time.Sleep(time.Hour)
		wantSlice(t, "handled", got.all(), want.all()...)
	})
}

func TestPublishAtIsOfTheWallClockAndCarriesHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := open(t, troupetest.New(t))
		var got notes[string]
		subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
			d, _ := topics.DeliveryFrom(ctx)
			got.add(fmt.Sprint(time.Now().UTC().Format(time.DateTime), " ", ev, " ", d.Headers["tenant"]))
			return nil
		})
		headers := map[string]string{"tenant": "north"}
		for n, at := range []time.Time{
			time.Date(2000, 1, 3, 6, 30, 0, 0, time.UTC),
			time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(2000, 1, 2, 0, 0, 0, 0, time.FixedZone("", 3600)),
			time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC),
		} {
			if _, err := topic.PublishAt(t.Context(), at, n, topics.Meta{Headers: headers}); err != nil {
				t.Errorf("PublishAt(%v): %v", at, err)
			}
		}
		headers["tenant"] = "changed"
		for _, at := range []time.Time{{}, time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)} {
			if _, err := topic.PublishAt(t.Context(), at, 9); err == nil || !strings.Contains(err.Error(), "time: must not be zero") {
				t.Errorf("PublishAt(%v) = %v, want an error that says so", at, err)
			}
		}
		time.Sleep(72 * time.Hour)
		wantSlice(t, "handled", got.all(), "2000-01-01 00:00:00 1 north", "2000-01-01 23:00:00 2 north", "2000-01-03 06:30:00 0 north")
	})
}

func TestPublishAfterTheLongestDurationIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		s := after(t, topic, 1<<63-1, 1)
		time.Sleep(time.Hour)
		if p := account(t, rt).Scheduled; p.Pending != 1 || !s.Cancel() || s.Cancel() {
			t.Errorf("pending %d, want 1 that can be canceled once", p.Pending)
		}
		var none topics.Scheduled
		if none.Cancel() {
			t.Error("the zero handle cancels something")
		}
	})
}

func TestPublishAfterIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		_, err := topic.PublishAfter(ctx, 0, 1)
		wantErr(t, "with a context that has ended", err, errBoom)
		if _, err := rt.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = topic.PublishAfter(t.Context(), 0, 1)
		wantErr(t, "after shutdown", err, runtime.ErrClosed)
		if got := account(t, rt); got.Rejected["closed"] != 1 || got.Rejected["canceled"] != 1 || got.Scheduled.Taken != 0 {
			t.Errorf("rejected %v, scheduled %+v", got.Rejected, got.Scheduled)
		}
	})
}

// TestCancelRacesWithTheTimer: each event is either published or canceled, never
// both and never neither.
func TestCancelRacesWithTheTimer(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	var handled atomic.Int64
	subscribe(t, topic, "s", func(context.Context, int) error { handled.Add(1); return nil })
	const n = 2000
	handles := make([]topics.Scheduled, n)
	for i := range handles {
		handles[i] = after(t, topic, time.Duration(i)*5*time.Microsecond, i)
	}
	var canceled atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, h := range handles {
				if h.Cancel() {
					canceled.Add(1)
				}
				if i%16 == 0 {
					goruntime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	rt.Idle()
	s := account(t, rt).Scheduled
	if s.Published != uint64(handled.Load()) || s.Canceled != uint64(canceled.Load()) || s.Published+s.Canceled != n {
		t.Errorf("%+v; handled %d, canceled %d, want %d in all", s, handled.Load(), canceled.Load(), n)
	}
}

// TestSchedulingRacesWithShutdown: whatever a call returned holds in the account.
func TestSchedulingRacesWithShutdown(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var taken, canceled, handled atomic.Int64
		subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
			if handled.Add(1); ev%7 == 0 {
				if _, err := topic.PublishAfter(ctx, time.Microsecond, 1); err == nil {
					taken.Add(1)
				}
			}
			return nil
		}, topics.SubscriberConfig{Capacity: 8})
		var wg sync.WaitGroup
		for p := range 4 {
			wg.Go(func() {
				var last topics.Scheduled
				for ev := 0; ; ev++ {
					s, err := topic.PublishAfter(context.Background(), time.Duration(ev%5)*100*time.Microsecond, ev)
					if err != nil {
						wantErr(t, "PublishAfter", err, runtime.ErrClosed)
						return
					}
					taken.Add(1)
					if ev%3 == 0 && last.Cancel() {
						canceled.Add(1)
					}
					last = s
					if ev%50 == 0 {
						name := fmt.Sprintf("p%d", p)
						if r, err := topic.PublishEvery(name, tick(50*time.Microsecond), seconds()); err == nil {
							defer r.Cancel()
						} else if !errors.Is(err, runtime.ErrClosed) && !errors.Is(err, runtime.ErrNameTaken) {
							t.Errorf("PublishEvery: %v", err)
						}
					}
				}
			})
		}
		time.Sleep(3 * time.Millisecond)
		report, err := rt.Shutdown(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		troupetest.CheckAccount(t, report.Snapshot)
		top, _ := report.Snapshot.Topic("t")
		s := top.Scheduled
		if s.Taken != uint64(taken.Load()) || s.Canceled != uint64(canceled.Load()) || s.Published+s.Canceled+s.Left != s.Taken {
			t.Errorf("%+v; want %d taken, %d canceled", s, taken.Load(), canceled.Load())
		}
		published := s.Published
		for _, r := range top.Recurring {
			published += r.Published
		}
		if top.Total.Done != top.Accepted || published > top.Accepted || top.Undelivered.DeadLettered != s.Left {
			t.Errorf("done %d of %d, published %d, dead letters %d of %d", top.Total.Done, top.Accepted, published, top.Undelivered.DeadLettered, s.Left)
		}
		if uint64(handled.Load()) != top.Accepted {
			t.Errorf("handled %d of %d", handled.Load(), top.Accepted)
		}
	}
}

// tick is an interval.
type tick time.Duration

func (i tick) Period() time.Duration          { return time.Duration(i) }
func (i tick) Next(after time.Time) time.Time { return after.Add(time.Duration(i)) }

func TestScheduledThatIsRefusedIsADeadLetter(t *testing.T) {
	for name, c := range map[string]struct {
		topic  topics.Config
		fill   bool
		reason string
		text   string
	}{
		"full":          {topics.Config{}, true, "full", "t/s"},
		"no subscriber": {topics.Config{Unrouted: topics.RejectUnrouted}, false, supervisor.ReasonUnrouted, "no subscriber"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var rejected notes[string]
				rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Rejected: func(e runtime.Event) { rejected.add(e.Reason) }}})
				topic := open(t, rt, c.topic)
				handle, got := recorder()
				if c.fill {
					sub := subscribe(t, topic, "s", handle, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject})
					sub.Pause()
					publish(t, topic, 0)
					defer sub.Resume()
				}
				after(t, topic, time.Second, 1, topics.Meta{Headers: map[string]string{"h": "x"}})
				time.Sleep(time.Minute)
				letters := rt.Letters()
				if len(letters) != 1 {
					t.Fatalf("%d letters, want 1", len(letters))
				}
				l := letters[0]
				if l.Reason != c.reason || l.Subscriber != "" || string(l.Payload) != "1" || l.Headers["h"] != "x" || !strings.Contains(l.Error, c.text) {
					t.Errorf("letter %+v, want reason %s and an error that names %q", l, c.reason, c.text)
				}
				a := account(t, rt)
				if a.Scheduled.Refused != 1 || a.Rejected[c.reason] != 1 || a.Undelivered.DeadLettered != 1 {
					t.Errorf("account %+v, %+v", a.Scheduled, a.Publications)
				}
				wantSlice(t, "told", rejected.all(), c.reason)
				if !c.fill {
					subscribe(t, topic, "s", handle)
				} else if err := rt.Resume("t", "s"); err != nil {
					t.Fatal(err)
				}
				rt.Idle()
				if err := rt.Redrive(t.Context(), l.ID); err != nil {
					t.Fatalf("redrive: %v", err)
				}
				rt.Idle()
				if all := got.all(); len(all) == 0 || all[len(all)-1] != "1m0s: 1" {
					t.Errorf("handled %v, want 1 in the end", all)
				}
			})
		})
	}
}

// TestFullMailboxHoldsUpItsTopicOnly: what is due waits for room, in order; it can
// still be canceled, Idle waits for it, and another topic's timers go off.
func TestFullMailboxHoldsUpItsTopicOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		other, err := topics.Open[int](rt.Runtime, "other")
		if err != nil {
			t.Fatal(err)
		}
		handle, got := recorder()
		handleOther, gotOther := recorder()
		sub := subscribe(t, topic, "s", handle, topics.SubscriberConfig{Capacity: 1})
		subscribe(t, other, "s", handleOther)
		sub.Pause()
		publish(t, topic, 0)
		var handles []topics.Scheduled
		for n := 1; n <= 4; n++ {
			handles = append(handles, after(t, topic, time.Duration(n)*time.Second, n))
			after(t, other, time.Duration(n)*time.Second, n)
		}
		after(t, topic, time.Hour, 5)
		time.Sleep(10 * time.Second)
		wantSlice(t, "handled of the other topic", gotOther.all(), "1s: 1", "2s: 2", "3s: 3", "4s: 4")
		if s := account(t, rt).Scheduled; s.Due != 4 || s.Pending != 1 {
			t.Errorf("%+v, want 4 due and 1 pending", s)
		}
		if handles[0].Cancel() {
			t.Error("the event that is being published could be canceled")
		}
		if !handles[2].Cancel() {
			t.Error("an event that waits behind it could not be canceled")
		}
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := rt.Runtime.Idle(brief); err == nil || !strings.Contains(err.Error(), "t, scheduled: 3 due") {
			t.Errorf("Idle = %v, want what is due", err)
		}
		sub.Resume()
		rt.Idle(time.Minute) // not for the one in an hour
		wantSlice(t, "handled", got.all(), "11s: 0", "11s: 1", "11s: 2", "11s: 4")
	})
}

func TestShutdownMakesDeadLettersOfWhatIsScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Memory: memory(t), pause: 10 * time.Millisecond}
		rt := troupetest.New(t, runtime.Config{DeadLetters: store, MaxParkedLetters: 2})
		topic := open(t, rt)
		sub := subscribe(t, topic, "s", ok, topics.SubscriberConfig{Capacity: 1})
		sub.Pause()
		publish(t, topic, 100)
		for n := range 10 {
			after(t, topic, time.Duration(10-n)*time.Hour, n)
		}
		after(t, topic, time.Second, 50) // waits for room at shutdown
		time.Sleep(time.Minute)
		began := time.Now()
		report, err := rt.Shutdown(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("shutdown took %v", took)
		}
		troupetest.CheckAccount(t, report.Snapshot)
		top, _ := report.Snapshot.Topic("t")
		if s := top.Scheduled; s.Taken != 11 || s.Left != 11 || top.Undelivered.DeadLettered != 11 {
			t.Errorf("%+v, undelivered %+v, want 11 left", s, top.Undelivered)
		}
		if !slices.Contains(report.Left, runtime.Left{Topic: "t", Events: 11}) || !strings.Contains(report.Err().Error(), "t, scheduled: 11 events") {
			t.Errorf("report: left %v, %v", report.Left, report.Err())
		}
		var due []string
		for _, l := range rt.Letters() {
			if l.Subscriber == "" {
				due = append(due, string(l.Payload))
				if l.Reason != supervisor.ReasonShutdown || l.AttemptCount != 0 {
					t.Errorf("letter %+v", l)
				}
			}
		}
		slices.Sort(due)
		wantSlice(t, "letters", due, "0", "1", "2", "3", "4", "5", "50", "6", "7", "8", "9")
	})
}

func TestShutdownDiscardsWhatIsScheduledIfToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped notes[runtime.Event]
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Dropped: func(e runtime.Event) { dropped.add(e) }}})
		topic := open(t, rt, topics.Config{Unpublished: topics.DiscardUnpublished})
		for n := range 3 {
			after(t, topic, time.Hour, n)
		}
		report, err := rt.Shutdown(t.Context())
		if err != nil || !report.Clean {
			t.Errorf("shutdown = %+v, %v; want clean", report, err)
		}
		troupetest.CheckAccount(t, report.Snapshot)
		if top, _ := report.Snapshot.Topic("t"); top.Scheduled.Discarded != 3 || len(rt.Letters()) != 0 {
			t.Errorf("%+v, %d letters", top.Scheduled, len(rt.Letters()))
		}
		wantSlice(t, "told", dropped.all(), runtime.Event{Topic: "t", Reason: supervisor.ReasonShutdown, Count: 3})
	})
}

// TestShutdownWhoseStoreFailsLosesNothingSilently: what the store does not take by
// the end is dropped and counted.
func TestShutdownWhoseStoreFailsLosesNothingSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{DeadLetters: &slow{Memory: memory(t), fail: true}, MaxParkedLetters: 2})
		topic := open(t, rt)
		for n := range 7 {
			after(t, topic, time.Hour, n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		report, err := rt.Shutdown(ctx)
		if err != nil {
			t.Fatal(err)
		}
		troupetest.CheckAccount(t, report.Snapshot)
		top, _ := report.Snapshot.Topic("t")
		if n := top.Undelivered.Dropped[actors.ReasonDeadLettersUnavailable]; n != 7 || report.Lost != 7 || top.Scheduled.Left != 7 {
			t.Errorf("lost %d, reported %d, %+v; want 7", n, report.Lost, top.Scheduled)
		}
	})
}

// TestHandlerSchedulesWhileTheRuntimeDrains: the event is accepted and left like
// those from before; from outside it is refused.
func TestHandlerSchedulesWhileTheRuntimeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		gate := make(chan struct{})
		var scheduled error
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
			<-gate
			_, scheduled = topic.PublishAfter(ctx, time.Second, 2)
			return nil
		})
		publish(t, topic, 1)
		done := make(chan runtime.Report)
		go func() {
			report, _ := rt.Shutdown(context.Background())
			done <- report
		}()
		synctest.Wait()
		_, outside := topic.PublishAfter(t.Context(), time.Second, 3)
		wantErr(t, "from outside", outside, runtime.ErrClosed)
		close(gate)
		report := <-done
		wantErr(t, "from the handler", scheduled, nil)
		if top, _ := report.Snapshot.Topic("t"); top.Scheduled.Left != 1 || len(rt.Letters()) != 1 {
			t.Errorf("%+v, %d letters, want one left", top.Scheduled, len(rt.Letters()))
		}
		troupetest.CheckAccount(t, report.Snapshot)
	})
}

// TestObserverThatEndsItsGoroutineStopsNoTimer: every event has one outcome.
func TestObserverThatEndsItsGoroutineStopsNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64
		exit := func(runtime.Event) {
			if told.Add(1)%2 == 1 {
				goruntime.Goexit()
			}
		}
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Rejected: exit}})
		topic := open(t, rt, topics.Config{Unrouted: topics.RejectUnrouted})
		for n := range 6 {
			after(t, topic, time.Duration(n)*time.Second, n)
		}
		time.Sleep(time.Minute)
		rt.Idle(time.Minute)
		if s := account(t, rt).Scheduled; s.Refused != 6 || told.Load() != 6 || len(rt.Letters()) != 6 {
			t.Errorf("%+v, told %d times, %d letters; want 6", s, told.Load(), len(rt.Letters()))
		}
	})
}

// TestStoreThatFailsStopsNoTimer: refused events wait for the store, others are
// published meanwhile.
func TestStoreThatFailsStopsNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Memory: memory(t), fail: true}
		rt := troupetest.New(t, runtime.Config{DeadLetters: store, MaxParkedLetters: 1})
		topic := open(t, rt, topics.Config{Unrouted: topics.RejectUnrouted})
		for n := range 4 {
			after(t, topic, time.Second, n)
		}
		after(t, topic, time.Minute, 9)
		time.Sleep(30 * time.Second)
		handle, got := recorder()
		subscribe(t, topic, "s", handle)
		time.Sleep(time.Minute)
		wantSlice(t, "handled", got.all(), "30s: 9")
		if s := account(t, rt).Scheduled; s.Due != 3 || s.Refused != 1 {
			t.Errorf("%+v, want 3 waiting for room behind the one in the store's hand", s)
		}
		store.works()
		rt.Idle(time.Minute)
		if s := account(t, rt).Scheduled; s.Refused != 4 || len(rt.Letters()) != 4 {
			t.Errorf("%+v, %d letters", s, len(rt.Letters()))
		}
	})
}

// TestManyTimersFire is the scale of the benchmark in small: all fire, on time and
// in order, and those that are canceled do not.
func TestManyTimersFire(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var next, bad atomic.Int64
		began := time.Now()
		due := func(ev int) time.Duration { return time.Duration(ev) * time.Second }
		subscribe(t, topic, "s", func(_ context.Context, ev int) error {
			if time.Since(began) != due(ev) || int64(ev) != 2*next.Add(1)-2 {
				bad.Add(1)
			}
			return nil
		})
		for i := range n {
			ev := i * 7919 % n // 7919 does not divide n
			if h := after(t, topic, due(ev), ev); ev%2 == 1 && !h.Cancel() {
				t.Fatal("not canceled")
			}
		}
		time.Sleep(due(n))
		if next.Load() != int64(n/2) || bad.Load() > 0 {
			t.Errorf("%d fired, %d of them out of turn, want %d and 0", next.Load(), bad.Load(), n/2)
		}
	})
}

// slow is a store that takes its time, or fails.
type slow struct {
	*deadletter.Memory
	pause time.Duration
	mu    sync.Mutex
	fail  bool
}

func memory(t testing.TB) *deadletter.Memory {
	t.Helper()
	m, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *slow) works() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = false
}

func (s *slow) Add(ctx context.Context, letters []deadletter.Letter) error {
	time.Sleep(s.pause)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return errors.New("disk full")
	}
	return s.Memory.Add(ctx, letters)
}
