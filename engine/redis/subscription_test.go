package redis_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/redis"
)

func TestRecordsArriveAsTheyWere(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	want := engine.Record{
		ID: "id 1", Key: "käse", Source: "/shop", Type: "orders", Time: time.Date(2026, 11, 22, 0, 1, 2, 3, time.UTC),
		ContentType: "application/json", SchemaVersion: 7, Data: []byte("{\"a\":\r\n\x00\xff}"),
		Headers: map[string]string{"traceparent": "00-1-2-01", "x": "line\nline", "data": "d", "headers": "h", "q": `"q`},
	}
	publish(t, p, want)
	got := fetch(t, s, 1)[0]
	if got.Fault != nil || got.Attempt != 1 || got.Place == "" || got.Position == "" {
		t.Errorf("delivery = %+v, want attempt 1, a place and no fault", got)
	}
	if !reflect.DeepEqual(got.Record, want) {
		t.Errorf("record = %+v, want %+v", got.Record, want)
	}
	m, ok := got.Message.(*redis.Message)
	if !ok || m.ID == "" || m.Stream == "" {
		t.Errorf("Message = %#v, want a *redis.Message with its place", got.Message)
	}
	ack(t, s, got)
}

func TestEntriesOfOthers(t *testing.T) {
	prefix := "others" + fmt.Sprint(time.Now().UnixNano())
	p, name := streams(t, redis.Config{Prefix: prefix})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	c := client(t, shared(t))
	keys, err := c.Keys(t.Context(), prefix+":*0}").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("streams of %s = %v, %v, want one", name, keys, err)
	}
	for _, values := range [][]any{
		{"data", "{}", "ce-specversion", "1.0", "ce-id", "7", "CE-Type", "orders", "ce-source", "/shell"},
		{"data", "raw"},
		{"a", "1", "b", "2"},
		{"e", "troupe/1\nce-specversion: 2.0\nce-id: 9\nnonsense\n\nnew"},
	} {
		if err := c.XAdd(t.Context(), &goredis.XAddArgs{Stream: keys[0], Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	got := fetch(t, s, 4)
	if r := got[0].Record; got[0].Fault != nil || r.ID != "7" || r.Type != "orders" || string(r.Data) != "{}" {
		t.Errorf("entry with fields = %+v, %v, want record 7", r, got[0].Fault)
	}
	for i, want := range []string{"raw", `{"a":"1","b":"2"}`} {
		d := got[i+1]
		if !errors.Is(d.Fault, engine.ErrNotSealed) || string(d.Record.Data) != want || d.Record.ID != "redis:"+d.Place {
			t.Errorf("entry without envelope = %q %q, %v, want %q", d.Record.ID, d.Record.Data, d.Fault, want)
		}
	}
	if got[3].Fault == nil || errors.Is(got[3].Fault, engine.ErrNotSealed) || string(got[3].Record.Data) != "new" {
		t.Errorf("entry of CloudEvents 2.0: fault = %v, data %q, want a fault and the data", got[3].Fault, got[3].Record.Data)
	}
	ack(t, s, got...)
	if l := lag(t, s); l != (engine.Lag{}) {
		t.Errorf("Lag = %+v, want none", l)
	}
}

func TestOrderAndLag(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 10_000})
	records := numbered(0, 3000)
	for batch := range slices.Chunk(records, 100) {
		publish(t, p, batch...)
	}
	if l := lag(t, s); l != (engine.Lag{Waiting: 3000}) {
		t.Errorf("Lag = %+v, want 3000 waiting", l)
	}
	got := fetch(t, s, 1000)
	if l := lag(t, s); l != (engine.Lag{Waiting: 2000, Unsettled: 1000}) {
		t.Errorf("Lag = %+v, want 2000 waiting and 1000 unsettled", l)
	}
	got = append(got, fetch(t, s, 2000)...)
	if !slices.Equal(ids(got), idsOf(records)) {
		t.Errorf("records came in another order")
	}
	settle(t, s, engine.Nack, time.Hour, got[:10]...)
	ack(t, s, got[10:]...)
	if l := lag(t, s); l != (engine.Lag{Waiting: 10}) {
		t.Errorf("Lag = %+v, want 10 that were given back", l)
	}
}

