package engines_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/kafka"
	"github.com/troupe-go/troupe/engine/nats"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/engine/rabbitmq"
	"github.com/troupe-go/troupe/engine/redis"
)

// system is one that events can travel through.
type system struct {
	name string
	// rate is how many events a second are published. It is far from what the engine
	// could take, so that nothing queues and the latency is that of the way.
	rate int
	url  func(*testing.B) string // of its server, which it starts if it is in this process
	open func(b *testing.B, url string) engine.Engine
	bare func(b *testing.B, url string, w *stopwatch)
}

var systems = []system{
	{"nats", 1000, startNATS, func(b *testing.B, url string) engine.Engine {
		return opened(b)(nats.Open(b.Context(), nats.Config{URL: url}))
	}, bareNATS},
	{"kafka", 1000, startKafka, func(b *testing.B, url string) engine.Engine {
		return opened(b)(kafka.Open(b.Context(), kafka.Config{Seeds: strings.Split(url, ",")}))
	}, bareKafka},
	{"redis", 1000, from("TROUPE_REDIS"), func(b *testing.B, url string) engine.Engine {
		return opened(b)(redis.Open(b.Context(), redis.Config{URL: url, Prefix: name("troupe")}))
	}, bareRedis},
	{"rabbitmq", 200, from("TROUPE_RABBITMQ"), func(b *testing.B, url string) engine.Engine {
		return opened(b)(rabbitmq.Open(b.Context(), rabbitmq.Config{URL: url, Prefix: name("troupe") + "."}))
	}, bareRabbit},
	{"postgres", 100, from("TROUPE_POSTGRES"), func(b *testing.B, url string) engine.Engine {
		return opened(b)(postgres.Open(b.Context(), postgres.Config{URL: url, Schema: schema(b, url)}))
	}, barePostgres},
}

func opened(b *testing.B) func(engine.Engine, error) engine.Engine {
	return func(e engine.Engine, err error) engine.Engine {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
}

// from skips a system whose server nobody has named; with CI=true nothing is skipped.
func from(variable string) func(*testing.B) string {
	return func(b *testing.B) string { return need(b, variable) }
}

func need(t testing.TB, variable string) string {
	t.Helper()
	url := os.Getenv(variable)
	if url == "" && os.Getenv("CI") == "true" {
		t.Fatalf("%s: must name a server: eval \"$(scripts/services start)\"", variable)
	}
	if url == "" {
		t.Skipf("%s: names no server: eval \"$(scripts/services start)\"", variable)
	}
	return url
}

var names atomic.Int64

// name makes one that nobody else has on a shared server.
func name(what string) string {
	return fmt.Sprintf("%s_%s_%d", what, strings.ToLower(rand.Text()[:8]), names.Add(1))
}

func startNATS(b *testing.B) string {
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: b.TempDir(),
		NoSigs: true, NoLog: true, SyncInterval: time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	ns.Start()
	b.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(20 * time.Second) {
		b.Fatal("the server does not start")
	}
	return ns.ClientURL()
}

const partitions = 6

func startKafka(b *testing.B) string {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "bare"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

// background bounds what clears up.
func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}
