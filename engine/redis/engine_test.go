package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/redis"
)

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := redis.Open(t.Context(), redis.Config{
		URL: "http://user:hunter2@x", Prefix: "{a", Shards: -1, Dedup: -1, Keep: -1, MaxLen: -1, MaxRecord: -1, Poll: time.Hour,
	})
	if err == nil {
		t.Fatal("Open took it")
	}
	for _, field := range []string{"URL", "Prefix", "Shards", "Dedup", "Keep", "MaxLen", "MaxRecord", "Poll"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error does not name %s: %v", field, err)
		}
	}
	for _, url := range []string{"redis://user:hunter2@host:port:x", "redis://user:hunter2@[::1/0", "redis://:hunter2@h/x"} {
		if _, err := redis.Open(t.Context(), redis.Config{URL: url}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error = %v, want one without the password", err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	password := startServer(t, "--requirepass", "right")
	evicting := startServer(t, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
	replica := startServer(t, "--replicaof", "127.0.0.1 1")
	for _, row := range []struct {
		name, url string
		kind      error
		parts     []string
	}{
		{"nobody there", "redis://127.0.0.1:1", engine.ErrUnavailable, []string{"127.0.0.1:1", "refused"}},
		{"no password", password.url(), engine.ErrUnauthorized, []string{"give a password"}},
		{"wrong password", strings.Replace(password.url(), "//", "//:wrong@", 1), engine.ErrUnauthorized, []string{"check user and password"}},
		{"evicts", evicting.url(), engine.ErrUnsupported, []string{"allkeys-lru", "noeviction"}},
		{"replica", replica.url(), engine.ErrUnavailable, []string{"replica", "master"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := redis.Open(t.Context(), redis.Config{URL: row.url})
			is(t, err, row.kind, row.parts...)
			if errors.Is(err, engine.ErrUnavailable) == errors.Is(err, engine.ErrUnauthorized) && row.kind != engine.ErrUnsupported {
				t.Errorf("%v is of more than one kind", err)
			}
			if row.name == "evicts" {
				return
			}
			_, err = redis.OpenPubSub(t.Context(), redis.PubSubConfig{URL: row.url})
			is(t, err, row.kind, row.parts...)
		})
	}
}

// A server that takes the connection and says nothing does not hold anybody.
func TestCallsEndWithTheirContexts(t *testing.T) {
	s := startServer(t)
	e := open(t, redis.Config{URL: s.url()})
	p, _ := topic(t, e)
	sub, err := p.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, record("a"))
	d := fetch(t, sub, 1)
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the user went away")
	for _, call := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"Open", func(ctx context.Context) error { _, err := e.Open(ctx, "x"); return err }},
		{"OpenNew", func(ctx context.Context) error { _, err := redis.Open(ctx, redis.Config{URL: s.url()}); return err }},
		{"Ready", e.Ready},
		{"Publish", func(ctx context.Context) error { return p.Publish(ctx, numbered(0, 1))[0] }},
		{"Subscribe", func(ctx context.Context) error {
			_, err := p.Subscribe(ctx, engine.SubscribeConfig{Group: "h"})
			return err
		}},
		{"Fetch", func(ctx context.Context) error { _, err := sub.Fetch(ctx, 1); return err }},
		{"Settle", func(ctx context.Context) error {
			_, err := sub.Settle(ctx, []engine.Settlement{{Delivery: d[0]}})
			return err
		}},
		{"Extend", func(ctx context.Context) error { return sub.Extend(ctx, d) }},
		{"Lag", func(ctx context.Context) error { _, err := sub.Lag(ctx); return err }},
		{"Close", sub.Close},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
		begin := time.Now()
		err := call.do(ctx)
		if !errors.Is(err, cause) || time.Since(begin) > 2*time.Second {
			t.Errorf("%s = %v after %v, want the cause of its context", call.name, err, time.Since(begin))
		}
		if call.name == "Publish" {
			is(t, err, engine.ErrUnavailable)
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

func TestCapsSayWhatTheServerDoes(t *testing.T) {
	for _, row := range []struct {
		name               string
		args               []string
		url                string
		durable, powerSafe bool
		known              bool
	}{
		{name: "nothing is written", args: []string{"--appendonly", "no"}, known: true},
		{name: "everysec", args: []string{"--appendonly", "yes", "--appendfsync", "everysec"}, known: true},
		{name: "always", args: []string{"--appendonly", "yes", "--appendfsync", "always"}, durable: true, powerSafe: true, known: true},
		{
			name: "always, not while it is rewritten", durable: true, known: true,
			args: []string{"--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "yes"},
		},
		{
			name: "not to be read", url: "redis://app:pw@",
			args: []string{"--appendonly", "yes", "--appendfsync", "always", "--user", "app", "on", ">pw", "~*", "&*", "+@all", "-config"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startServer(t, row.args...)
			url := s.url()
			if row.url != "" {
				url = strings.Replace(url, "redis://", row.url, 1)
			}
			e := open(t, redis.Config{URL: url})
			if got := e.Server(); got.Known != row.known || !strings.HasPrefix(got.Version, "7.") && !strings.HasPrefix(got.Version, "8.") {
				t.Errorf("Server = %+v, want Known %v", got, row.known)
			}
			p, _ := topic(t, e)
			if c := p.Caps(); c.Durable != row.durable || c.PowerSafe != row.powerSafe || !c.AtLeastOnce {
				t.Errorf("Caps = %+v, want Durable %v, PowerSafe %v", c, row.durable, row.powerSafe)
			}
			if err := e.Ready(t.Context()); err != nil {
				t.Errorf("Ready: %v", err)
			}
		})
	}
}

func TestOpenFindsAnotherConfiguration(t *testing.T) {
	prefix := fmt.Sprint("m", time.Now().UnixNano())
	_, name := streams(t, redis.Config{Prefix: prefix})
	_, err := open(t, redis.Config{Prefix: prefix, Shards: 3}).Open(t.Context(), name)
	is(t, err, engine.ErrMismatch, name, "1 shards", "Config.Shards is 3")

	e := open(t, redis.Config{Prefix: prefix})
	p, err := e.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("Open again: %v", err)
	}
	subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	_, err = p.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g", KeyOrder: true})
	is(t, err, engine.ErrMismatch, "shared", "key-order")

	c := client(t, shared(t))
	key := prefix + ":{list/0}"
	if err := c.RPush(t.Context(), key, "x").Err(); err != nil {
		t.Fatal(err)
	}
	_, err = e.Open(t.Context(), "list")
	is(t, err, engine.ErrMismatch, key, "is a list", "Prefix")
}

func TestSubscribeNamesEveryFault(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	_, err := p.Subscribe(t.Context(), engine.SubscribeConfig{MaxInFlight: -1, Lease: 1, Consumer: "(returned)", From: 9})
	if err == nil {
		t.Fatal("Subscribe took it")
	}
	for _, field := range []string{"Group", "MaxInFlight", "Lease", "Consumer", "From"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error does not name %s: %v", field, err)
		}
	}
}

func TestClosedEngine(t *testing.T) {
	e, err := redis.Open(t.Context(), redis.Config{URL: shared(t)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Open(t.Context(), "closed")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client(t, shared(t)).Del(context.Background(), "troupe:{closed/0}:meta") })
	if err := errors.Join(e.Close(t.Context()), e.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	_, err = e.Open(t.Context(), "x")
	is(t, err, engine.ErrClosed)
	is(t, e.Ready(t.Context()), engine.ErrClosed)
	is(t, p.Publish(t.Context(), numbered(0, 1))[0], engine.ErrClosed)
	_, err = p.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g"})
	is(t, err, engine.ErrClosed)
}

func TestTooLargeIsRefusedAloneAndTheRestIsStored(t *testing.T) {
	p, _ := streams(t, redis.Config{MaxRecord: 1000})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	records := numbered(0, 3)
	records[1].Data = make([]byte, 1001)
	errs := p.Publish(t.Context(), records)
	if len(errs) != 3 || errs[0] != nil || errs[2] != nil {
		t.Fatalf("Publish = %v, want an error for the second only", errs)
	}
	is(t, errs[1], engine.ErrTooLarge, "r00001", "1000")
	if got := ids(fetch(t, s, 2)); !slices.Equal(got, []string{"r00000", "r00002"}) {
		t.Errorf("stored %v", got)
	}
}

func TestDedup(t *testing.T) {
	p, _ := streams(t, redis.Config{Dedup: 700 * time.Millisecond, Shards: 2})
	if d := p.Caps().Dedup; d != 700*time.Millisecond {
		t.Errorf("Caps.Dedup = %v", d)
	}
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	publish(t, p, numbered(0, 5)...)
	publish(t, p, numbered(0, 6)...)
	got := fetch(t, s, 6)
	nothing(t, s, 150*time.Millisecond)
	ack(t, s, got...)
	eventually(t, "the window is over", func() bool {
		publish(t, p, record("r00000"))
		return lag(t, s).Waiting > 0
	})
}

func TestFullServerRefusesAndLosesNothing(t *testing.T) {
	srv := startServer(t, "--maxmemory", "20mb", "--maxmemory-policy", "noeviction")
	p, _ := streams(t, redis.Config{URL: srv.url()})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 1000})
	var stored []string
	for i := 0; ; i++ {
		r := record(fmt.Sprint(i))
		r.Data = make([]byte, 100_000)
		if errs := p.Publish(t.Context(), []engine.Record{r}); errs != nil {
			is(t, errs[0], engine.ErrFull, "maxmemory")
			if !engine.Temporary(errs[0]) {
				t.Errorf("%v is not temporary", errs[0])
			}
			break
		}
		stored = append(stored, r.ID)
	}
	if len(stored) < 50 {
		t.Fatalf("stored %d records of 100 kB in 20 MB", len(stored))
	}
	// What is full can be emptied, by consuming.
	got := fetch(t, s, len(stored))
	if !slices.Equal(ids(got), stored) {
		t.Errorf("got %d records, want those %d that were stored", len(got), len(stored))
	}
	settle(t, s, engine.Nack, 0, got[0])
	ack(t, s, got[1:]...)
	again := fetch(t, s, 1)
	if again[0].Record.ID != stored[0] {
		t.Errorf("came again: %s", again[0].Record.ID)
	}
	ack(t, s, again...)
	eventually(t, "there is room", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, _ = s.Fetch(ctx, 1) // trims, now and then
		return p.Publish(t.Context(), []engine.Record{record("more")}) == nil
	})
}

