package nats_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

func TestWhatIsPublishedArrivesInOrder(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders.placed")
	s := subscribe(t, top, engine.SubscribeConfig{})
	want := numbered(0, 1000)
	want[7].Key = "k"
	want[7].SchemaVersion = 3
	want[7].Headers = map[string]string{"tenant": "a b", "traceparent": "00-1-2-03"}
	publish(t, top, want...)
	var got []*engine.Delivery
	for len(got) < len(want) {
		some := fetch(t, s, 1)
		settle(t, s, engine.Ack, some...)
		got = append(got, some...)
	}
	for i, d := range got {
		if d.Fault != nil || !reflect.DeepEqual(d.Record, want[i]) || d.Attempt != 1 {
			t.Fatalf("record %d = %+v, fault %v, attempt %d, want %+v", i, d.Record, d.Fault, d.Attempt, want[i])
		}
	}
	if lag, err := s.Lag(within(t)); err != nil || lag != (engine.Lag{}) {
		t.Errorf("Lag = %+v, %v, want none", lag, err)
	}
}

func TestRecordsSurviveTheEngine(t *testing.T) {
	t.Parallel()
	for _, mode := range []nats.Mode{nats.ProcessSafe, nats.PowerSafe} {
		cfg := nats.Config{Folder: filepath.Join(t.TempDir(), "data"), Mode: mode}
		e := start(t, cfg)
		top := topic(t, e, "orders")
		if got := top.Caps().PowerSafe; got != (mode == nats.PowerSafe) {
			t.Errorf("PowerSafe = %v in mode %d", got, mode)
		}
		s := subscribe(t, top, engine.SubscribeConfig{Lease: time.Second})
		publish(t, top, numbered(0, 10)...)
		got := fetch(t, s, 10)
		settle(t, s, engine.Ack, got[:4]...)
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(cfg.Folder); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the folder is %v, %v, want one for its owner only", info.Mode(), err)
		}
		e = start(t, cfg)
		top = topic(t, e, "orders")
		s = subscribe(t, top, engine.SubscribeConfig{Lease: time.Second})
		got = fetch(t, s, 6)
		slices.SortFunc(got, func(a, b *engine.Delivery) int { return strings.Compare(a.Record.ID, b.Record.ID) })
		if want := []string{"4", "5", "6", "7", "8", "9"}; !slices.Equal(ids(got), want) {
			t.Errorf("after the restart = %v, want %v", ids(got), want)
		}
		if got[0].Attempt != 2 {
			t.Errorf("attempt = %d, want 2", got[0].Attempt)
		}
		e.Close(t.Context())
	}
}

func TestAnIDIsStoredOnce(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, record(1), record(1), record(2))
	publish(t, top, record(1))
	if got := ids(fetch(t, s, 2)); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %v, want each once", got)
	}
	nothing(t, s, 50*time.Millisecond)
	if got := top.Caps().Dedup; got != nats.DefaultDedup {
		t.Errorf("Caps.Dedup = %v, want %v", got, nats.DefaultDedup)
	}
	off := topic(t, start(t, nats.Config{Dedup: nats.NoDedup}), "orders")
	s = subscribe(t, off, engine.SubscribeConfig{})
	publish(t, off, record(1), record(1))
	fetch(t, s, 2)
	if got := off.Caps().Dedup; got != 0 {
		t.Errorf("Caps.Dedup = %v, want none", got)
	}
}

func TestGroupsBeginWhereTheyAreAsked(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	publish(t, top, numbered(0, 3)...)
	fresh := subscribe(t, top, engine.SubscribeConfig{Group: "now"})
	old := subscribe(t, top, engine.SubscribeConfig{Group: "oldest", From: engine.FromOldest})
	publish(t, top, record(3))
	if got := ids(fetch(t, fresh, 1)); got[0] != "3" {
		t.Errorf("FromNow = %v, want 3", got)
	}
	got := fetch(t, old, 4)
	if want := []string{"0", "1", "2", "3"}; !slices.Equal(ids(got), want) {
		t.Errorf("FromOldest = %v, want %v", ids(got), want)
	}
	settle(t, old, engine.Ack, got...)
	// A group keeps its position, whatever is asked for.
	again := subscribe(t, top, engine.SubscribeConfig{Group: "oldest", From: engine.FromNow})
	nothing(t, again, 50*time.Millisecond)
}

