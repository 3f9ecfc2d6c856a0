package nats_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/nats"
)

var account = eventstore.Stream{Category: "account", ID: "a"}

func open(t testing.TB, cfg nats.Config) *nats.Store {
	t.Helper()
	s, err := nats.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func event(data string) eventstore.Event {
	return eventstore.Event{Type: "counted", Data: []byte(data)}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  nats.Config
		is   error
		says string
	}{
		"nothing":     {nats.Config{}, nil, "exactly one"},
		"both":        {nats.Config{URL: "nats://x", Folder: "y"}, nil, "exactly one"},
		"a name":      {nats.Config{Folder: "y", Name: "a.b"}, nil, "Name"},
		"replicas":    {nats.Config{Folder: "y", Replicas: 9}, nil, "Replicas"},
		"power":       {nats.Config{URL: "nats://x", PowerSafe: true}, nil, "PowerSafe"},
		"unreachable": {nats.Config{URL: "nats://127.0.0.1:1", Timeout: 2 * time.Second}, engine.ErrUnavailable, "Config.URL"},
	} {
		s, err := nats.Open(t.Context(), c.cfg)
		if s != nil || err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("Open with %s = %v, want an error that says %q and is %v", name, err, c.says, c.is)
		}
	}
}

func TestOpenOfAnotherStream(t *testing.T) {
	js := client(t, start(t, t.TempDir()))
	for name, cfg := range map[string]jetstream.StreamConfig{
		"forgets": {Name: "forgets", Subjects: []string{"forgets.*.*"}, MaxAge: time.Hour},
		"other":   {Name: "other", Subjects: []string{"other.>"}},
	} {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := nats.Open(t.Context(), nats.Config{JetStream: js, Name: name}); !errors.Is(err, engine.ErrMismatch) {
			t.Errorf("Open of stream %s = %v, want ErrMismatch", name, err)
		}
	}
	// Stores of two names on one server do not see each other.
	a, b := open(t, nats.Config{JetStream: js, Name: "a"}), open(t, nats.Config{JetStream: js, Name: "b"})
	for _, s := range []*nats.Store{a, b} {
		if done, err := s.Append(t.Context(), account, eventstore.NoStream, event("x")); err != nil || done.Version != 1 {
			t.Errorf("Append = %+v, %v", done, err)
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	ns := start(t, t.TempDir(), func(o *server.Options) {
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
		o.Username, o.Password = "jane", "secret"
	})
	if _, err := nats.Open(t.Context(), nats.Config{URL: ns.ClientURL(), Client: []natsgo.Option{natsgo.UserInfo("jane", "wrong")}}); !errors.Is(err, engine.ErrUnauthorized) {
		t.Errorf("Open with a wrong password = %v, want ErrUnauthorized", err)
	}
	s := open(t, nats.Config{URL: ns.ClientURL(), Client: []natsgo.Option{natsgo.UserInfo("jane", "secret")}})
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
}

func TestFolderIsOneStoresOwn(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	s := open(t, nats.Config{Folder: folder})
	if _, err := nats.Open(t.Context(), nats.Config{Folder: folder}); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("Open of a folder that is open = %v, want ErrInUse", err)
	}
	if _, err := s.Append(t.Context(), account, 0, event("x"), event("y")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = open(t, nats.Config{Folder: folder, PowerSafe: true})
	if done, err := s.Append(t.Context(), account, 2, event("z")); err != nil || done.Version != 3 {
		t.Errorf("Append after the folder was opened again = %+v, %v", done, err)
	}
}

// TestOldServerIsRefused: server 2.9 would store a batch one by one, without a word.
func TestOldServerIsRefused(t *testing.T) {
	url := os.Getenv("TROUPE_NATS_OLD")
	if url == "" {
		const how = "needs a server older than 2.12: scripts/services start, and TROUPE_NATS_OLD"
		if os.Getenv("CI") == "true" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	if !strings.Contains(url, "://") {
		url = "nats://" + url
	}
	if _, err := nats.Open(t.Context(), nats.Config{URL: url}); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("Open on an old server = %v, want ErrUnsupported", err)
	}
}

func TestTooLargeAndFull(t *testing.T) {
	js := client(t, start(t, t.TempDir()))
	s := open(t, nats.Config{JetStream: js, MaxBytes: 300 << 10})
	if _, err := s.Append(t.Context(), account, 0, event(strings.Repeat("x", 2<<20))); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("Append of 2 MiB = %v, want ErrTooLarge", err)
	}
	if _, err := s.Append(t.Context(), account, 0, event("a"), event(strings.Repeat("x", 2<<20))); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("Append of a small one and 2 MiB = %v, want ErrTooLarge", err)
	}
	var full error
	n := 0
	for ; full == nil && n < 100; n++ {
		_, full = s.Append(t.Context(), account, eventstore.Version(n), event(strings.Repeat("x", 10<<10)))
	}
	if !errors.Is(full, engine.ErrFull) {
		t.Errorf("Append number %d into a store of 300 KiB = %v, want ErrFull", n, full)
	}
	if _, err := s.Append(t.Context(), account, eventstore.Any, event(strings.Repeat("x", 200<<10)), event(strings.Repeat("x", 200<<10))); !errors.Is(err, engine.ErrFull) {
		t.Errorf("Append of two into a store that is full = %v, want ErrFull", err)
	}
	got := 0
	for ev, err := range s.Read(t.Context(), account, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if got++; ev.Version != eventstore.Version(got) {
			t.Errorf("event %d has version %d", got, ev.Version)
		}
	}
	if got != n-1 {
		t.Errorf("Read gives %d events, want the %d that were acknowledged", got, n-1)
	}
}

