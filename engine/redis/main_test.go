package redis_test

import (
	"context"
	"io"
	"log"
	"os"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/redis"
)

// quiet keeps what the client logs of servers that are gone out of the tests' output.
type quiet struct{ *log.Logger }

func (q quiet) Printf(context.Context, string, ...any) {}

// The processes of the suite find the server in the environment.
const (
	envURL    = "TROUPE_REDIS_SUITE"
	envShards = "TROUPE_REDIS_SUITE_SHARDED"
)

func openSuite() (engine.Engine, error) {
	cfg := redis.Config{URL: os.Getenv(envURL), Poll: 20 * time.Millisecond}
	if os.Getenv(envShards) != "" {
		cfg.Shards, cfg.Dedup = 3, time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return redis.Open(ctx, cfg)
}

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{log.New(io.Discard, "", 0)})
	enginetest.Main(m, openSuite)
}

// The suite, on a server that is killed and not asked to end.
func TestSuite(t *testing.T) {
	s := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	t.Setenv(envURL, s.url())
	h := suiteHarness(t, s)
	h.Variant = "Redis Streams, fsync always"
	enginetest.Run(t, h)
}

func TestSuiteSharded(t *testing.T) {
	s := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	t.Setenv(envURL, s.url())
	t.Setenv(envShards, "yes")
	h := suiteHarness(t, s)
	h.Variant = "Redis Streams, sharded"
	h.Kills = 2
	enginetest.Run(t, h)
}

func suiteHarness(t *testing.T, s *server) enginetest.Harness {
	c := client(t, s.url())
	return enginetest.Harness{
		Open: openSuite,
		Restart: func(*testing.T) {
			s.end(syscall.SIGKILL)
			s.start()
		},
		Foreign: func(t *testing.T, topic string, body []byte) {
			add := &goredis.XAddArgs{Stream: "troupe:{" + topic + "/0}", Values: []any{"data", body}}
			if err := c.XAdd(t.Context(), add).Err(); err != nil {
				t.Fatal(err)
			}
		},
	}
}
