package topics_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

func group(t testing.TB, topic *topics.Topic[int], cfg ...topics.SubscriberConfig) *topics.ConsumerGroup[int] {
	t.Helper()
	g, err := topic.ConsumerGroup("g", cfg...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func join(t testing.TB, g *topics.ConsumerGroup[int], name string, handle topics.Handler[int]) *topics.Member {
	t.Helper()
	m, err := g.Join(name, handle)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func state(t testing.TB, rt *troupetest.Runtime) actors.State {
	t.Helper()
	return account(t, rt).Subscribers[0].State
}

// One of the group gets each event, whoever has joined; what comes while nobody has
// waits.
func TestConsumerGroupGivesEachEventToOneMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		g := group(t, topic)
		publish(t, topic, 1, 2)
		synctest.Wait()
		if s, c := state(t, rt), counts(t, rt, "g"); s != actors.StateVacant || c.Queued != 2 {
			t.Errorf("without members %s with %d queued, want vacant with 2", s, c.Queued)
		}
		if err := rt.Health(); err == nil || !strings.Contains(err.Error(), "no member") {
			t.Errorf("health %v, want it to tell of the group", err)
		}
		var a, b notes[int]
		slow := func(n *notes[int]) topics.Handler[int] {
			return func(_ context.Context, ev int) error {
				n.add(ev)
				time.Sleep(time.Second)
				return nil
			}
		}
		first := join(t, g, "a", slow(&a))
		rt.Idle()
		wantSlice(t, "a alone", a.all(), 1, 2)
		join(t, g, "b", slow(&b))
		for n := range 10 {
			publish(t, topic, 10+n)
		}
		rt.Idle()
		both := append(a.all()[2:], b.all()...)
		slices.Sort(both)
		wantSlice(t, "both", both, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
		if len(b.all()) != 5 {
			t.Errorf("b handled %d of 10, want half", len(b.all()))
		}
		if err := first.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 20, 21)
		rt.Idle()
		if got := b.all(); got[len(got)-2] != 20 || got[len(got)-1] != 21 || len(a.all())+len(got) != 14 {
			t.Errorf("after a has left, b handled %v and a %v", got, a.all())
		}
		if got := counts(t, rt, "g"); got.Done != 14 || got.Deliveries != 14 {
			t.Errorf("%+v, want 14 done", got)
		}
	})
}

// A member that leaves brings to an end what it has; the rest of the mailbox is for
// the others.
func TestLeaveFinishesWhatIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		g := group(t, topic, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Minute}})
		var a, b notes[string]
		first := join(t, g, "a", func(ctx context.Context, n int) error {
			d, _ := topics.DeliveryFrom(ctx)
			a.add(fmt.Sprint(n, "/", d.Attempt))
			time.Sleep(time.Second)
			if n == 1 && d.Attempt < 3 {
				return errBoom
			}
			return nil
		})
		publish(t, topic, 1, 2, 3, 4)
		time.Sleep(1500 * time.Millisecond) // 1 waits aside, 2 is in hand
		began := time.Now()
		left := make(chan error, 1)
		go func() { left <- first.Leave(t.Context()) }()
		synctest.Wait()
		join(t, g, "b", func(_ context.Context, n int) error { b.add(fmt.Sprint(n)); return nil })
		time.Sleep(time.Second)
		wantSlice(t, "b, while a is still at it", b.all(), "3", "4")
		if err := <-left; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Minute {
			t.Errorf("left after %v, want the retries of 1 to have had their time", took)
		}
		wantSlice(t, "a", a.all(), "1/1", "2/1", "1/2", "1/3")
		if s := first.State(); s != actors.StateStopped {
			t.Errorf("a is %s, want stopped", s)
		}
		if err := first.Leave(t.Context()); err != nil {
			t.Errorf("Leave again: %v", err)
		}
	})
}

func TestLeaveFromTheOwnHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		g := group(t, topic)
		var m *topics.Member
		m = join(t, g, "a", func(ctx context.Context, n int) error { return m.Leave(ctx) })
		publish(t, topic, 1, 2)
		<-m.Done()
		if got := counts(t, rt, "g"); got.Done != 1 || got.Queued != 1 {
			t.Errorf("%+v, want one done and one left to others", got)
		}
	})
}

func TestLeaveStopsWaitingWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).On(1, troupetest.Hang())
		m := join(t, group(t, topic), "a", h.Handle)
		publish(t, topic, 1)
		h.Await(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, "leave", m.Leave(ctx), context.DeadlineExceeded)
		h.Release()
		<-m.Done()
	})
}

