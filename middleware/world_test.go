package middleware_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// exact has delays that a test can name.
var exact = supervisor.Retry{MaxAttempts: 5, BaseDelay: time.Second, Jitter: supervisor.NoJitter}

// world is a runtime with a topic t.
type world struct {
	*troupetest.Runtime
	t     testing.TB
	topic *topics.Topic[int]
	began time.Time
}

func newWorld(t testing.TB, cfg ...runtime.Config) *world {
	t.Helper()
	w := &world{Runtime: troupetest.New(t, cfg...), t: t, began: time.Now()}
	var err error
	if w.topic, err = topics.Open[int](w.Runtime.Runtime, "t"); err != nil {
		t.Fatal(err)
	}
	return w
}

// with is a subscriber with that middleware and exact retries.
func with(list ...topics.Middleware) topics.SubscriberConfig {
	return topics.SubscriberConfig{Retry: exact, Middleware: list}
}

func (w *world) subscribe(name string, handle topics.Handler[int], cfg topics.SubscriberConfig) *topics.Subscription {
	w.t.Helper()
	sub, err := w.topic.Subscribe(name, handle, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return sub
}

// factory subscribes a handler that is told the number of its instance, from 1.
func (w *world) factory(name string, handle func(ctx context.Context, ev, instance int) error, cfg topics.SubscriberConfig) *topics.Subscription {
	w.t.Helper()
	instances := 0
	sub, err := w.topic.SubscribeFactory(name, func() topics.Behavior[int] {
		instances++
		n := instances
		return topics.Behavior[int]{Receive: func(ctx context.Context, ev int) error { return handle(ctx, ev, n) }}
	}, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return sub
}

func (w *world) publish(events ...int) {
	w.t.Helper()
	for _, ev := range events {
		if err := w.topic.Publish(w.t.Context(), ev); err != nil {
			w.t.Fatal(err)
		}
	}
}

// publishID publishes an event with an id.
func (w *world) publishID(ev int, id string) {
	w.t.Helper()
	if err := w.topic.PublishWith(w.t.Context(), ev, topics.Meta{ID: id}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) counts(name string) actors.Counts {
	w.t.Helper()
	snap := w.Snapshot()
	troupetest.CheckAccount(w.t, snap)
	top, _ := snap.Topic("t")
	sub, found := top.Subscriber(name)
	if !found {
		w.t.Fatalf("no subscriber %s", name)
	}
	return sub.Counts
}

// shutdown gives the pipeline so long to flush.
func (w *world) shutdown(within time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if _, err := w.Shutdown(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// since is how long the world has been there.
func (w *world) since() time.Duration { return time.Since(w.began) }

// notes is a list that several goroutines write to.
type notes[T comparable] struct {
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

func (n *notes[T]) want(t testing.TB, what string, want ...T) {
	t.Helper()
	if got := n.all(); !slices.Equal(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func wantEqual[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// logged returns a logger and what it was told.
func logged(level zapcore.Level) (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(level)
	return zap.New(core), logs
}

// build is the chain of m around next, as Subscribe makes it.
func build(m runtime.Middleware, next runtime.Next) runtime.Next { return m(next) }

// slip is an error whose methods panic when it is a nil pointer, a common slip.
type slip struct{ err error }

func (s *slip) Error() string { return s.err.Error() }
func (s *slip) Unwrap() error { return s.err }

// printed returns a logger for examples, which leaves out those fields.
func printed(without ...string) *zap.Logger {
	enc := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "m", LevelKey: "l", EncodeLevel: zapcore.LowercaseLevelEncoder,
		ConsoleSeparator: " ", EncodeDuration: zapcore.StringDurationEncoder})
	return zap.New(leaveOut{zapcore.NewCore(enc, zapcore.AddSync(stdout{}), zap.DebugLevel), without})
}

// stdout is os.Stdout when it is written to: examples replace that.
type stdout struct{}

func (stdout) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

type leaveOut struct {
	zapcore.Core
	keys []string
}

func (l leaveOut) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return c.AddCore(e, l)
}

func (l leaveOut) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return l.Core.Write(e, slices.DeleteFunc(slices.Clone(fields), func(f zapcore.Field) bool { return slices.Contains(l.keys, f.Key) }))
}

// closeOnce closes c after the first line.
func closeOnce(c chan struct{}) func(zapcore.Entry) error {
	var once sync.Once
	return func(zapcore.Entry) error {
		once.Do(func() { close(c) })
		return nil
	}
}
