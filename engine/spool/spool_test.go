package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/memory"
	"github.com/troupe-go/troupe/engine/spool"
)

func record(id string) engine.Record { return engine.Record{ID: id, Key: "k", Data: []byte(id)} }

// news is what Changed was told.
type news struct {
	mu  sync.Mutex
	all []error
}

func (n *news) told(_ string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, err)
}

// During an outage of a minute publishers go on, and afterwards everything arrives,
// once and in order, whoever was slow.
func TestOutageOfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, near := memory.New(), memory.New()
		var n news
		e := spool.New(far, near, spool.Config{Changed: n.told})
		topic, err := e.Open(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		sub, err := topic.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g", MaxInFlight: 10000})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 900 { // a minute of quiet, one of outage, one of quiet
			switch i {
			case 300:
				far.Fail(engine.ErrUnavailable)
			case 600:
				if n := e.Backlog("t"); n != 300 {
					t.Errorf("Backlog() = %d at the end of the outage, want 300", n)
				}
				far.Fail(nil)
			}
			id := fmt.Sprintf("%04d", i)
			if errs := topic.Publish(t.Context(), []engine.Record{record(id)}); errs != nil {
				t.Fatalf("Publish(%s) = %v", id, errs)
			}
			want = append(want, id)
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if n := e.Backlog("t"); n != 0 {
			t.Errorf("Backlog() = %d a minute after the outage, want 0", n)
		}
		var got []string
		for len(got) < len(want) {
			ds, err := sub.Fetch(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range ds {
				got = append(got, d.Record.ID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d events arrived, out of order or not all of %d", len(got), len(want))
		}
		n.mu.Lock()
		if first, last := n.all[0], n.all[len(n.all)-1]; !errors.Is(first, engine.ErrUnavailable) || last != nil {
			t.Errorf("Changed was told %v first and %v last", first, last)
		}
		n.mu.Unlock()
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What a process leaves in the spool the next one relays, before anything newer.
func TestNextProcessRelaysWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, near := memory.New(), memory.New()
		first := spool.New(unclosed{far}, unclosed{near}, spool.Config{})
		topic, err := first.Open(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		far.Fail(engine.ErrUnavailable)
		for i := range 5 {
			if errs := topic.Publish(t.Context(), []engine.Record{record(fmt.Sprint("old-", i))}); errs != nil {
				t.Fatal(errs)
			}
		}
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		far.Fail(nil)
		second := spool.New(far, near, spool.Config{})
		if topic, err = second.Open(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		if errs := topic.Publish(t.Context(), []engine.Record{record("new")}); errs != nil {
			t.Fatal(errs)
		}
		sub, err := topic.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g", From: engine.FromOldest, MaxInFlight: 100})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		ds, err := sub.Fetch(t.Context(), 100)
		if err != nil || len(ds) != 6 || ds[5].Record.ID != "new" || ds[0].Record.ID != "old-0" {
			t.Errorf("Fetch() = %d, %v; want the five of before and the new one", len(ds), err)
		}
		if err := second.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// unclosed is an engine that another process goes on to use.
type unclosed struct{ *memory.Engine }

func (unclosed) Close(context.Context) error { return nil }

// A full spool refuses, and says that it is the spool; nothing is counted that is not in
// it.
func TestFullSpoolRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, near := memory.New(), memory.New()
		e := spool.New(far, near, spool.Config{})
		topic, err := e.Open(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		far.Fail(engine.ErrUnavailable)
		near.Fail(engine.ErrFull)
		errs := topic.Publish(t.Context(), []engine.Record{record("a")})
		if len(errs) != 1 || !errors.Is(errs[0], engine.ErrFull) {
			t.Errorf("Publish() = %v, want ErrFull", errs)
		}
		if n := e.Backlog("t"); n != 0 {
			t.Errorf("Backlog() = %d, want 0", n)
		}
		far.Fail(nil)
		near.Fail(nil)
		if errs := topic.Publish(t.Context(), []engine.Record{record("b")}); errs != nil {
			t.Errorf("Publish() = %v", errs)
		}
		if errs := topic.Publish(t.Context(), []engine.Record{{ID: "big", Data: make([]byte, memory.MaxRecord+1)}}); len(errs) != 1 || !errors.Is(errs[0], engine.ErrTooLarge) {
			t.Errorf("Publish(too large) = %v, want ErrTooLarge and no spool", errs)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An ID that is published twice during an outage is in the spool once, and the spool
// empties all the same.
func TestRepeatedIDDoesNotKeepTheSpoolOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, near := memory.New(), memory.New()
		e := spool.New(far, near, spool.Config{})
		topic, err := e.Open(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		far.Fail(engine.ErrUnavailable)
		for range 3 {
			if errs := topic.Publish(t.Context(), []engine.Record{record("same")}); errs != nil {
				t.Fatal(errs)
			}
		}
		far.Fail(nil)
		time.Sleep(time.Minute)
		if n := e.Backlog("t"); n != 0 {
			t.Errorf("Backlog() = %d, want 0", n)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