func TestSettledIsTrimmedAndUnsettledIsNot(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	c := client(t, shared(t))
	a := subscribe(t, p, engine.SubscribeConfig{Group: "a", MaxInFlight: 5000})
	b := subscribe(t, p, engine.SubscribeConfig{Group: "b", MaxInFlight: 5000})
	for batch := range slices.Chunk(numbered(0, 5000), 500) {
		publish(t, p, batch...)
	}
	got := fetch(t, a, 5000)
	key := got[0].Message.(*redis.Message).Stream
	length := func() int { return int(c.XLen(t.Context(), key).Val()) }
	trim := func() { // as who leaves does
		for _, group := range []string{"a", "b"} {
			if err := subscribe(t, p, engine.SubscribeConfig{Group: group}).Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	ack(t, a, got...)
	theirs := fetch(t, b, 3000)
	ack(t, b, theirs[1000:]...)
	trim()
	// b has not settled its first, so nothing may go.
	if n := length(); n != 5000 {
		t.Fatalf("the stream has %d records, want all 5000", n)
	}
	ack(t, b, theirs[:1000]...)
	trim()
	if n := length(); n < 2000 || n > 2200 {
		t.Fatalf("the stream has %d records, want those 2000 that b has not had, and less than two nodes more", n)
	}
	rest := fetch(t, b, 2000)
	if !slices.Equal(ids(rest), idsOf(numbered(3000, 5000))) {
		t.Error("b missed some")
	}
	if l := lag(t, b); l != (engine.Lag{Unsettled: 2000}) {
		t.Errorf("Lag = %+v", l)
	}
}

func TestKeepKeepsForThoseWhoComeLater(t *testing.T) {
	p, _ := streams(t, redis.Config{Keep: engine.Forever})
	a := subscribe(t, p, engine.SubscribeConfig{Group: "a", MaxInFlight: 1000})
	publish(t, p, numbered(0, 1000)...)
	ack(t, a, fetch(t, a, 1000)...)
	if err := a.Close(t.Context()); err != nil { // trims, if anything does
		t.Fatal(err)
	}
	b := subscribe(t, p, engine.SubscribeConfig{Group: "b", From: engine.FromOldest, MaxInFlight: 1000})
	if got := ids(fetch(t, b, 1000)); !slices.Equal(got, idsOf(numbered(0, 1000))) {
		t.Errorf("b got %d records in another order, or others", len(got))
	}
}

func TestMaxLenSaysWhatItHasRemoved(t *testing.T) {
	p, _ := streams(t, redis.Config{MaxLen: 100, Poll: 10 * time.Millisecond})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 10})
	publish(t, p, numbered(0, 10)...)
	got := fetch(t, s, 10)
	settle(t, s, engine.Nack, 0, got...)
	for batch := range slices.Chunk(numbered(10, 1000), 90) {
		publish(t, p, batch...)
	}
	_, err := s.Fetch(t.Context(), 10)
	is(t, err, engine.ErrFull, "10 by Config.MaxLen")
	if len(fetch(t, s, 10)) != 10 {
		t.Error("Fetch does not go on")
	}
}

