package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/eventstoretest"
	"github.com/troupe-go/troupe/eventstore/nats"
)

// free returns ports that nobody has at this moment.
func free(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// cluster starts three servers, and waits until they have a leader.
func cluster(t testing.TB) []*server.Server {
	t.Helper()
	var routes []*url.URL
	ports := free(t, 3)
	for _, p := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", p)})
	}
	var nodes []*server.Server
	for i, p := range ports {
		o := &server.Options{
			ServerName: fmt.Sprint("n", i), JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 64 << 20,
			Host: "127.0.0.1", Port: server.RANDOM_PORT, // one that does not listen finds no others
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: p}, Routes: routes,
		}
		ns, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		ns.Start()
		t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
		nodes = append(nodes, ns)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		for _, ns := range nodes {
			if ns.JetStreamIsLeader() && len(ns.JetStreamClusterPeers()) == 3 {
				return nodes
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the cluster has no leader")
		}
	}
}

// TestCluster has three replicas, where a conflict has another code, and stores that are
// clients of different nodes. With TROUPE_CLUSTER=all the whole suite runs there, which
// takes a minute.
func TestCluster(t *testing.T) {
	nodes := cluster(t)
	var n atomic.Int32
	open := func(ctx context.Context, name string) (eventstore.Store, error) {
		return nats.Open(ctx, nats.Config{URL: nodes[int(n.Add(1))%len(nodes)].ClientURL(), Name: name, Replicas: 3})
	}
	var stores []eventstore.Store
	for range 2 {
		s, err := open(t.Context(), "events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(context.Background()) })
		stores = append(stores, s)
	}
	var wg sync.WaitGroup
	for w, s := range stores {
		wg.Go(func() {
			for range 15 {
				for {
					var at eventstore.Version
					for ev, err := range s.Read(t.Context(), account, 0) {
						if err != nil {
							t.Errorf("Read: %v", err)
							return
						}
						at = ev.Version
					}
					// One event, or a batch.
					events := []eventstore.Event{event("x"), event("y")}[w:]
					_, err := s.Append(t.Context(), account, at, events...)
					if err == nil {
						break
					}
					if conflict, ok := errors.AsType[*eventstore.ConflictError](err); !ok || conflict.Actual <= at {
						t.Errorf("Append, expecting %d = %v, want a *ConflictError with a higher version", at, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	f, err := stores[0].Follow(t.Context(), eventstore.Start)
	if err != nil {
		t.Fatal(err)
	}
	for got := 0; got < 45; {
		some, err := f.Next(t.Context(), 45-got)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range some {
			if got++; ev.Version != eventstore.Version(got) {
				t.Fatalf("event %d has version %d", got, ev.Version)
			}
		}
	}
	at := eventstore.Start
	for i := range 20 {
		to := eventstore.Position(fmt.Sprint(i))
		if err := stores[i%2].SaveCheckpoint(t.Context(), "p", at, to); err != nil {
			t.Fatal(err)
		}
		if err := stores[(i+1)%2].SaveCheckpoint(t.Context(), "p", at, "other"); !errors.Is(err, eventstore.ErrConflict) {
			t.Errorf("SaveCheckpoint from where it was = %v, want a conflict", err)
		}
		at = to
	}
	if os.Getenv("TROUPE_CLUSTER") == "all" {
		eventstoretest.Run(t, eventstoretest.Config{New: func(*testing.T) eventstoretest.Open {
			name := fmt.Sprint("events", n.Add(1))
			return func(ctx context.Context) (eventstore.Store, error) { return open(ctx, name) }
		}})
	}
}
