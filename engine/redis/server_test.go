package redis_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/redis"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// need skips a test that misses what scripts/services brings, and with CI=true fails it.
func need(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: missing: eval \"$(scripts/services start redis)\"", what)
	}
	t.Skipf("%s: missing: eval \"$(scripts/services start redis)\"", what)
}

// shared is the URL of the server that all tests may use at once.
func shared(t testing.TB) string {
	t.Helper()
	url := os.Getenv("TROUPE_REDIS")
	if url == "" {
		need(t, "TROUPE_REDIS")
	}
	return url
}

// server is one that a test has for itself, to kill and to fill.
type server struct {
	t    testing.TB
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		need(t, "redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port, args: args}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	return s
}

func (s *server) url() string { return fmt.Sprintf("redis://127.0.0.1:%d", s.port) }

func (s *server) start() {
	s.t.Helper()
	args := append([]string{
		"--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--logfile", filepath.Join(s.dir, "log"),
	}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server answers", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		if err != nil {
			return false
		}
		defer c.Close()
		fmt.Fprint(c, "PING\r\n")
		b := make([]byte, 5)
		n, _ := c.Read(b)
		answer := string(b[:n])
		return answer == "+PONG" || answer == "-NOAU"
	})
}

func (s *server) end(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(sig) // it may have ended
	_ = s.cmd.Wait()              // says how
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

func open(t testing.TB, cfg redis.Config) *redis.Engine {
	t.Helper()
	if cfg.URL == "" && cfg.Options == nil {
		cfg.URL = shared(t)
	}
	e, err := redis.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// topic opens one that no other test has, and removes it at the end.
func topic(t testing.TB, e engine.Engine) (engine.Topic, string) {
	t.Helper()
	name := "test/" + t.Name() + "/" + rand.Text()
	p, err := e.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return p, name
}

// streams is a topic of a new engine.
func streams(t testing.TB, cfg redis.Config) (engine.Topic, string) {
	t.Helper()
	if cfg.URL == "" && cfg.Options == nil {
		cfg.URL = shared(t)
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "t" + rand.Text()
	}
	behind := cfg.URL
	if behind == "" {
		behind = shared(t)
	}
	c := client(t, behind)
	t.Cleanup(func() {
		ctx := context.Background()
		keys, _ := c.Keys(ctx, cfg.Prefix+":*").Result() // a server of the test's own may be gone
		for _, k := range keys {
			c.Del(ctx, k)
		}
	})
	return topic(t, open(t, cfg))
}

// client is a bare one, to look behind the engine.
func client(t testing.TB, url string) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.MaxRetries = -1
	o.Protocol = 2
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func subscribe(t testing.TB, p engine.Topic, cfg engine.SubscribeConfig) engine.Subscription {
	t.Helper()
	s, err := p.Subscribe(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// The servers of some tests are gone by now.
		if err := s.Close(ctx); err != nil && !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func record(id string) engine.Record {
	return engine.Record{ID: id, Source: "/test", Type: "test", Data: []byte("data of " + id)}
}

func keyed(id, key string) engine.Record {
	r := record(id)
	r.Key = key
	return r
}

func numbered(from, to int) (records []engine.Record) {
	for i := from; i < to; i++ {
		records = append(records, record(fmt.Sprintf("r%05d", i)))
	}
	return records
}

func publish(t testing.TB, p engine.Topic, records ...engine.Record) {
	t.Helper()
	for i, err := range p.Publish(t.Context(), records) {
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

// fetch returns n deliveries, in as many calls as it takes.
func fetch(t testing.TB, s engine.Subscription, n int) (all []*engine.Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(all) < n {
		got, err := s.Fetch(ctx, n-len(all))
		if err != nil {
			t.Fatalf("fetched %d of %d: %v", len(all), n, err)
		}
		all = append(all, got...)
	}
	return all
}

// nothing fails if something comes within d.
func nothing(t testing.TB, s engine.Subscription, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	got, err := s.Fetch(ctx, 100)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Fetch = %v, %v, want nothing", ids(got), err)
	}
}

func ids(all []*engine.Delivery) (names []string) {
	for _, d := range all {
		names = append(names, d.Record.ID)
	}
	return names
}

func idsOf(records []engine.Record) (names []string) {
	for i := range records {
		names = append(names, records[i].ID)
	}
	return names
}

func settle(t testing.TB, s engine.Subscription, v engine.Verdict, delay time.Duration, all ...*engine.Delivery) (late int) {
	t.Helper()
	var settled []engine.Settlement
	for _, d := range all {
		settled = append(settled, engine.Settlement{Delivery: d, Verdict: v, Delay: delay})
	}
	late, err := s.Settle(t.Context(), settled)
	if err != nil {
		t.Fatal(err)
	}
	return late
}

func ack(t testing.TB, s engine.Subscription, all ...*engine.Delivery) {
	t.Helper()
	if late := settle(t, s, engine.Ack, 0, all...); late != 0 {
		t.Fatalf("%d of %d acks were late", late, len(all))
	}
}

func lag(t testing.TB, s engine.Subscription) engine.Lag {
	t.Helper()
	l, err := s.Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// is fails unless err is of a kind and its text has all the parts.
func is(t testing.TB, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error = %v, want %v", err, kind)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Fatalf("error = %v, want one with %q", err, p)
		}
	}
}
