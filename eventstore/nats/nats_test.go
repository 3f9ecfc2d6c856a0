package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/eventstoretest"
	"github.com/troupe-go/troupe/eventstore/nats"
)

func TestMain(m *testing.M) {
	// The server leaves a few of its own for a moment.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).startGoRoutine.func1"))
}

// start starts a server in this process.
func start(t testing.TB, dir string, change ...func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true, NoLog: true, JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 64 << 20}
	for _, f := range change {
		f(o)
	}
	ns, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	return ns
}

// client returns JetStream on a connection to the server.
func client(t testing.TB, ns *server.Server) jetstream.JetStream {
	t.Helper()
	nc, err := natsgo.Connect("", natsgo.InProcessServer(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestStore(t *testing.T) {
	eventstoretest.Run(t, eventstoretest.Config{New: func(t *testing.T) eventstoretest.Open {
		ns := start(t, t.TempDir())
		return func(ctx context.Context) (eventstore.Store, error) {
			return nats.Open(ctx, nats.Config{JetStream: client(t, ns), Timeout: 40 * time.Second})
		}
	}})
}