// A group that begins in the middle must know its lag: the server alone would not.
func TestLagOfGroupThatBeginsNow(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	publish(t, p, numbered(0, 7)...)
	s := subscribe(t, p, engine.SubscribeConfig{Group: "now"})
	publish(t, p, numbered(7, 10)...)
	if l := lag(t, s); l != (engine.Lag{Waiting: 3}) {
		t.Errorf("Lag = %+v, want 3 waiting", l)
	}
	old := subscribe(t, p, engine.SubscribeConfig{Group: "oldest", From: engine.FromOldest})
	if l := lag(t, old); l != (engine.Lag{Waiting: 10}) {
		t.Errorf("Lag = %+v, want 10 waiting", l)
	}
	if got := ids(fetch(t, s, 3)); !slices.Equal(got, idsOf(numbered(7, 10))) {
		t.Errorf("a group from now got %v", got)
	}
	if got := ids(fetch(t, old, 10)); !slices.Equal(got, idsOf(numbered(0, 10))) {
		t.Errorf("a group from the oldest got %v", got)
	}
	// One that has a position keeps it.
	again := subscribe(t, p, engine.SubscribeConfig{Group: "now", From: engine.FromOldest})
	nothing(t, again, 300*time.Millisecond)
}

func TestGroupShares(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	a := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 5})
	b := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 5})
	publish(t, p, numbered(0, 10)...)
	all := append(ids(fetch(t, a, 5)), ids(fetch(t, b, 5))...)
	slices.Sort(all)
	if !slices.Equal(all, idsOf(numbered(0, 10))) {
		t.Errorf("two consumers of a group got %v", all)
	}
}

func TestNackComesAgainNotBeforeItsDelay(t *testing.T) {
	p, _ := streams(t, redis.Config{Poll: 10 * time.Millisecond})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", Lease: time.Hour})
	publish(t, p, numbered(0, 3)...)
	got := fetch(t, s, 3)
	begin := time.Now()
	if late := settle(t, s, engine.Nack, 400*time.Millisecond, got[0]); late != 0 {
		t.Fatalf("late = %d", late)
	}
	settle(t, s, engine.Nack, 0, got[1])
	ack(t, s, got[2])
	at := fetch(t, s, 1)[0]
	if at.Record.ID != "r00001" || at.Attempt != 2 || time.Since(begin) > 300*time.Millisecond {
		t.Errorf("came again: %s, attempt %d, after %v, want r00001 at once", at.Record.ID, at.Attempt, time.Since(begin))
	}
	later := fetch(t, s, 1)[0]
	if d := time.Since(begin); later.Record.ID != "r00000" || later.Attempt != 2 || d < 395*time.Millisecond {
		t.Errorf("came again: %s, attempt %d, after %v, want r00000 after 400ms", later.Record.ID, later.Attempt, d)
	}
	if later.Place != got[0].Place {
		t.Errorf("Place = %s, want %s as before", later.Place, got[0].Place)
	}
	ack(t, s, at, later)
	if l := lag(t, s); l != (engine.Lag{}) {
		t.Errorf("Lag = %+v, want none", l)
	}
}

func TestLeaseEnds(t *testing.T) {
	p, _ := streams(t, redis.Config{Poll: 10 * time.Millisecond})
	cfg := engine.SubscribeConfig{Group: "g", Lease: 300 * time.Millisecond}
	a, b := subscribe(t, p, cfg), subscribe(t, p, cfg)
	publish(t, p, numbered(0, 2)...)
	got := fetch(t, a, 2)
	stop := time.Now().Add(900 * time.Millisecond)
	for time.Now().Before(stop) { // b looks all the time, a keeps the second only
		if err := a.Extend(t.Context(), got[1:]); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		again, err := b.Fetch(ctx, 10)
		cancel()
		if err == nil {
			if len(again) != 1 || again[0].Record.ID != got[0].Record.ID || again[0].Attempt != 2 {
				t.Fatalf("b got %v at attempt %d, want %s at 2", ids(again), again[0].Attempt, got[0].Record.ID)
			}
			if late := settle(t, a, engine.Ack, 0, got...); late != 1 {
				t.Errorf("late = %d, want 1", late)
			}
			if late := settle(t, a, engine.Ack, 0, got...); late != 0 {
				t.Errorf("late of settling twice = %d, want 0", late)
			}
			if late := settle(t, b, engine.Nack, 0, again[0]); late != 0 {
				t.Errorf("late of the one who has it = %d, want 0", late)
			}
			third := fetch(t, a, 1)[0]
			if third.Attempt != 3 {
				t.Errorf("Attempt = %d, want 3", third.Attempt)
			}
			ack(t, a, third)
			if l := lag(t, a); l != (engine.Lag{}) {
				t.Errorf("Lag = %+v, want none", l)
			}
			return
		}
	}
	t.Fatal("the record whose lease was over did not go to the other consumer")
}