func TestConsumersOfAGroupShare(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	a := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 5})
	b := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 5})
	publish(t, top, numbered(0, 10)...)
	got := append(fetch(t, a, 5), fetch(t, b, 5)...)
	nothing(t, a, 50*time.Millisecond)
	all := ids(got)
	slices.Sort(all)
	if len(slices.Compact(all)) != 10 {
		t.Errorf("got %v, want each once", ids(got))
	}
	// What one has comes to the other when it goes.
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, b, engine.Ack, got[5:]...)
	back := fetch(t, b, 5)
	if !slices.Equal(ids(back), ids(got[:5])) {
		t.Errorf("after Close = %v, want %v in their order", ids(back), ids(got[:5]))
	}
	if late, err := a.Settle(t.Context(), []engine.Settlement{{Delivery: got[0]}}); err != nil || late != 1 {
		t.Errorf("Settle after Close = %d, %v, want 1 late", late, err)
	}
	if _, err := a.Fetch(t.Context(), 1); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Fetch after Close: %v, want ErrClosed", err)
	}
}

func TestNothingBeyondMaxInFlight(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 3})
	publish(t, top, numbered(0, 10)...)
	got := fetch(t, s, 3)
	nothing(t, s, 50*time.Millisecond)
	lag, err := s.Lag(within(t))
	if err != nil || lag != (engine.Lag{Waiting: 7, Unsettled: 3}) {
		t.Errorf("Lag = %+v, %v, want 7 and 3", lag, err)
	}
	settle(t, s, engine.Ack, got[0])
	if got := ids(fetch(t, s, 1)); got[0] != "3" {
		t.Errorf("then %v, want 3", got)
	}
	nothing(t, s, 20*time.Millisecond)
}

func TestWhatIsGivenBackComesAgainAfterItsDelay(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, record(1))
	d := fetch(t, s, 1)[0]
	settle(t, s, engine.Nack, d)
	d = fetch(t, s, 1)[0]
	if d.Attempt != 2 {
		t.Errorf("attempt = %d, want 2", d.Attempt)
	}
	const delay = 300 * time.Millisecond
	begin := time.Now()
	if _, err := s.Settle(t.Context(), []engine.Settlement{{Delivery: d, Verdict: engine.Nack, Delay: delay}}); err != nil {
		t.Fatal(err)
	}
	d = fetch(t, s, 1)[0]
	if after := time.Since(begin); after < delay || after > delay+5*time.Second {
		t.Errorf("it came after %v, want %v", after, delay)
	}
	if _, err := s.Settle(t.Context(), []engine.Settlement{{Delivery: d, Verdict: engine.Term, Reason: "of no\nuse"}}); err != nil {
		t.Fatal(err)
	}
	// Settling again does nothing.
	if late, err := s.Settle(t.Context(), []engine.Settlement{{Delivery: d, Verdict: engine.Nack}}); err != nil || late != 0 {
		t.Errorf("Settle again = %d, %v", late, err)
	}
	nothing(t, s, 50*time.Millisecond)
	if lag, err := s.Lag(within(t)); err != nil || lag != (engine.Lag{}) {
		t.Errorf("Lag = %+v, %v, want none", lag, err)
	}
}

