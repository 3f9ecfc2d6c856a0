package mailbox_test

import (
	"context"
	goruntime "runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/mailbox"
)

// window is an inbox whose consumer has looked for the last time before it goes to
// sleep, and counts as awake: a Wake that comes now is in vain.
type window struct {
	in    *mailbox.Inbox[int]
	log   *mailbox.Log[int]
	r     *mailbox.Reader[int]
	wakes int
}

func feedInto(t *testing.T, in *mailbox.Inbox[int]) *mailbox.Log[int] {
	t.Helper()
	log := mailbox.NewLog[int](nil)
	if err := mailbox.Feed(in, log, "", func(v int) int { return v }); err != nil {
		t.Fatal(err)
	}
	return log
}

func newWindow(t *testing.T, cfg mailbox.CursorConfig[int]) *window {
	w := &window{}
	cfg.Capacity = 10
	cfg.Wake = func() { w.wakes++ }
	w.in = mailbox.NewInbox(cfg)
	w.log = feedInto(t, w.in)
	w.r = w.in.Reader()
	return w
}

// enter takes the consumer up to its last look.
func (w *window) enter(t *testing.T) {
	t.Helper()
	for range 2 { // the first may find what has made it awake
		if v, ok := w.r.Next(); ok {
			t.Fatalf("Next() = %d, want nothing", v)
		}
		w.in.Sleep()
	}
	if w.r.Ready() {
		t.Fatal("Ready() = true, want the consumer to go to sleep")
	}
}

// noticed wants that the consumer does not stay asleep: it sees that itself, or else
// what follows wakes it.
func (w *window) noticed(t *testing.T, follows func()) {
	t.Helper()
	if !w.in.Sleeps() {
		return
	}
	w.wakes = 0
	follows()
	if w.wakes == 0 {
		t.Error("the consumer sleeps for ever")
	}
}

// What reaches an inbox between a consumer's last look and its sleep is seen all the
// same, whoever else has looked meanwhile.
func TestNothingIsMissedOnTheWayToSleep(t *testing.T) {
	keyed := mailbox.CursorConfig[int]{Keyed: true, Key: parity, Shared: true}
	shared := mailbox.CursorConfig[int]{Shared: true}
	none := func() {}
	t.Run("an event behind one that is under way", func(t *testing.T) {
		w := newWindow(t, shared)
		w.enter(t)
		claim := w.log.Claim()
		w.in.Sleep()
		publish(t, w.log, 2)
		if w.r.Ready() {
			t.Fatal("Ready() = true, want the event to be hidden")
		}
		w.noticed(t, func() { wantNil(t, claim.Finish(context.Background(), 1, nil)) })
	})
	t.Run("an event that was injected", func(t *testing.T) {
		w := newWindow(t, keyed)
		w.enter(t)
		w.in.Inject(mailbox.Item[int]{Event: 1})
		w.noticed(t, none)
	})
	t.Run("a feed", func(t *testing.T) {
		w := newWindow(t, shared)
		w.enter(t)
		log := feedInto(t, w.in)
		w.noticed(t, func() { publish(t, log, 1) })
	})
	t.Run("what another consumer has left", func(t *testing.T) {
		w := newWindow(t, shared)
		w.enter(t)
		publish(t, w.log, 1, 2)
		if _, ok := w.in.Reader().Next(); !ok {
			t.Fatal("Next() = nothing, want 1")
		}
		w.noticed(t, none)
	})
	t.Run("what another consumer has seen and may not handle", func(t *testing.T) {
		w := newWindow(t, shared)
		w.enter(t)
		publish(t, w.log, 1)
		if !w.in.Reader().Ready() {
			t.Fatal("Ready() = false, want the other one to see the event")
		}
		w.noticed(t, none)
	})
	t.Run("a key that was released", func(t *testing.T) {
		w := newWindow(t, keyed)
		r := w.in.Reader()
		publish(t, w.log, 1)
		if _, ok := r.Next(); !ok {
			t.Fatal("Next() = nothing, want 1")
		}
		publish(t, w.log, 3)
		w.enter(t)
		r.Release()
		w.noticed(t, none)
	})
}

// A consumer that takes the last event there is leaves the feeds parked, so that the
// next publication wakes another one while it is at work.
func TestTakingTheLastEventHasTheNextOneWakeSomebody(t *testing.T) {
	w := newWindow(t, mailbox.CursorConfig[int]{Shared: true})
	publish(t, w.log, 1)
	if _, ok := w.r.Next(); !ok {
		t.Fatal("Next() = nothing, want 1")
	}
	w.wakes = 0
	publish(t, w.log, 2)
	if w.wakes == 0 {
		t.Error("nobody is woken for the second event while the first is in hand")
	}
}

