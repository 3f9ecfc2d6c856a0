package topics_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestReplay(t *testing.T) {
	for _, c := range []struct {
		name   string
		replay topics.Replay
		cfg    topics.SubscriberConfig
		want   []int
	}{
		{"last", topics.ReplayLast(1), topics.SubscriberConfig{}, []int{9, 10}},
		{"last three", topics.ReplayLast(3), topics.SubscriberConfig{}, []int{7, 8, 9, 10}},
		{"all", topics.ReplayLast(100), topics.SubscriberConfig{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"latest", topics.ReplayLatest(100, func(n int) string { return strconv.Itoa(n % 3) }), topics.SubscriberConfig{}, []int{9, 7, 8, 10}},
		{"left out", topics.ReplayLast(3), topics.SubscriberConfig{NoReplay: true}, []int{10}},
		{"filtered", topics.ReplayLast(5), topics.SubscriberConfig{Filter: topics.Where(even)}, []int{6, 8, 10}},
		{"lossy", topics.ReplayLast(5), topics.SubscriberConfig{Overflow: mailbox.DropOldest, Capacity: 2}, nil},
		{"workers", topics.ReplayLast(3), topics.SubscriberConfig{Workers: 2, Key: topics.KeyOf(func(int) string { return "" })}, []int{7, 8, 9, 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt, topics.Config{Replay: c.replay})
				for n := range 10 {
					publish(t, topic, n) // without anybody there
				}
				h := troupetest.NewHandler[int](t)
				subscribe(t, topic, "s", h.Handle, c.cfg)
				publish(t, topic, 10)
				rt.Idle()
				got := h.Events()
				if c.name == "latest" {
					slices.Sort(got[:3]) // by age of the key's first event
					c.want = []int{7, 8, 9, 10}
				}
				if c.want == nil {
					if !slices.Contains(got, 10) || !slices.IsSorted(got) {
						t.Errorf("handled %v, want the newest in order", got)
					}
				} else if !slices.Equal(got, c.want) {
					t.Errorf("handled %v, want %v", got, c.want)
				}
				if a := account(t, rt); a.Accepted != 11 || a.Unrouted != 0 {
					t.Errorf("%d accepted, %d unrouted, want 11, 0", a.Accepted, a.Unrouted)
				}
			})
		})
	}
}

func TestReplayToPatterns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt, topics.Config{Replay: topics.ReplayLast(1)})
		publish(t, topic, 1, 2)
		h := troupetest.NewHandler[topics.Any](t)
		if _, err := topics.SubscribePattern(rt.Runtime, ">", "s", h.Handle); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 3)
		rt.Idle()
		h.WantEvents(topics.Any{"t", 2}, topics.Any{"t", 3})
		wantSlice(t, "Kept", topic.Kept(), 3)
	})
}

// Subscribers that come while others publish see a run without a gap that ends with
// the last event.
func TestReplayWhilePublishing(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt, topics.Config{Replay: topics.ReplayLast(10)})
	const events = 5000
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range events {
			publish(t, topic, n)
		}
	})
	var mu sync.Mutex
	got := map[string][]int{}
	for i := range 50 {
		name := fmt.Sprint("s", i)
		subscribe(t, topic, name, func(_ context.Context, n int) error {
			mu.Lock()
			defer mu.Unlock()
			got[name] = append(got[name], n)
			return nil
		}, topics.SubscriberConfig{Workers: i % 2}) // 0 is 1
	}
	wg.Wait()
	rt.Idle()
	for name, ns := range got {
		for i, n := range ns {
			if n != ns[0]+i {
				t.Fatalf("%s: %d follows %d", name, n, ns[i-1])
			}
		}
		if ns[len(ns)-1] != events-1 || ns[0] > events-10 {
			t.Errorf("%s: from %d to %d, want the last ten at least", name, ns[0], ns[len(ns)-1])
		}
	}
	if len(got) != 50 {
		t.Errorf("%d subscribers got events, want 50", len(got))
	}
}

func TestReplayErrors(t *testing.T) {
	rt := troupetest.New(t)
	for _, c := range []struct {
		cfg  topics.Config
		want string
	}{
		{topics.Config{Replay: topics.ReplayLast(-1)}, "Replay of -1 events"},
		{topics.Config{Replay: topics.ReplayLatest(0, lastDigit)}, "Replay of 0 events"},
		{topics.Config{Replay: topics.ReplayLatest(3, func(string) string { return "" })}, "takes string, the events are int"},
		{topics.Config{Replay: topics.ReplayLatest[int](3, nil)}, "must not be nil"},
		{topics.Config{Replay: topics.ReplayLast(3), Unrouted: topics.RejectUnrouted}, "must be CountUnrouted"},
	} {
		if _, err := topics.Open[int](rt.Runtime, "t", c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error = %v, want %s", err, c.want)
		}
	}
	if n := len(rt.Snapshot().Topics); n != 0 {
		t.Errorf("%d topics, want none", n)
	}
}

// A newcomer gets the last value at once.
func ExampleReplayLast() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	config, err := topics.Open[string](rt, "config", topics.Config{Replay: topics.ReplayLast(1)})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_ = config.Publish(ctx, "rate=10")
	_ = config.Publish(ctx, "rate=20")
	if _, err := config.Subscribe("limiter", func(_ context.Context, c string) error {
		fmt.Println(c)
		return nil
	}); err != nil {
		panic(err)
	}
	_ = config.Publish(ctx, "rate=30")
	_, _ = rt.Shutdown(ctx)
	// Output:
	// rate=20
	// rate=30
}
