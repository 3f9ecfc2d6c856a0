package runtime_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares a text for people with its file.
func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed (-update writes it); have\n%s\nwant\n%s", path, got, want)
	}
}

// busyShop is a runtime with something of everything, at a moment of virtual time.
func busyShop(t *testing.T) *troupetest.Runtime {
	rt := troupetest.New(t, runtime.Config{Name: "shop", Logger: zap.NewNop(), DrainTimeout: time.Minute})
	orders := open[string](t, rt, "orders.placed")
	open[int](t, rt, "stock", topics.Config{Unrouted: topics.RejectUnrouted})
	money, err := rt.Group("money", actors.GroupConfig{Strategy: supervisor.RestForOne, Restart: supervisor.Restart{OnExceed: supervisor.ExceedEscalate}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := money.Group("audit", actors.GroupConfig{Strategy: supervisor.AllForOne}); err != nil {
		t.Fatal(err)
	}
	subscribe(t, orders, "billing", func(ctx context.Context, ev string) error {
		switch d, _ := topics.DeliveryFrom(ctx); {
		case ev == "bad":
			return supervisor.Permanent(errBoom)
		case ev == "flaky" && d.Attempt == 1:
			panic("crash")
		case ev == "slow":
			<-ctx.Done()
		}
		return nil
	}, topics.SubscriberConfig{
		Group: money, Timeout: time.Minute, Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Second, Jitter: supervisor.NoJitter},
	})
	mail := subscribe(t, orders, "mail", ok[string], topics.SubscriberConfig{
		Capacity: 2, Overflow: mailbox.DropOldest, Ordering: actors.Parked,
		Retry:   supervisor.Retry{MaxAttempts: supervisor.Unlimited, BaseDelay: supervisor.NoDelay},
		Restart: supervisor.Restart{Type: supervisor.RestartOnFailure, OnExceed: supervisor.ExceedStop},
		Decide:  func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision { return d },
	})
	mail.Pause()
	log := subscribe(t, orders, "log", ok[string])
	publish(t, orders, "good", "bad", "flaky")
	time.Sleep(2 * time.Second)
	if err := log.Unsubscribe(t.Context(), runtime.Drain); err != nil {
		t.Fatal(err)
	}
	publish(t, orders, "slow", "next", "last")
	stock := open[int](t, rt, "stock", topics.Config{})
	_ = stock.Publish(t.Context(), 1)
	if _, err := topics.Spawn(rt.Runtime, "counter", func() topics.Behavior[int] {
		return topics.Behavior[int]{Receive: ok[int]}
	}, topics.SpawnConfig{SubscriberConfig: topics.SubscriberConfig{Overflow: mailbox.Unbounded, Retry: once}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	synctest.Wait()
	return rt
}

func TestDescribeTellsAPersonTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := busyShop(t).Describe()
		d.Node = "node-1"
		golden(t, "describe.txt", d.String())
	})
}

// Every number of the text and more is in the JSON, which comes back as it was.
func TestDescribeAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := busyShop(t).Describe()
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back runtime.Description
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if back.String() != d.String() {
			t.Errorf("back from JSON:\n%s\nwant\n%s", back, d)
		}
		if !regexp.MustCompile(`^[a-z_]+$`).MatchString(strings.Join(keys(t, data), "_")) {
			t.Errorf("keys = %v, want snake_case", keys(t, data))
		}
	})
}

func keys(t testing.TB, data []byte) (names []string) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for k := range m {
		names = append(names, k)
	}
	return names
}

// Whatever a Retry or Restart of the supervisor comes to have, the description
// must have it, too.
func TestDescribeHasTheWholePolicy(t *testing.T) {
	for _, c := range []struct{ of, in reflect.Type }{
		{reflect.TypeFor[supervisor.Retry](), reflect.TypeFor[runtime.RetryDescription]()},
		{reflect.TypeFor[supervisor.Restart](), reflect.TypeFor[runtime.RestartDescription]()},
	} {
		for i := range c.of.NumField() {
			if _, ok := c.in.FieldByName(c.of.Field(i).Name); !ok {
				t.Errorf("%v has no %s", c.in, c.of.Field(i).Name)
			}
		}
	}
}

// Somebody looks all the time while subscribers come, work and go.
func TestDescribeWhileEverythingMoves(t *testing.T) {
	rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop()})
	topic := open[int](t, rt, "t")
	group, err := rt.Group("g", actors.GroupConfig{})
	if err != nil {
		t.Fatal(err)
	}
	end, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		for {
			select {
			case <-end:
				return
			default:
				_ = rt.Describe().String()
				_ = rt.Health()
			}
		}
	}()
	for i := range 50 {
		sub := subscribe(t, topic, "s", func(_ context.Context, ev int) error {
			if ev%7 == 0 {
				panic("crash")
			}
			return nil
		}, topics.SubscriberConfig{Group: group, Retry: once, Overflow: mailbox.Overflow(i % 7), Capacity: 8,
			Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited}})
		for ev := range 20 {
			_ = topic.Publish(t.Context(), ev) // refused under Reject
		}
		if err := sub.Unsubscribe(t.Context(), actors.Rest(i%3)); err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	<-looked
	shutdown(t, rt, 30*time.Second)
	if d := rt.Describe(); d.State != runtime.StateClosed || len(d.Tree.Subscribers) != 0 || len(d.Faults) != 1 {
		t.Errorf("after shutdown: %s", d)
	}
}