// A mailbox that drains and sleeps is told when the last publication that it waits
// for is one that its filter does not want.
func TestFilteredEventEndsDraining(t *testing.T) {
	for _, workers := range []bool{false, true} {
		w := newWindow(t, mailbox.CursorConfig[int]{Filter: third, Shared: workers})
		claim := w.log.Claim()
		w.in.Detach()
		w.enter(t)
		if w.r.Drained() {
			t.Fatal("Drained() = true, want a publication to be under way")
		}
		w.noticed(t, func() { wantNil(t, claim.Finish(context.Background(), 1, nil)) })
		if !w.r.Drained() {
			t.Error("Drained() = false, want true")
		}
	}
}

// A filter that comes while publishers wait for others does not hold them back with
// what it does not want, even if its consumer does nothing at all.
func TestFilterThatComesLateHoldsNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		_, r, err := log.Subscribe(mailbox.CursorConfig[int]{Capacity: 1, Wake: func() {}})
		wantNil(t, err)
		publish(t, log, 1)
		var done atomic.Int32
		for range 2 {
			go func() {
				if log.Append(context.Background(), 1) == nil {
					done.Add(1)
				}
			}()
		}
		synctest.Wait()
		if _, _, err := log.Subscribe(mailbox.CursorConfig[int]{Capacity: 1, Wake: func() {}, Filter: third}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.Next()
			r.Publish(false)
			r.Settle()
			synctest.Wait()
		}
		if n := done.Load(); n != 2 {
			t.Errorf("%d publishers have gone on, want 2", n)
		}
		log.Close()
	})
}

// A filter, key or priority that ends the goroutine that asks it, whoever that is,
// costs that goroutine only: the event is wanted, without a key, and not urgent.
func TestGoexitInAFilterIsSurvived(t *testing.T) {
	exits := func(v int) bool {
		if v == 1 {
			goruntime.Goexit()
		}
		return true
	}
	for name, cfg := range map[string]mailbox.CursorConfig[int]{
		"filter":   {Filter: func(v int, _ *mailbox.Meta) bool { return exits(v) }},
		"key":      {Keyed: true, Key: func(v int) string { exits(v); return "" }, Filter: func(int, *mailbox.Meta) bool { return true }},
		"priority": {Lanes: 2, Priority: func(v int) int { exits(v); return 0 }, Filter: func(int, *mailbox.Meta) bool { return true }},
	} {
		for _, who := range []string{"publisher", "consumer", "onlooker"} {
			t.Run(name+"/"+who, func(t *testing.T) {
				log := mailbox.NewLog[int](nil)
				other := 0
				before, _, err := log.Subscribe(mailbox.CursorConfig[int]{Capacity: 9, Wake: func() { other++ }})
				wantNil(t, err)
				cfg.Capacity = 9
				cfg.Wake = func() {}
				c, r, err := log.Subscribe(cfg)
				wantNil(t, err)
				after, _, err := log.Subscribe(mailbox.CursorConfig[int]{Capacity: 9, Wake: func() { other++ }})
				wantNil(t, err)
				after.Sleep()
				if who == "publisher" {
					c.Inbox().Sleep()
				} else {
					c.Inbox().Inspect(func(mailbox.Drops) {})
				}
				before.Sleep()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if who == "publisher" {
						_ = log.Append(context.Background(), 1)
						return
					}
					publish(t, log, 1)
					if who == "consumer" {
						r.Next()
					} else {
						c.Len()
					}
				}()
				<-ended
				if other != 2 {
					t.Errorf("%d other mailboxes woken, want 2", other)
				}
				publish(t, log, 2, 3)
				var got []int
				for v, ok := r.Next(); ok; v, ok = r.Next() {
					got = append(got, v)
				}
				if !slices.Equal(got, []int{1, 2, 3}) {
					t.Errorf("handled %v, want 1 2 3", got)
				}
				c.Inspect(func(d mailbox.Drops) {
					if d.Accepted != 3 || d.Filtered != 0 || d.UnderWay != 0 {
						t.Errorf("Drops = %+v, want 3 accepted", d)
					}
				})
			})
		}
	}
}

// A log that is given to an inbox that has ended, or been closed, is held by nothing.
func TestFeedOfAnInboxThatHasEnded(t *testing.T) {
	in := mailbox.NewInbox(mailbox.CursorConfig[int]{Capacity: 1, Wake: func() {}})
	in.Detach()
	in.Close()
	log := feedInto(t, in)
	_, r, err := log.Subscribe(mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded, Wake: func() {}})
	wantNil(t, err)
	for n := range 3 * mailbox.MaxSegment {
		publish(t, log, n)
		r.Next()
		r.Publish(false)
		r.Settle()
	}
	if got := log.Swept(); got < 2*mailbox.MaxSegment {
		t.Errorf("Swept() = %d, want the log to let go of what was handled", got)
	}
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