func TestCloseGivesBackAtOnce(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	cfg := engine.SubscribeConfig{Group: "g", Lease: time.Hour}
	a, b := subscribe(t, p, cfg), subscribe(t, p, cfg)
	publish(t, p, numbered(0, 4)...)
	got := fetch(t, a, 4)
	ack(t, a, got[0])
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatalf("second Close: %v", err)
	}
	if _, err := a.Fetch(t.Context(), 1); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Fetch after Close: %v, want ErrClosed", err)
	}
	again := fetch(t, b, 3)
	if !slices.Equal(ids(again), ids(got[1:])) || again[0].Attempt != 2 {
		t.Errorf("b got %v, want %v", ids(again), ids(got[1:]))
	}
	if late := settle(t, a, engine.Ack, 0, got[1:]...); late != 3 {
		t.Errorf("late after Close = %d, want 3", late)
	}
	ack(t, b, again...)
}

// A Fetch whose context ends while the server answers loses nothing.
func TestFetchThatWasGivenUp(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", Lease: time.Hour})
	b := subscribe(t, p, engine.SubscribeConfig{Group: "g", Lease: time.Hour})
	var got []string
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*100*time.Microsecond)
		publish(t, p, numbered(i, i+1)...)
		all, err := s.Fetch(ctx, 3)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		for _, d := range all {
			if d.Attempt != 1 {
				t.Errorf("%s: attempt %d", d.Record.ID, d.Attempt)
			}
		}
		got = append(got, ids(all)...)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	handed := len(got)
	seen := map[string]int{}
	for _, d := range fetch(t, b, 200) { // all is unsettled
		seen[d.Record.ID] = d.Attempt
	}
	for i, r := range numbered(0, 200) {
		want := 1
		if slices.Contains(got, r.ID) {
			want = 2
		}
		if seen[r.ID] != want {
			t.Errorf("record %d of %d handed out: attempt %d, want %d", i, handed, seen[r.ID], want)
		}
	}
}

func TestNoMoreThanMaxInFlight(t *testing.T) {
	p, _ := streams(t, redis.Config{Shards: 4})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 7})
	publish(t, p, numbered(0, 100)...)
	got := fetch(t, s, 7)
	nothing(t, s, 150*time.Millisecond)
	if l := lag(t, s); l.Unsettled != 7 || l.Waiting != 93 {
		t.Errorf("Lag = %+v, want 7 unsettled of 100", l)
	}
	for n := 7; n < 100; {
		ack(t, s, got...)
		var err error
		if got, err = s.Fetch(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		if n += len(got); len(got) > 7 {
			t.Fatalf("Fetch = %d records, want 7 at most", len(got))
		}
		if l := lag(t, s); l.Unsettled > 7 {
			t.Fatalf("Lag = %+v, want 7 unsettled at most", l)
		}
	}
	ack(t, s, got...)
	if l := lag(t, s); l != (engine.Lag{}) {
		t.Errorf("Lag = %+v, want none", l)
	}
}

func TestMarks(t *testing.T) {
	p, _ := streams(t, redis.Config{})
	a := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	publish(t, p, record("m"))
	mark := func(s engine.Subscription, d *engine.Delivery, want int) {
		t.Helper()
		if n, err := s.(engine.Marker).Mark(t.Context(), d); n != want || err != nil {
			t.Errorf("Mark = %d, %v, want %d", n, err, want)
		}
	}
	d := fetch(t, a, 1)[0]
	mark(a, d, 0)
	mark(a, d, 1)
	if err := a.Close(t.Context()); err != nil { // a process that ends without settling
		t.Fatal(err)
	}
	b := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	d = fetch(t, b, 1)[0]
	mark(b, d, 2)
	settle(t, b, engine.Nack, 0, d)
	d = fetch(t, b, 1)[0]
	mark(b, d, 0)
	ack(t, b, d)
}
