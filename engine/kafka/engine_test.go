package kafka_test

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// seedsOf is how the processes that the suite kills find the cluster.
const seedsOf = "TROUPE_TEST_KAFKA_SEEDS"

func TestMain(m *testing.M) {
	if os.Getenv(seedsOf) != "" { // one of these processes
		enginetest.Main(m, openSeeds)
	}
	goleak.VerifyTestMain(m)
}

func openSeeds() (engine.Engine, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return kafka.Open(ctx, kafka.Config{
		Seeds: strings.Split(os.Getenv(seedsOf), ","), Partitions: 3, SessionTimeout: time.Second,
		// A group waits for a process that was killed while it joined for this and 6 s.
		RevokeWait: 500 * time.Millisecond,
	})
}

func foreign(t *testing.T, topic string, body []byte) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Getenv(seedsOf), ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(within(t), &kgo.Record{Topic: topic, Value: body}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// TestEngine is the conformance suite on kfake, which restarts with what it has stored.
func TestEngine(t *testing.T) {
	opts := []kfake.Opt{
		kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(time.Second),
		kfake.DataDir(t.TempDir()),
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Close() }()
	t.Setenv(seedsOf, strings.Join(c.ListenAddrs(), ","))
	opts = append(opts, kfake.Ports(ports(t, c.ListenAddrs())...))
	enginetest.Run(t, enginetest.Harness{
		Variant: "Kafka",
		Kills:   2,
		Open:    openSeeds,
		Foreign: foreign,
		Restart: func(t *testing.T) {
			c.Close()
			if c, err = kfake.NewCluster(opts...); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// TestEngineOnARealCluster is the suite on the cluster that TROUPE_KAFKA names.
func TestEngineOnARealCluster(t *testing.T) {
	seeds := os.Getenv("TROUPE_KAFKA")
	if seeds == "" {
		t.Skip("no real cluster: TROUPE_KAFKA is not set to its seeds, as localhost:9092; Debian has no Kafka to install, so this is only for those who have one")
	}
	t.Setenv(seedsOf, seeds)
	enginetest.Run(t, enginetest.Harness{Open: openSeeds, Foreign: foreign, Slack: time.Minute})
}

func ports(t *testing.T, addrs []string) (all []int) {
	t.Helper()
	for _, addr := range addrs {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}
