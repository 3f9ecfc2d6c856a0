package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// order is the event of the tests.
type order struct {
	ID      int64  `json:"id"`
	Country string `json:"country,omitempty"`
}

// world is a program with one topic, a console over HTTP and a Unix socket, and a
// store file.
type world struct {
	t      *testing.T
	rt     *runtime.Runtime
	store  *sqlite.Store
	file   string
	desk   *ops.Desk
	orders *topics.Topic[order]
	handle atomic.Pointer[func(context.Context, order) error]
	url    string
	socket string
	env    map[string]string
}

const token = "t0ken"

// newWorld makes a world in which every order from CH fails.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, file: filepath.Join(t.TempDir(), "letters.db")}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.store, err = sqlite.Open(sqlite.Config{Path: w.file})
	check(err)
	t.Cleanup(func() { check(w.store.Close()) })
	w.rt, err = runtime.New(runtime.Config{Name: "shop", DeadLetters: w.store})
	check(err)
	w.orders, err = topics.Open[order](w.rt, "orders.placed")
	check(err)
	w.handles(func(_ context.Context, o order) error {
		if o.Country == "CH" {
			return fmt.Errorf("order %d: tax service: 502", o.ID)
		}
		return nil
	})
	once := supervisor.Retry{MaxAttempts: supervisor.NoRetry}
	_, err = w.orders.Subscribe("payment", func(ctx context.Context, o order) error { return (*w.handle.Load())(ctx, o) },
		topics.SubscriberConfig{Retry: once, Rehearsal: true})
	check(err)
	_, err = w.orders.Subscribe("stock", func(context.Context, order) error { return nil })
	check(err)
	w.desk, err = ops.New(w.rt, ops.Config{Fixes: []ops.Fix{{
		Name: "leave-ch", About: "moves everybody to LI",
		Do: func(_ context.Context, l deadletter.Letter) ([]byte, error) {
			return bytes.ReplaceAll(l.Payload, []byte(`"CH"`), []byte(`"LI"`)), nil
		},
	}}})
	check(err)
	c, err := console.New(w.rt, console.Config{Desk: w.desk, Environment: "test", Authorize: console.Token(token), Sample: console.NoSamples})
	check(err)
	server := httptest.NewServer(http.StripPrefix("/ops", c))
	w.url = server.URL + "/ops/"
	w.socket = filepath.Join(t.TempDir(), "t.sock")
	l, err := console.Listen(w.socket)
	check(err)
	local := &http.Server{Handler: c}
	served := make(chan error, 1)
	go func() { served <- local.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		check(c.Close(ctx))
		server.CloseClientConnections()
		server.Close()
		_ = local.Close()
		<-served
		if _, err := w.rt.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		check(w.desk.Close(ctx))
	})
	w.env = map[string]string{"TROUPE_SERVER": w.url, "TROUPE_TOKEN": token, "TROUPE_USER": "ada"}
	return w
}

func (w *world) handles(fn func(context.Context, order) error) { w.handle.Store(&fn) }

// fail makes n letters and returns their IDs, oldest first.
func (w *world) fail(n int) (ids []string) {
	w.t.Helper()
	for i := range n {
		if err := w.orders.Publish(context.Background(), order{9_007_199_254_740_993 + int64(i), "CH"}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.idle()
	page, err := w.store.List(context.Background(), deadletter.Query{Limit: n})
	if err != nil || len(page.Letters) != n {
		w.t.Fatalf("there are %d letters, %v, want %d", len(page.Letters), err, n)
	}
	for i := n - 1; i >= 0; i-- {
		ids = append(ids, page.Letters[i].ID)
	}
	return ids
}

func (w *world) idle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := w.rt.Idle(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// result is what a call of the program gave.
type result struct {
	code     int
	out, err string
}

// run calls the program as in a pipe.
func (w *world) run(args ...string) result {
	return run(context.Background(), w.env, "", false, args...)
}

// typed calls it on a terminal, at which a person types.
func (w *world) typed(in string, args ...string) result {
	return run(context.Background(), w.env, in, true, args...)
}

// ok calls it in a pipe and wants code 0.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.code != cli.ExitOK {
		w.t.Fatalf("troupe %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// into calls it with -o json and decodes what it says.
func (w *world) into(v any, args ...string) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.ok(append(args, "-o", "json")...)), v); err != nil {
		w.t.Fatalf("troupe %s -o json: %v", strings.Join(args, " "), err)
	}
}

func run(ctx context.Context, env map[string]string, in string, terminal bool, args ...string) result {
	var out, errs buffer
	code := cli.Run(ctx, cli.Env{
		In: strings.NewReader(in), Out: &out, Err: &errs, Now: time.Now,
		Getenv:     func(name string) string { return env[name] },
		InTerminal: terminal, OutTerminal: terminal, ErrTerminal: terminal,
		Size: func() (int, int) { return 200, 50 },
	}, args...)
	return result{code, out.String(), errs.String()}
}

// environment is that of a call in a pipe whose output and errors go to out.
func environment(env map[string]string, out io.Writer) cli.Env {
	return cli.Env{In: strings.NewReader(""), Out: out, Err: out, Now: time.Now, Getenv: func(name string) string { return env[name] },
		Size: func() (int, int) { return 120, 40 }}
}

// buffer is safe for concurrent use, for those who read while the program writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s: not within 10 s", what)
}