func TestALeaseEndsUnlessItIsExtended(t *testing.T) {
	t.Parallel()
	const lease = 500 * time.Millisecond
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	a := subscribe(t, top, engine.SubscribeConfig{Lease: lease, MaxInFlight: 2})
	publish(t, top, record(1), record(2))
	got := fetch(t, a, 2)
	b := subscribe(t, top, engine.SubscribeConfig{Lease: lease})
	done, extended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(extended)
		for {
			select {
			case <-done:
				return
			case <-time.After(lease / 5):
				if err := a.Extend(context.Background(), got[1:]); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	d := fetch(t, b, 1)[0]
	if d.Record.ID != "1" || d.Attempt != 2 || d.Place != got[0].Place {
		t.Errorf("b has %s, attempt %d, want 1 for the second time", d.Record.ID, d.Attempt)
	}
	settle(t, b, engine.Ack, d)
	nothing(t, b, lease)
	if late, err := a.Settle(t.Context(), []engine.Settlement{{Delivery: got[0]}, {Delivery: got[1]}}); err != nil || late != 1 {
		t.Errorf("Settle = %d, %v, want 1 late", late, err)
	}
	close(done)
	<-extended
}

func TestWhatHasComeAheadIsExtendedAndGivenBack(t *testing.T) {
	t.Parallel()
	const lease = 400 * time.Millisecond
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	a := subscribe(t, top, engine.SubscribeConfig{Lease: lease})
	publish(t, top, numbered(0, 20)...)
	got := fetch(t, a, 1)
	eventually(t, "a has fetched ahead", func() bool {
		lag, err := a.Lag(within(t))
		return err == nil && lag.Waiting == 0
	})
	settle(t, a, engine.Ack, got...)
	// It does not fetch again, so that others have them.
	b := subscribe(t, top, engine.SubscribeConfig{Lease: lease})
	all := ids(fetch(t, b, 19))
	slices.Sort(all)
	if len(slices.Compact(all)) != 19 {
		t.Errorf("got %v, want each of 19", all)
	}
}

func TestForeignMessagesAreHandedOutAsTheyAre(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	if err := e.Conn().Publish("orders", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	d := fetch(t, s, 1)[0]
	if !errors.Is(d.Fault, engine.ErrNotSealed) || string(d.Record.Data) != "hello" || d.Record.ID == "" {
		t.Errorf("got %+v, fault %v", d.Record, d.Fault)
	}
	settle(t, s, engine.Term, d)
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{MaxRecord: 8 << 10})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	most := top.Caps().MaxRecord
	if most != 8<<10 {
		t.Errorf("Caps.MaxRecord = %d, want %d", most, 8<<10)
	}
	fits, large := record(1), record(2)
	fits.Data = make([]byte, most-fits.Size()+len(fits.Data))
	large.Data = make([]byte, most+4096)
	errs := top.Publish(within(t), []engine.Record{fits, large, record(3)})
	if len(errs) != 3 || errs[0] != nil || !errors.Is(errs[1], engine.ErrTooLarge) || errs[2] != nil {
		t.Fatalf("Publish = %v, want the second to be too large", errs)
	}
	if !strings.Contains(errs[1].Error(), "record 2") || !strings.Contains(errs[1].Error(), "MaxRecord") {
		t.Errorf("%v: does not say which, and what to do", errs[1])
	}
	if got := ids(fetch(t, s, 2)); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("got %v", got)
	}
}

func TestATopicThatIsFullRefuses(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{MaxBytes: 64 << 10, Keep: nats.NoKeep})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	var stored int
	var err error
	for ; err == nil && stored < 10_000; stored++ {
		if errs := top.Publish(within(t), []engine.Record{record(stored)}); errs != nil {
			err = errs[0]
		}
	}
	stored--
	if !errors.Is(err, engine.ErrFull) || !strings.Contains(err.Error(), "orders") {
		t.Fatalf("after %d records: %v, want ErrFull", stored, err)
	}
	// Nothing that was acknowledged goes for that, and what is settled makes room.
	for n := 0; n < stored; {
		got := fetch(t, s, 1)
		if got[0].Record.ID != fmt.Sprint(n) {
			t.Fatalf("record %d = %s", n, got[0].Record.ID)
		}
		settle(t, s, engine.Ack, got...)
		n++
	}
	e.Sweep()
	publish(t, top, record(stored))
}

func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{Keep: time.Hour})
	top := topic(t, e, "orders")
	publish(t, top, numbered(0, 10)...)
	count := func() uint64 { return e.Stored(within(t), "orders") }
	e.Sweep()
	if n := count(); n != 10 {
		t.Errorf("%d are kept without a group, want 10", n)
	}
	a := subscribe(t, top, engine.SubscribeConfig{Group: "a", From: engine.FromOldest})
	b := subscribe(t, top, engine.SubscribeConfig{Group: "b", From: engine.FromOldest, KeyOrder: true})
	settle(t, a, engine.Ack, fetch(t, a, 10)...)
	settle(t, b, engine.Ack, fetch(t, b, 4)...)
	e.Sweep()
	if n := count(); n != 10 {
		t.Errorf("%d are kept for an hour, want 10", n)
	}
	e.SetKeep(nats.NoKeep)
	e.Sweep()
	if n := count(); n != 6 {
		t.Errorf("%d are kept that b has not settled, want 6", n)
	}
	settle(t, b, engine.Ack, fetch(t, b, 6)...)
	e.SetKeep(time.Nanosecond)
	e.Sweep()
	if n := count(); n != 0 {
		t.Errorf("%d are kept that all have settled, want 0", n)
	}
}

func TestOneProcessHasAFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	start(t, nats.Config{Folder: folder})
	_, err := nats.Open(within(t), nats.Config{Folder: folder})
	if !errors.Is(err, engine.ErrInUse) || !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("Open = %v, want ErrInUse with the folder and the process", err)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := nats.Open(t.Context(), nats.Config{URL: "nats://x", Folder: "y", Mode: nats.PowerSafe, Replicas: 9, Partitions: -1, Dedup: 1, MaxRecord: 1, Prefix: "a b", Keep: -5, Timeout: 1})
	for _, field := range []string{"Folder", "Mode", "Replicas", "Partitions", "Dedup", "MaxRecord", "Prefix", "Keep", "Timeout"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s is not among the faults of %v", field, err)
		}
	}
	if _, err := nats.Open(t.Context(), nats.Config{}); err == nil || !strings.Contains(err.Error(), "Folder") {
		t.Errorf("without anything: %v", err)
	}
}

