package redis_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/redis"
)

// What cannot be given back, since somebody has removed the group, takes no room any
// more: the consumer goes on with what comes.
func TestGroupThatIsGoneLeavesRoom(t *testing.T) {
	for _, verdict := range []engine.Verdict{engine.Ack, engine.Nack} {
		p, name := streams(t, redis.Config{URL: shared(t)})
		s := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 1})
		publish(t, p, record("1"))
		d := fetch(t, s, 1)[0]
		stream := d.Message.(*redis.Message).Stream
		if err := client(t, shared(t)).Del(t.Context(), stream).Err(); err != nil {
			t.Fatal(name, err)
		}
		if late := settle(t, s, verdict, 0, d); late != 1 {
			t.Errorf("Settle of what is gone = %d late, want 1", late)
		}
		publish(t, p, record("2"))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for {
			got, err := s.Fetch(ctx, 1)
			if errors.Is(err, engine.ErrUnavailable) { // that the group was gone
				continue
			}
			if err != nil || got[0].Record.ID != "2" {
				t.Fatalf("Fetch = %v, %v, want record 2", ids(got), err)
			}
			break
		}
		cancel()
	}
}

// deaf is a connection that loses the answer to a write that has a word in it, once it
// is armed.
type deaf struct {
	net.Conn
	armed *atomic.Int32
	word  string
	lose  bool
}

func (d *deaf) Write(b []byte) (int, error) {
	if bytes.Contains(bytes.ToLower(b), []byte(d.word)) && d.armed.Add(-1) >= 0 {
		d.lose = true
	}
	return d.Conn.Write(b)
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.lose {
		return 0, errors.New("the answer is lost")
	}
	return n, err
}

// A mark whose answer is lost is not counted twice when it is made again: the runtime
// would take the record for one that has ended a process before.
func TestMarkWithoutAnswerIsMadeOnce(t *testing.T) {
	var armed atomic.Int32
	cfg := redis.Config{Options: &goredis.UniversalOptions{
		Addrs: []string{strings.TrimPrefix(shared(t), "redis://")},
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &deaf{Conn: c, armed: &armed, word: ":marks:"}, nil
		},
	}}
	p, _ := streams(t, cfg)
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g"}).(*redis.Subscription)
	publish(t, p, record("1"))
	d := fetch(t, s, 1)[0]
	for want := range 3 {
		for _, lost := range []int32{1, 2, 1} { // of the first, and of what it reads
			armed.Store(lost)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			before, err := s.Mark(ctx, d)
			cancel()
			if err == nil {
				t.Fatalf("Mark without an answer = %d", before)
			}
		}
		armed.Store(0)
		if before, err := s.Mark(t.Context(), d); before != want || err != nil {
			t.Errorf("Mark = %d, %v, want %d", before, err, want)
		}
	}
	ack(t, s, d)
}

func TestReadTimeoutIsLongerThanReads(t *testing.T) {
	_, err := redis.Open(t.Context(), redis.Config{URL: "redis://127.0.0.1:1?read_timeout=50ms", Poll: 100 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "ReadTimeout") || !strings.Contains(err.Error(), "Poll") {
		t.Errorf("Open = %v, want it to name ReadTimeout and Poll", err)
	}
}
