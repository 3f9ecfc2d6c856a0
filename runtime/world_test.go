package runtime_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

var errBoom = errors.New("boom")

// once makes the first failure the last.
var once = supervisor.Retry{MaxAttempts: supervisor.NoRetry}

func open[T any](t testing.TB, rt *troupetest.Runtime, name string, cfg ...topics.Config) *topics.Topic[T] {
	t.Helper()
	topic, err := topics.Open[T](rt.Runtime, name, cfg...)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return topic
}

func subscribe[T any](t testing.TB, topic *topics.Topic[T], name string, handle topics.Handler[T], cfg ...topics.SubscriberConfig) *topics.Subscription {
	t.Helper()
	sub, err := topic.Subscribe(name, handle, cfg...)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return sub
}

func publish[T any](t testing.TB, topic *topics.Topic[T], events ...T) {
	t.Helper()
	for _, ev := range events {
		if err := topic.Publish(t.Context(), ev); err != nil {
			t.Fatalf("publish %v: %v", ev, err)
		}
	}
}

// shutdown shuts down within the time and returns the report.
func shutdown(t testing.TB, rt *troupetest.Runtime, within time.Duration) runtime.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	report, err := rt.Shutdown(ctx)
	if err != nil {
		t.Fatalf("shutdown: %v", err)
	}
	troupetest.CheckAccount(t, report.Snapshot)
	return report
}

func ok[T any](context.Context, T) error { return nil }

// counts returns the account of a subscriber that has not stopped.
func counts(t testing.TB, rt *troupetest.Runtime, topic, name string) actors.Counts {
	t.Helper()
	top, _ := rt.Snapshot().Topic(topic)
	sub, found := top.Subscriber(name)
	if !found {
		t.Fatalf("no subscriber %s/%s", topic, name)
	}
	return sub.Counts
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error = %v, want %v", what, got, want)
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

func wantSlice[T comparable](t testing.TB, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// patchy is a store of which a test replaces methods.
type patchy struct {
	*deadletter.Memory
	mu     sync.Mutex
	add    func(context.Context, []deadletter.Letter) error // nil: that of Memory
	update func(ctx context.Context, id string, fn func(*deadletter.Letter) error) error
	adds   int
}

func newPatchy(t testing.TB, cfg ...deadletter.MemoryConfig) *patchy {
	t.Helper()
	cfg = append(cfg, deadletter.MemoryConfig{})
	m, err := deadletter.NewMemory(cfg[0])
	if err != nil {
		t.Fatal(err)
	}
	return &patchy{Memory: m}
}

// fail replaces Add, or with nil gives it back.
func (p *patchy) fail(add func(context.Context, []deadletter.Letter) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add = add
}

func (p *patchy) failUpdate(update func(context.Context, string, func(*deadletter.Letter) error) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update = update
}

func (p *patchy) Add(ctx context.Context, letters []deadletter.Letter) error {
	p.mu.Lock()
	p.adds++
	add := p.add
	p.mu.Unlock()
	if add != nil {
		return add(ctx, letters)
	}
	return p.Memory.Add(ctx, letters)
}

func (p *patchy) Update(ctx context.Context, id string, fn func(*deadletter.Letter) error) error {
	p.mu.Lock()
	update := p.update
	p.mu.Unlock()
	if update != nil {
		return update(ctx, id, fn)
	}
	return p.Memory.Update(ctx, id, fn)
}

// calls returns how often Add was called.
func (p *patchy) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.adds
}