// The stream, the group, and the set of what was given back can all be lost in the
// server. What is still there comes.
func TestWhatWasRemovedByHandIsMadeAgain(t *testing.T) {
	p, _ := streams(t, redis.Config{Poll: 10 * time.Millisecond})
	c := client(t, shared(t))
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", Lease: 400 * time.Millisecond})
	publish(t, p, numbered(0, 3)...)
	got := fetch(t, s, 3)
	key := got[0].Message.(*redis.Message).Stream
	settle(t, s, engine.Nack, time.Hour, got...)
	if n := c.Del(t.Context(), key+":returned:g").Val(); n != 1 {
		t.Fatalf("removed %d keys", n)
	}
	again := fetch(t, s, 3)
	if !slices.Equal(ids(again), ids(got)) {
		t.Errorf("came again: %v", ids(again))
	}
	if err := c.XGroupDestroy(t.Context(), key, "g").Err(); err != nil {
		t.Fatal(err)
	}
	publish(t, p, record("after"))
	var told error
	for range 10 {
		all, err := s.Fetch(t.Context(), 10)
		if err == nil {
			if want := []string{"r00000", "r00001", "r00002", "after"}; !slices.Equal(ids(all), want) {
				t.Errorf("got %v, want %v", ids(all), want)
			}
			break
		}
		told = err
	}
	is(t, told, engine.ErrUnavailable, "made again, from the oldest")
	if _, err := s.Settle(t.Context(), []engine.Settlement{{Delivery: again[0]}}); err != nil {
		t.Errorf("Settle of a record whose group was removed: %v", err)
	}
}

func TestConsumersThatAreGoneAreRemovedAndTheirRecordsAreNot(t *testing.T) {
	p, _ := streams(t, redis.Config{Poll: 10 * time.Millisecond})
	c := client(t, shared(t))
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", Consumer: "alive", Lease: 200 * time.Millisecond})
	publish(t, p, record("a"))
	key := fetch(t, s, 1)[0].Message.(*redis.Message).Stream
	publish(t, p, numbered(0, 2)...)
	if err := c.XReadGroup(t.Context(), &goredis.XReadGroupArgs{
		Group: "g", Consumer: "dead", Streams: []string{key, ">"}, Count: 2,
	}).Err(); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for len(got) < 3 {
		for _, d := range fetch(t, s, 1) {
			got[d.Record.ID] = true
			settle(t, s, engine.Ack, 0, d)
		}
	}
	names := func() (names []string) {
		for _, info := range c.XInfoConsumers(t.Context(), key, "g").Val() {
			names = append(names, info.Name)
		}
		return names
	}
	if !slices.Contains(names(), "dead") {
		t.Errorf("consumers = %v: dead was removed while it could be alive", names())
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(names(), "alive") {
		t.Errorf("consumers = %v after Close", names())
	}
}
