package topics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func even(n int) bool { return n%2 == 0 }
func big(n int) bool  { return n > 5 }

func TestFilters(t *testing.T) {
	eu := topics.Header("region", "eu", "uk")
	for _, c := range []struct {
		name   string
		filter topics.Filter
		want   []int
	}{
		{"Where", topics.Where(even), []int{0, 2, 4, 6, 8}},
		{"Header", eu, []int{0, 3, 6, 9}},
		{"Header of any value", topics.Header("region"), []int{0, 1, 3, 4, 6, 7, 9}},
		{"And", topics.And(topics.Where(even), topics.Where(big)), []int{6, 8}},
		{"And with Header", topics.And(topics.Where(even), eu), []int{0, 6}},
		{"Or", topics.Or(topics.Where(big), eu), []int{0, 3, 6, 7, 8, 9}},
		{"Not", topics.Not(topics.Where(even)), []int{1, 3, 5, 7, 9}},
		{"Not of all", topics.Not(topics.Filter{}), nil},
		{"nested", topics.Not(topics.Or(topics.And(topics.Where(even), topics.Where(big)), eu)), []int{1, 2, 4, 5, 7}},
		{"zero", topics.Filter{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
	} {
		for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.DropOldest} {
			t.Run(c.name+"/"+over.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rt := troupetest.New(t)
					topic := open(t, rt)
					h := troupetest.NewHandler[int](t)
					subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Filter: c.filter, Overflow: over})
					for n := range 10 {
						var m topics.Meta
						switch n % 3 {
						case 0:
							m.Headers = map[string]string{"region": "eu"}
						case 1:
							m.Headers = map[string]string{"region": "us"}
						}
						if err := topic.PublishWith(t.Context(), n, m); err != nil {
							t.Fatal(err)
						}
					}
					rt.Idle()
					h.WantEvents(c.want...)
					got := counts(t, rt, "s")
					if got.Done != uint64(len(c.want)) || got.Filtered != uint64(10-len(c.want)) || got.Deliveries != 10 {
						t.Errorf("%d done, %d filtered of %d, want %d, %d, 10", got.Done, got.Filtered, got.Deliveries, len(c.want), 10-len(c.want))
					}
				})
			})
		}
	}
}

func TestFilterErrors(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	for _, c := range []struct {
		filter topics.Filter
		want   string
	}{
		{topics.Where[int](nil), "Where: function must not be nil"},
		{topics.Header(""), "Header: name must not be empty"},
		{topics.And(), "need at least one filter"},
		{topics.Or(topics.Where(even), topics.Not(topics.Where(func(string) bool { return true }))), "takes string, the events are int"},
	} {
		_, err := topic.Subscribe("s", ok, topics.SubscriberConfig{Filter: c.filter, Workers: -1})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Workers -1") {
			t.Errorf("error = %v, want all that is wrong: %s, Workers -1", err, c.want)
		}
	}
	_, err := topic.Subscribe("s", ok, topics.SubscriberConfig{Filter: topics.Where(func(string) bool { return true })})
	wantErr(t, "filter of another type", err, topics.ErrTypeMismatch)
	if n := len(account(t, rt).Subscribers); n != 0 {
		t.Errorf("%d subscribers, want none half-registered", n)
	}
}

// A subscriber that wants nothing of what comes is not in anybody's way, however
// busy it is.
func TestFilteredEventsTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).On(1, troupetest.Wait())
		subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Filter: topics.Where(even), Capacity: 2})
		publish(t, topic, 0)
		h.Await(1)
		for range 5000 {
			publish(t, topic, 1)
		}
		publish(t, topic, 2, 4)
		held := make(chan error)
		go func() { held <- topic.Publish(t.Context(), 6) }()
		time.Sleep(time.Minute)
		select {
		case err := <-held:
			t.Errorf("the third event for two places: Publish = %v, want it to wait", err)
		default:
		}
		h.Release()
		if err := <-held; err != nil {
			t.Error(err)
		}
		rt.Idle()
		h.WantEvents(0, 2, 4, 6)
		if got := counts(t, rt, "s"); got.Filtered != 5000 || got.Done != 4 {
			t.Errorf("%+v, want 5000 filtered and 4 done", got)
		}
	})
}

// An event that is not wanted does not make a goroutine of a subscriber that sleeps.
func TestFilteredEventsWakeNobody(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	asked := make(chan struct{}, 1000)
	h := troupetest.NewHandler[int](t)
	sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Filter: topics.Where(func(n int) bool {
		asked <- struct{}{}
		return n == 7
	})})
	publish(t, topic, 7)
	rt.Idle()
	before := len(asked)
	publish(t, topic, 1)
	if len(asked) != before+1 {
		t.Errorf("the filter was asked %d times when Publish returned, want once, by the publisher", len(asked)-before)
	}
	if s := sub.Snapshot(); s.Counts.Filtered != 1 {
		t.Errorf("filtered %d, want 1", s.Counts.Filtered)
	}
	publish(t, topic, 7)
	rt.Idle()
	h.WantEvents(7, 7)
}

func TestFilterThatPanicsWantsTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults notes[runtime.Event]
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Fault: faults.add}})
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Filter: topics.Where(func(n int) bool {
			if n == 1 {
				panic("no idea")
			}
			return false
		})})
		publish(t, topic, 0, 1, 2)
		rt.Idle()
		h.WantEvents(1)
		var p *supervisor.PanicError
		if all := faults.all(); len(all) != 1 || !errors.As(all[0].Err, &p) || p.Value != "no idea" {
			t.Errorf("faults = %v, want the panic once", all)
		}
	})
}

func ExampleWhere() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	orders, err := topics.Open[order](rt, "orders.placed")
	if err != nil {
		panic(err)
	}
	large := topics.Where(func(o order) bool { return o.Cents >= 100_00 })
	if _, err := orders.Subscribe("fraud", func(_ context.Context, o order) error {
		fmt.Println("looks at", o.ID)
		return nil
	}, topics.SubscriberConfig{Filter: topics.And(large, topics.Not(topics.Header("tenant", "internal")))}); err != nil {
		panic(err)
	}
	ctx := context.Background()
	_ = orders.Publish(ctx, order{"o-1", 20_00})
	_ = orders.Publish(ctx, order{"o-2", 250_00})
	_ = orders.PublishWith(ctx, order{"o-3", 250_00}, topics.Meta{Headers: map[string]string{"tenant": "internal"}})
	_, _ = rt.Shutdown(ctx)
	// Output: looks at o-2
}

type order struct {
	ID    string
	Cents int
}
