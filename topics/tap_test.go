package topics_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestTapSamplesAndIsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		numbers, words := openAt[int](t, rt, "a.numbers"), openAt[string](t, rt, "b.words")
		var mu sync.Mutex
		var seen []string
		release := make(chan struct{})
		tap, err := topics.Tap(rt.Runtime, ">", "tap", 3, func(_ context.Context, ev topics.Any) {
			mu.Lock()
			seen = append(seen, fmt.Sprint(ev.Topic, " ", ev.Event))
			n := len(seen)
			mu.Unlock()
			switch n {
			case 1:
				panic("not your business")
			case 2:
				<-release
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, numbers, 0, 1, 2)
		rt.Idle()
		publish(t, numbers, 3)
		synctest.Wait()
		for range 10_000 { // while it does not return
			if err := words.Publish(t.Context(), "w"); err != nil {
				t.Fatal(err)
			}
		}
		close(release)
		rt.Idle()
		got := tap.Snapshot().Counts
		if strings.Join(seen[:2], ", ") != "a.numbers 0, a.numbers 3" || got.Filtered != 6669 || got.DeadLettered != 0 || got.TotalDropped() < 1 || len(rt.Letters()) != 0 {
			t.Errorf("saw %v first, %+v", seen[:2], got)
		}
		if err := tap.Unsubscribe(t.Context(), runtime.Discard); err != nil {
			t.Error(err)
		}
	})
}

func TestTapErrors(t *testing.T) {
	rt := troupetest.New(t)
	look := func(context.Context, topics.Any) {}
	if _, err := topics.Tap(rt.Runtime, ">", "tap", 0, look); err == nil || !strings.Contains(err.Error(), "EveryNth(0)") {
		t.Errorf("one in none: %v", err)
	}
	if _, err := topics.Tap(rt.Runtime, ">", "tap", 1, nil); err == nil || !strings.Contains(err.Error(), "look") {
		t.Errorf("nil: %v", err)
	}
	if _, err := topics.Tap(rt.Runtime, "a", "tap", 1, look); err == nil {
		t.Error("no pattern: nil, want an error")
	}
}

func ExampleTap() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := topics.Tap(rt, "orders.>", "debug", 2, func(_ context.Context, ev topics.Any) {
		fmt.Println(ev.Topic, ev.Event)
	}); err != nil {
		panic(err)
	}
	placed, err := topics.Open[int](rt, "orders.placed")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for n := range 4 {
		_ = placed.Publish(ctx, n)
	}
	_, _ = rt.Shutdown(ctx)
	// Output:
	// orders.placed 0
	// orders.placed 2
}