// A member that its policy stops leaves, and the others go on.
func TestMemberThatItsPolicyStopsLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		g := group(t, topic, topics.SubscriberConfig{
			Decide: func(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				d.Fate, d.Directive = supervisor.FateDeadLetter, supervisor.DirectiveStop
				return d
			},
		})
		bad := join(t, g, "bad", func(context.Context, int) error { return errBoom })
		publish(t, topic, 1)
		<-bad.Done()
		var good notes[int]
		publish(t, topic, 2, 3)
		join(t, g, "good", func(_ context.Context, n int) error { good.add(n); return nil })
		rt.Idle()
		wantSlice(t, "good", good.all(), 2, 3)
		if got := counts(t, rt, "g"); got.Done != 2 || got.DeadLettered != 1 {
			t.Errorf("%+v, want 2 done, 1 dead-lettered", got)
		}
		// The letter goes back to the group, whoever is there.
		page, err := rt.DeadLetters().List(t.Context(), deadletter.Query{})
		if err != nil || page.Total != 1 || page.Letters[0].Subscriber != "g" {
			t.Fatalf("%+v, %v, want one letter of g", page, err)
		}
		if err := rt.Redrive(t.Context(), page.Letters[0].ID); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		wantSlice(t, "good, after the redrive", good.all(), 2, 3, 1)
	})
}

// A group that ends without members has nobody to drain it.
func TestConsumerGroupEnds(t *testing.T) {
	for _, rest := range []actors.Rest{runtime.Drain, runtime.DeadLetterRest, runtime.Discard} {
		for _, members := range []int{0, 1, 3} {
			t.Run(fmt.Sprintf("%v/%d", rest, members), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rt := troupetest.New(t)
					topic := open(t, rt)
					g := group(t, topic)
					g.Pause()
					publish(t, topic, 1, 2, 3, 4, 5)
					for i := range members {
						join(t, g, fmt.Sprint("m", i), ok)
					}
					if rest == runtime.Drain {
						time.AfterFunc(time.Second, g.Resume)
					}
					if err := g.Unsubscribe(t.Context(), rest); err != nil {
						t.Fatal(err)
					}
					rt.Idle()
					got := account(t, rt).Former
					want := [3]uint64{}
					switch {
					case rest == runtime.Discard:
						want[2] = 5
					case rest == runtime.DeadLetterRest || members == 0:
						want[1] = 5
					default:
						want[0] = 5
					}
					var dropped uint64
					for _, n := range got.Dropped {
						dropped += n
					}
					if have := [3]uint64{got.Done, got.DeadLettered, dropped}; have != want || got.Deliveries != 5 {
						t.Errorf("done, dead-lettered, dropped = %v, want %v: %+v", have, want, got)
					}
					_, err := g.Join("late", ok)
					wantErr(t, "join", err, runtime.ErrClosed)
				})
			})
		}
	}
}

func TestShutdownOfAVacantGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		group(t, topic)
		publish(t, topic, 1)
		report, err := rt.Shutdown(t.Context())
		if err != nil || report.Snapshot.Total.DeadLettered != 1 {
			t.Errorf("%+v, %v, want the event a dead letter", report, err)
		}
	})
}

// Who joins a paused group begins paused.
func TestPauseOfAGroupHoldsForNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		g := group(t, topic)
		g.Pause()
		var got notes[int]
		m := join(t, g, "a", func(_ context.Context, n int) error { got.add(n); return nil })
		publish(t, topic, 1)
		synctest.Wait()
		if len(got.all()) != 0 || m.State() != actors.StatePaused || state(t, rt) != actors.StatePaused {
			t.Errorf("handled %v, %s, %s, want nothing, paused", got.all(), m.State(), state(t, rt))
		}
		g.Resume()
		rt.Idle()
		wantSlice(t, "handled", got.all(), 1)
	})
}

// The order of each key holds between members, and while they come and go.
func TestConsumerGroupChurn(t *testing.T) {
	for seed := range uint64(4) {
		for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded} {
			t.Run(fmt.Sprintf("%v/%d", over, seed), func(t *testing.T) { churn(t, over, seed) })
		}
	}
}

func churn(t *testing.T, over mailbox.Overflow, seed uint64) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	g := group(t, topic, topics.SubscriberConfig{
		Key: topics.KeyOf(lastDigit), Overflow: over, Capacity: 50,
		Retry: supervisor.Retry{MaxAttempts: 5, BaseDelay: time.Microsecond, MaxDelay: time.Millisecond},
	})
	k := &keyed{t: t, last: map[string]int{}, busy: map[string]bool{}}
	handle := func(_ context.Context, n int) error {
		k.enter(n)
		ok := rand.IntN(50) > 0
		defer func() { k.leave(n, ok) }()
		if !ok {
			return errBoom
		}
		return nil
	}
	const events = 3000
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range events {
			publish(t, topic, n)
		}
	})
	rnd := rand.New(rand.NewPCG(seed, 7))
	var here []*topics.Member
	for i := range 150 {
		if len(here) == 0 || len(here) < 6 && rnd.IntN(2) == 0 {
			here = append(here, join(t, g, fmt.Sprint("m", i), handle))
			continue
		}
		at := rnd.IntN(len(here))
		m := here[at]
		here = slices.Delete(here, at, at+1)
		switch rnd.IntN(3) {
		case 0:
			if err := m.Leave(t.Context()); err != nil {
				t.Error(err)
			}
		case 1:
			wg.Go(func() {
				if err := m.Leave(t.Context()); err != nil {
					t.Error(err)
				}
			})
		default:
			m.Restart()
			here = append(here, m)
		}
	}
	for i := range 3 {
		here = append(here, join(t, g, fmt.Sprint("last", i), handle))
	}
	wg.Wait()
	rt.Idle(time.Minute)
	got := counts(t, rt, "g")
	if len(k.done) != events || got.Done != events || got.Deliveries != events || got.Queued+got.InFlight+got.RetryWait > 0 {
		t.Errorf("%d handled, %+v, want %d", len(k.done), got, events)
	}
}

func TestPatternConsumerGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		g, err := topics.PatternConsumerGroup[topics.Any](rt.Runtime, "orders.>", "g")
		if err != nil {
			t.Fatal(err)
		}
		var got notes[string]
		for _, name := range []string{"a", "b"} {
			if _, err := g.Join(name, func(_ context.Context, ev topics.Any) error {
				got.add(fmt.Sprint(ev.Topic, ev.Event))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"orders.eu", "orders.us"} {
			topic, err := topics.Open[int](rt.Runtime, name)
			if err != nil {
				t.Fatal(err)
			}
			publish(t, topic, 1, 2)
		}
		rt.Idle()
		all := got.all()
		slices.Sort(all)
		wantSlice(t, "handled", all, "orders.eu1", "orders.eu2", "orders.us1", "orders.us2")
	})
}

// To who publishes, a group is one subscriber like any other: it is waited for, given
// what the topic keeps, filters, and has its lanes.
func TestConsumerGroupWithOtherFeatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt, topics.Config{Replay: topics.ReplayLast(2)})
		subscribe(t, topic, "other", ok)
		publish(t, topic, 1, 2, 3)
		var got notes[int]
		handle := func(_ context.Context, n int) error { got.add(n); return nil }
		g := group(t, topic, topics.SubscriberConfig{
			Filter:   topics.Where(func(n int) bool { return n != 13 }),
			Priority: topics.PriorityOf(2, func(n int) int { return n / 1000 }),
		})
		m := join(t, g, "a", handle)
		rt.Idle()
		wantSlice(t, "replayed", got.all(), 2, 3)
		outcomes, err := topic.PublishWait(t.Context(), 4)
		if err != nil || len(outcomes) != 2 {
			t.Errorf("%v, %v, want the outcomes of two", outcomes, err)
		}
		if err := m.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 5, 13, 1000, 6)
		join(t, g, "b", handle)
		rt.Idle()
		wantSlice(t, "handled", got.all(), 2, 3, 4, 1000, 5, 6)
		if c := counts(t, rt, "g"); c.Filtered != 1 || c.Done != 6 {
			t.Errorf("%+v, want 6 done and 1 filtered", c)
		}
	})
}

func TestConsumerGroupErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		_, err := topic.ConsumerGroup("g", topics.SubscriberConfig{Workers: 2, Take: 3, Batch: topics.BatchConfig{Size: 2}, Capacity: -1})
		for _, want := range []string{"Workers 2", "Take 3", "Batch"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want it to name %s", err, want)
			}
		}
		_, err = topic.ConsumerGroup("g", topics.SubscriberConfig{Capacity: -1})
		if err == nil || !strings.Contains(err.Error(), "Capacity -1") {
			t.Errorf("%v, want it to name Capacity", err)
		}
		g := group(t, topic)
		_, err = topic.ConsumerGroup("g")
		wantErr(t, "again", err, runtime.ErrNameTaken)
		join(t, g, "a", ok)
		_, err = g.Join("a", ok)
		wantErr(t, "join again", err, runtime.ErrNameTaken)
		for _, name := range []string{"", "a b", "*"} {
			if _, err := g.Join(name, ok); err == nil || !strings.Contains(err.Error(), "name") {
				t.Errorf("Join(%q): %v", name, err)
			}
		}
		if _, err := g.Join("b", nil); err == nil || !strings.Contains(err.Error(), "handler") {
			t.Errorf("%v, want it to name the handler", err)
		}
		if _, err := g.JoinFactory("b", nil); err == nil || !strings.Contains(err.Error(), "factory") {
			t.Errorf("%v, want it to name the factory", err)
		}
		synctest.Wait()
		d := rt.Describe()
		sub := d.Tree.Subscribers[0]
		if !sub.ConsumerGroup || len(sub.Workers) != 1 || sub.Workers[0].Name != "a" || !strings.Contains(d.String(), "a idle") {
			t.Errorf("described as %+v\n%s", sub, d)
		}
	})
}

// A member that was woken for an event and leaves instead has another one woken.
func TestLeaveLosesNoWakeUp(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	g := group(t, topic)
	handled := make(chan int, 1)
	handle := func(_ context.Context, n int) error { handled <- n; return nil }
	first := join(t, g, "m", handle)
	for i := range 2000 {
		second := join(t, g, fmt.Sprint("m", i), handle)
		rt.Idle()
		left := make(chan error, 1)
		go func() { left <- first.Leave(t.Context()) }()
		publish(t, topic, i)
		select {
		case <-handled:
		case <-time.After(20 * time.Second):
			t.Fatalf("event %d is not handled", i)
		}
		if err := <-left; err != nil {
			t.Fatal(err)
		}
		first = second
	}
}
