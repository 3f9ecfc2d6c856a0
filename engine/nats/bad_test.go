package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

// freeAddress is one that nobody listens on, now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts a server of its own at address, with its files in folder.
func serve(t testing.TB, address, folder string, change func(*server.Options)) *server.Server {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	var n int
	fmt.Sscan(port, &n)
	o := &server.Options{Host: host, Port: n, JetStream: true, StoreDir: folder, NoSigs: true, NoLog: true, JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 1 << 20}
	if change != nil {
		change(o)
	}
	ns, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() { stop(ns) })
	return ns
}

func stop(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}

func TestNobodyAnswersAtOpen(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	for _, bound := range []string{"Config.Timeout", "ctx"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if bound == "ctx" {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		}
		begin := time.Now()
		_, err := nats.Open(ctx, nats.Config{URL: "nats://ada:secret@" + address, Timeout: time.Second})
		cancel()
		if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: Open = %v, want ErrUnavailable with the address and no password", bound, err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s: it took %v", bound, took)
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	serve(t, address, t.TempDir(), func(o *server.Options) { o.Username, o.Password = "ada", "right" })
	begin := time.Now()
	_, err := nats.Open(within(t), nats.Config{URL: "nats://ada:wrong@" + address})
	if !errors.Is(err, engine.ErrUnauthorized) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("Open = %v, want ErrUnauthorized without the password", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v: waiting does not help", took)
	}
	e := start(t, nats.Config{URL: "nats://" + address, Client: []natsgo.Option{natsgo.UserInfo("ada", "right")}})
	publish(t, topic(t, e, "orders"), record(1))
}

// The server's answer to what is not allowed is not one to the request.
func TestWhatTheServerDoesNotAllow(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	serve(t, address, t.TempDir(), func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "ada", Password: "p"},
			{Username: "bob", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"orders", "orders#*", "$JS.API.STREAM.CREATE.>"}}}},
		}
	})
	topic(t, start(t, nats.Config{URL: "nats://ada:p@" + address}), "orders")
	bob := start(t, nats.Config{URL: "nats://bob:p@" + address})
	begin := time.Now()
	errs := topic(t, bob, "orders").Publish(within(t), numbered(0, 3))
	for i := range 3 {
		if len(errs) != 3 || !errors.Is(errs[i], engine.ErrUnauthorized) {
			t.Fatalf("Publish = %v, want ErrUnauthorized for each", errs)
		}
	}
	if _, err := bob.Open(within(t), "payments"); !errors.Is(err, engine.ErrUnauthorized) {
		t.Errorf("Open = %v, want ErrUnauthorized", err)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
}

