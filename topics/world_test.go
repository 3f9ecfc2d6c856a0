package topics_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// once makes the first failure the last.
var once = supervisor.Retry{MaxAttempts: supervisor.NoRetry}

func ok(context.Context, int) error { return nil }

func open(t testing.TB, rt *troupetest.Runtime, cfg ...topics.Config) *topics.Topic[int] {
	t.Helper()
	topic, err := topics.Open[int](rt.Runtime, "t", cfg...)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return topic
}

func subscribe(t testing.TB, topic *topics.Topic[int], name string, handle topics.Handler[int], cfg ...topics.SubscriberConfig) *topics.Subscription {
	t.Helper()
	sub, err := topic.Subscribe(name, handle, cfg...)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return sub
}

func publish(t testing.TB, topic *topics.Topic[int], events ...int) {
	t.Helper()
	for _, ev := range events {
		if err := topic.Publish(t.Context(), ev); err != nil {
			t.Fatalf("publish %d: %v", ev, err)
		}
	}
}

// account returns the account of the topic.
func account(t testing.TB, rt *troupetest.Runtime) runtime.TopicSnapshot {
	t.Helper()
	snap := rt.Snapshot()
	troupetest.CheckAccount(t, snap)
	top, found := snap.Topic("t")
	if !found {
		t.Fatal("no topic t")
	}
	return top
}

// counts returns the account of a subscriber that has not stopped.
func counts(t testing.TB, rt *troupetest.Runtime, name string) actors.Counts {
	t.Helper()
	sub, found := account(t, rt).Subscriber(name)
	if !found {
		t.Fatalf("no subscriber %s", name)
	}
	return sub.Counts
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error = %v, want %v", what, got, want)
	}
}

func wantSlice[T comparable](t testing.TB, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// notes is a list that several goroutines write to.
type notes[T any] struct {
	mu   sync.Mutex
	list []T
}

func (n *notes[T]) add(v T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, v)
}

func (n *notes[T]) all() []T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}