// TestServerRestarts has a follower and an appender live through restarts of the server.
func TestServerRestarts(t *testing.T) {
	dir := t.TempDir()
	listen := func(port int) func(*server.Options) {
		return func(o *server.Options) { o.DontListen, o.Host, o.Port = false, "127.0.0.1", port }
	}
	ns := start(t, dir, listen(server.RANDOM_PORT))
	url := ns.ClientURL()
	var port int
	if _, err := fmt.Sscanf(url[strings.LastIndex(url, ":"):], ":%d", &port); err != nil {
		t.Fatal(err)
	}
	s := open(t, nats.Config{URL: url, Timeout: 2 * time.Second, Client: []natsgo.Option{natsgo.ReconnectWait(20 * time.Millisecond)}})
	f, err := s.Follow(t.Context(), eventstore.Start)
	if err != nil {
		t.Fatal(err)
	}
	const total = 300
	appended := make(chan error, 1)
	go func() {
		for i := range total {
			ev := event(fmt.Sprint(i))
			ev.ID = fmt.Sprint("e", i)
			for {
				// The same Append until it is known to be done.
				_, err := s.Append(t.Context(), account, eventstore.Version(i), ev)
				if err == nil {
					break
				}
				if !engine.Temporary(err) {
					appended <- err
					return
				}
			}
		}
		appended <- nil
	}()
	var got []eventstore.Recorded
	restarts := 0
	for len(got) < total {
		if len(got) > 80*(restarts+1) && restarts < 3 {
			ns.Shutdown()
			ns.WaitForShutdown()
			ns = start(t, dir, listen(port))
			restarts++
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		some, err := f.Next(ctx, 20)
		cancel()
		if err != nil && !engine.Temporary(err) || ctx.Err() == context.DeadlineExceeded {
			t.Fatalf("Next after %d events: %v", len(got), err)
		}
		got = append(got, some...)
	}
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	for i, ev := range got {
		if string(ev.Data) != fmt.Sprint(i) || ev.Version != eventstore.Version(i+1) {
			t.Fatalf("event %d is %q, version %d", i, ev.Data, ev.Version)
		}
	}
	if restarts == 0 {
		t.Error("the server was not restarted")
	}
	n, err := f.Lag(t.Context())
	for deadline := time.Now().Add(30 * time.Second); engine.Temporary(err) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		n, err = f.Lag(t.Context())
	}
	if err != nil || n != 0 {
		t.Errorf("Lag = %d, %v, want 0", n, err)
	}
}

func TestForeignMessageStopsTheFollower(t *testing.T) {
	js := client(t, start(t, t.TempDir()))
	s := open(t, nats.Config{JetStream: js})
	if _, err := s.Append(t.Context(), account, 0, event("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "events.account.b", []byte("no event")); err != nil {
		t.Fatal(err)
	}
	f, err := s.Follow(t.Context(), eventstore.Start)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 1; {
		some, err := f.Next(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		n += len(some)
	}
	for range 2 {
		if _, err := f.Next(t.Context(), 10); err == nil || !strings.Contains(err.Error(), "message 2 of events") {
			t.Errorf("Next at a message that is no event = %v, want an error that names it", err)
		}
	}
}