func TestAnotherConfigurationIsAMismatch(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{Partitions: 4})
	topic(t, e, "orders")
	other := start(t, nats.Config{URL: "nats://unused", Client: e.ClientOf()})
	_, err := other.Open(within(t), "orders")
	if !errors.Is(err, engine.ErrMismatch) || !strings.Contains(err.Error(), "Partitions is 4 and not 8") {
		t.Errorf("Open = %v, want ErrMismatch of Partitions", err)
	}
	top := topic(t, e, "payments")
	subscribe(t, top, engine.SubscribeConfig{Group: "billing"})
	if _, err := top.Subscribe(within(t), engine.SubscribeConfig{Group: "billing", KeyOrder: true}); !errors.Is(err, engine.ErrMismatch) {
		t.Errorf("Subscribe with another KeyOrder = %v, want ErrMismatch", err)
	}
	// Topics of other names that look alike are others.
	topic(t, e, "a.b")
	topic(t, e, "a_b")
	topic(t, e, "a")
	if _, err := e.Open(t.Context(), "a.*"); err == nil {
		t.Error("a pattern is not refused")
	}
}

func TestNoCreate(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{NoCreate: true})
	if _, err := e.Open(within(t), "orders"); !errors.Is(err, engine.ErrNoTopic) {
		t.Errorf("Open = %v, want ErrNoTopic", err)
	}
}

func TestAStreamThatIsRemovedIsNoTopic(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	if err := e.Remove(within(t), "orders"); err != nil {
		t.Fatal(err)
	}
	errs := top.Publish(within(t), numbered(0, 3))
	for i := range 3 {
		if len(errs) != 3 || !errors.Is(errs[i], engine.ErrNoTopic) {
			t.Fatalf("Publish = %v, want ErrNoTopic for each", errs)
		}
	}
	for {
		_, err := s.Fetch(within(t), 1)
		if errors.Is(err, engine.ErrNoTopic) {
			break
		}
		if !engine.Temporary(err) {
			t.Fatalf("Fetch = %v, want ErrNoTopic", err)
		}
	}
	publish(t, topic(t, e, "orders"), record(1))
}

func TestAfterClose(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Fetch(context.Background(), 1)
		waiting <- err
	}()
	for range 2 {
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-waiting; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Fetch = %v, want ErrClosed", err)
	}
	if errs := top.Publish(t.Context(), numbered(0, 1)); len(errs) != 1 || !errors.Is(errs[0], engine.ErrClosed) {
		t.Errorf("Publish = %v, want ErrClosed", errs)
	}
	if _, err := e.Open(t.Context(), "orders"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Open = %v, want ErrClosed", err)
	}
	if _, err := top.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g"}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Subscribe = %v, want ErrClosed", err)
	}
	if err := e.Ready(t.Context()); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Ready = %v, want ErrClosed", err)
	}
}

func TestPrefixesTellProgramsApart(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	e := start(t, nats.Config{Folder: t.TempDir(), Listen: address, Prefix: "shop."})
	other := start(t, nats.Config{URL: "nats://" + address, Prefix: "bank."})
	a, b := topic(t, e, "orders"), topic(t, other, "orders")
	sa, sb := subscribe(t, a, engine.SubscribeConfig{}), subscribe(t, b, engine.SubscribeConfig{})
	publish(t, a, record(1))
	publish(t, b, record(2))
	if got := fetch(t, sa, 1)[0].Record.ID; got != "1" {
		t.Errorf("shop has %s, want 1", got)
	}
	if got := fetch(t, sb, 1)[0].Record.ID; got != "2" {
		t.Errorf("bank has %s, want 2", got)
	}
	nothing(t, sa, 30*time.Millisecond)
}

// What a stream would drop though nobody has settled it is a mismatch.
func TestAStreamThatDropsIsAMismatch(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	for name, cfg := range map[string]jetstream.StreamConfig{
		"max_age":     {MaxAge: time.Hour},
		"discard":     {MaxBytes: 1 << 20, Discard: jetstream.DiscardOld},
		"retention":   {Retention: jetstream.WorkQueuePolicy},
		"per subject": {MaxMsgsPerSubject: 1},
	} {
		topic := strings.ReplaceAll(name, " ", "-")
		e.Make(within(t), topic, cfg)
		if _, err := e.Open(within(t), topic); !errors.Is(err, engine.ErrMismatch) {
			t.Errorf("%s: Open = %v, want ErrMismatch", name, err)
		}
	}
	e.Make(within(t), "fine", jetstream.StreamConfig{MaxBytes: 1 << 20, Discard: jetstream.DiscardNew, Duplicates: time.Hour})
	if got := topic(t, e, "fine").Caps().Dedup; got != time.Hour {
		t.Errorf("Caps.Dedup = %v, want what the stream has", got)
	}
}
