package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/redis"
)

// A cluster refuses commands and scripts whose keys are not together. One node with all
// slots does so as well.
func TestCluster(t *testing.T) {
	srv := startServer(t, "--cluster-enabled", "yes")
	c := client(t, srv.url())
	if err := c.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster is up", func() bool { return c.Set(t.Context(), "x", 1, 0).Err() == nil })
	cfg := redis.Config{
		Options: &goredis.UniversalOptions{Addrs: []string{fmt.Sprintf("127.0.0.1:%d", srv.port)}, IsClusterMode: true},
		Shards:  2, Dedup: time.Minute, Poll: 20 * time.Millisecond,
	}
	if _, err := redis.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "Shards 2: must be 1 on a cluster") {
		t.Errorf("Open with two shards = %v, want an error that names Shards", err)
	}
	cfg.Shards = 1
	e := open(t, cfg)
	for _, keyOrder := range []bool{false, true} {
		p, _ := topic(t, e)
		s := subscribe(t, p, engine.SubscribeConfig{Group: "g", KeyOrder: keyOrder})
		publish(t, p, numbered(0, 50)...)
		publish(t, p, numbered(0, 60)...)
		got := fetch(t, s, 60)
		settle(t, s, engine.Nack, 0, got[:20]...)
		ack(t, s, got[20:]...)
		again := fetch(t, s, 20)
		if err := s.Extend(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if n, err := s.(engine.Marker).Mark(t.Context(), again[0]); n != 0 || err != nil {
			t.Errorf("Mark = %d, %v", n, err)
		}
		ack(t, s, again...)
		if l := lag(t, s); l != (engine.Lag{}) {
			t.Errorf("Lag = %+v, want none", l)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