// While the server is away publishers know it at once, fetchers soon; when it is back
// everything goes on, without anybody doing anything.
func TestTheServerIsAwayAndComesBack(t *testing.T) {
	t.Parallel()
	address, folder := freeAddress(t), t.TempDir()
	ns := serve(t, address, folder, nil)
	e := start(t, nats.Config{URL: "nats://" + address})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{Lease: 2 * time.Second})
	ordered := subscribe(t, top, engine.SubscribeConfig{Group: "ordered", KeyOrder: true, Lease: 2 * time.Second})
	for round := range 2 {
		first := round * 100
		publish(t, top, numbered(first, first+50)...)
		inHand := fetch(t, s, 10)
		stop(ns)
		eventually(t, "Ready says that the server is away", func() bool { return errors.Is(e.Ready(t.Context()), engine.ErrUnavailable) })
		begin := time.Now()
		errs := top.Publish(within(t), numbered(first+50, first+52))
		if len(errs) != 2 || !errors.Is(errs[0], engine.ErrUnavailable) || !errors.Is(errs[1], engine.ErrUnavailable) {
			t.Fatalf("Publish = %v, want ErrUnavailable", errs)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Publish took %v to say so", took)
		}
		if _, err := s.Settle(within(t), []engine.Settlement{{Delivery: inHand[0]}}); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("Settle = %v, want ErrUnavailable", err)
		}
		eventually(t, "Fetch says that the server is away", func() bool {
			_, err := ordered.Fetch(within(t), 1)
			return errors.Is(err, engine.ErrUnavailable)
		})
		ns = serve(t, address, folder, nil)
		eventually(t, "Ready says that the server is back", func() bool { return e.Ready(t.Context()) == nil })
		publish(t, top, numbered(first+50, first+60)...)
		seen := map[string]bool{}
		for _, d := range inHand {
			seen[d.Record.ID] = true
		}
		var all []engine.Settlement
		for _, d := range inHand {
			all = append(all, engine.Settlement{Delivery: d})
		}
		if _, err := s.Settle(within(t), all); err != nil { // late or not
			t.Fatal(err)
		}
		for len(seen) < 60 {
			for _, d := range fetch(t, s, 1) {
				seen[d.Record.ID] = true
				settle(t, s, engine.Ack, d)
			}
		}
		for n := 0; n < 60; {
			got := fetch(t, ordered, 1)
			settle(t, ordered, engine.Ack, got...)
			n += len(got)
		}
		if lag, err := s.Lag(within(t)); err != nil || lag != (engine.Lag{}) {
			t.Errorf("Lag = %+v, %v, want none", lag, err)
		}
	}
}

// A full disk refuses what is published; when it has room again the server in this
// process, which does not go on by itself, is started again, and everything goes on.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	folder := smallDisk(t, 24<<20)
	e := start(t, nats.Config{Folder: folder})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{Lease: 2 * time.Second})
	ballast := folder + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	var refused error
	for n := 0; refused == nil && n < 200_000; n++ {
		r := record(n)
		r.Data = make([]byte, 32<<10)
		if errs := top.Publish(within(t), []engine.Record{r}); errs != nil {
			refused = errs[0]
		} else {
			stored[r.ID] = true
		}
	}
	t.Log(refused)
	eventually(t, "it is ErrFull", func() bool {
		errs := top.Publish(within(t), []engine.Record{record(1_000_000)})
		if errs == nil {
			stored["1000000"] = true
			return false
		}
		if refused.Error() != errs[0].Error() {
			t.Log(errs[0])
		}
		refused = errs[0]
		return errors.Is(refused, engine.ErrFull)
	})
	if !strings.Contains(refused.Error(), folder) {
		t.Errorf("%v: does not name the folder", refused)
	}
	if err := e.Ready(within(t)); !errors.Is(err, engine.ErrFull) {
		t.Errorf("Ready = %v, want ErrFull", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually(t, "it takes records again", func() bool {
		return top.Publish(within(t), []engine.Record{record(2_000_000)}) == nil
	})
	t.Logf("it took records again %v after there was room", time.Since(begin).Round(time.Millisecond))
	stored["2000000"] = true
	for len(stored) > 0 {
		for _, d := range fetch(t, s, 1) {
			delete(stored, d.Record.ID)
			settle(t, s, engine.Ack, d)
		}
	}
	if e.Restarts() == 0 {
		t.Error("the server was not started again: this test shows nothing")
	}
}

// MaxStore is a full disk that ends when there is room.
func TestMaxStore(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{MaxStore: 2 << 20, Keep: nats.NoKeep})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	n := 0
	var refused error
	for ; refused == nil && n < 1000; n++ {
		r := record(n)
		r.Data = make([]byte, 32<<10)
		if errs := top.Publish(within(t), []engine.Record{r}); errs != nil {
			refused = errs[0]
		}
	}
	n--
	if !errors.Is(refused, engine.ErrFull) {
		t.Fatalf("after %d records: %v, want ErrFull", n, refused)
	}
	settle(t, s, engine.Ack, fetch(t, s, n)...)
	e.Sweep()
	publish(t, top, record(n))
	if e.Restarts() != 0 {
		t.Error("the server was started again for that")
	}
}
