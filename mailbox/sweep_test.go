package mailbox_test

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"testing"
	"weak"

	"github.com/troupe-go/troupe/mailbox"
)

// payload is something that a log must let go of.
type payload struct {
	n int
	_ [40]byte
}

// garden counts which payloads and headers are still held.
type garden struct {
	log      *mailbox.Log[*payload]
	payloads []weak.Pointer[payload]
	metas    []weak.Pointer[mailbox.Meta] // of each, nil if it has none
}

// publish appends n payloads; every third has a Meta.
func (g *garden) publish(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		p := &payload{n: i}
		g.payloads = append(g.payloads, weak.Make(p))
		var m *mailbox.Meta
		if i%3 == 0 {
			m = &mailbox.Meta{Headers: map[string]string{"i": number(i)}}
		}
		g.metas = append(g.metas, weak.Make(m))
		var err error
		if m == nil {
			err = g.log.Append(impatient(), p)
		} else {
			err = g.log.AppendMeta(impatient(), p, m)
		}
		if err != nil {
			t.Fatalf("Append = %v", err)
		}
	}
}

func held[T any](ps []weak.Pointer[T]) int {
	n := 0
	for _, p := range ps {
		if p.Value() != nil {
			n++
		}
	}
	return n
}

// collected runs the collector until done, and reports whether it ever was.
func collected(done func() bool) bool {
	for range 5 {
		goruntime.GC()
		if done() {
			return true
		}
	}
	return false
}

// holds asserts how many payloads are held.
func (g *garden) holds(t *testing.T, when string, least, most int) {
	t.Helper()
	if !collected(func() bool { return held(g.payloads) <= most }) || held(g.payloads) < least {
		t.Errorf("%s: %d payloads are held, want %d to %d", when, held(g.payloads), least, most)
	}
	for i, m := range g.metas {
		if m.Value() != nil && g.payloads[i].Value() == nil {
			t.Errorf("%s: the headers of event %d are held, and it is not", when, i)
			return
		}
	}
}

func skip[T any](r *mailbox.Reader[T], n int, inHand bool) {
	for range n {
		r.Next()
	}
	r.Publish(inHand)
	r.Settle()
}

func TestEventIsLetGoOnceEveryCursorHasPassedIt(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Reject, mailbox.Unbounded, mailbox.DropOldest, mailbox.DropNewest, mailbox.DeadLetter} {
		t.Run(over.String(), func(t *testing.T) {
			g := garden{log: mailbox.NewLog[*payload](nil)}
			cfg := mailbox.CursorConfig[*payload]{Overflow: over, Capacity: 2000, Overflowed: func(mailbox.Item[*payload]) {}}
			_, fast := subscribe(t, g.log, cfg)
			c, slow := subscribe(t, g.log, cfg)
			g.publish(t, 999)
			skip(fast, 999, false)
			g.holds(t, "one has read", 999, 999)
			c.Len() // takes over, if it drops
			skip(slow, 600, false)
			g.holds(t, "the other has read 600", 399, 399)
			skip(slow, 300, true)
			g.holds(t, "and 300 more, the last of them in hand", 100, 100)
			if slow.Last().n != 899 {
				t.Errorf("Last() = %d, want 899", slow.Last().n)
			}
			skip(slow, 0, false)
			g.holds(t, "and let go", 99, 99)
			skip(slow, 99, false)
			g.holds(t, "both have read all", 0, 0)
			goruntime.KeepAlive(g.log)
			goruntime.KeepAlive(fast)
			goruntime.KeepAlive(slow)
		})
	}
}

// A consumer that is stuck holds its capacity and what its place in the log
// entitles it to until a publisher has filled a segment.
func TestStuckDroppingCursorHoldsItsCapacityAndTwoSegments(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.DropOldest, mailbox.DropNewest, mailbox.Latest, mailbox.DeadLetter} {
		for _, withKey := range []bool{false, true} {
			if withKey && over != mailbox.Latest {
				continue
			}
			name := over.String()
			cfg := mailbox.CursorConfig[*payload]{Overflow: over, Capacity: 100, Overflowed: func(mailbox.Item[*payload]) {}}
			if withKey {
				name += " by key"
				cfg.Key = func(p *payload) string { return number(p.n) }
			}
			t.Run(name, func(t *testing.T) {
				g := garden{log: mailbox.NewLog[*payload](nil)}
				c, stuck := subscribe(t, g.log, cfg)
				_, fast := subscribe(t, g.log, mailbox.CursorConfig[*payload]{Capacity: 64})
				var tails []func() bool
				for range 200 {
					g.publish(t, 50)
					skip(fast, 50, false)
					tails = append(tails, g.log.Tail())
				}
				g.holds(t, "stuck", 1, 100+2*mailbox.MaxSegment)
				if old := tails[:len(tails)-2*mailbox.MaxSegment/50-2]; !collected(func() bool { return !old[len(old)-1]() && !old[0]() }) {
					t.Error("segments that were left are held")
				}
				capacity := 100
				if over == mailbox.Latest && !withKey {
					capacity = 1
				} else if withKey {
					capacity = 50
				}
				c.Len()
				g.holds(t, "after a look", capacity, capacity)
				goruntime.KeepAlive(g.log)
				goruntime.KeepAlive(stuck)
			})
		}
	}
}

func TestStuckBlockingCursorHoldsItsCapacity(t *testing.T) {
	g := garden{log: mailbox.NewLog[*payload](nil)}
	_, stuck := subscribe(t, g.log, mailbox.CursorConfig[*payload]{Capacity: 700})
	_, fast := subscribe(t, g.log, mailbox.CursorConfig[*payload]{Capacity: 64})
	for range 14 {
		g.publish(t, 50)
		skip(fast, 50, false)
	}
	for range 1000 {
		p := &payload{}
		g.payloads = append(g.payloads, weak.Make(p))
		if err := g.log.Append(impatient(), p); !errors.Is(err, errGaveUp) {
			t.Fatalf("Append = %v, want that it waits", err)
		}
	}
	g.holds(t, "full", 700, 700)
	skip(stuck, 700, false)
	g.holds(t, "read", 0, 0)
	goruntime.KeepAlive(g.log)
}

// A cursor that leaves holds what comes after its end until it is closed.
func TestClosedCursorLetsGoOfWhatCameAfterItsEnd(t *testing.T) {
	g := garden{log: mailbox.NewLog[*payload](nil)}
	c, leaver := subscribe(t, g.log, mailbox.CursorConfig[*payload]{Capacity: 100})
	_, stays := subscribe(t, g.log, mailbox.CursorConfig[*payload]{Capacity: 100})
	g.publish(t, 30)
	skip(leaver, 30, false)
	c.Detach()
	g.publish(t, 30)
	skip(stays, 50, false)
	if !leaver.Drained() {
		t.Fatal("Drained() = false, want true")
	}
	c.Close()
	g.holds(t, "closed", 10, 10)
	goruntime.KeepAlive(g.log)
	goruntime.KeepAlive(stays)
}

// What belonged to cursors that are gone is not held: not by the log, nor by
// what their owners keep of them.
func TestNothingIsHeldOnceAllCursorsHaveLeft(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded, mailbox.DropOldest, mailbox.Latest} {
		t.Run(over.String(), func(t *testing.T) {
			g := garden{log: mailbox.NewLog[*payload](nil)}
			var cs []*mailbox.Cursor[*payload]
			var rs []*mailbox.Reader[*payload]
			for range 2 {
				c, r := subscribe(t, g.log, mailbox.CursorConfig[*payload]{Overflow: over, Capacity: 2000, Wake: func() {}})
				cs, rs = append(cs, c), append(rs, r)
			}
			g.publish(t, 1000)
			for k, c := range cs {
				c.Sleep()
				c.Detach()
				skip(rs[k], 1000, false)
				if !rs[k].Drained() {
					t.Fatal("Drained() = false, want true")
				}
				c.Close()
			}
			g.holds(t, "all have left", 0, 0)
			old := g.log.Tail()
			_, r := subscribe(t, g.log, mailbox.CursorConfig[*payload]{Capacity: 2000})
			for range 5 {
				g.publish(t, mailbox.MaxSegment)
				skip(r, mailbox.MaxSegment, false)
			}
			g.holds(t, "another has come and read", 0, 0)
			if !collected(func() bool { return !old() }) {
				t.Error("the segment in which they left is held")
			}
			goruntime.KeepAlive(g.log)
			goruntime.KeepAlive(cs)
			goruntime.KeepAlive(rs)
		})
	}
}

// Segments go when every cursor has left them, also if events hold no pointers
// and slots need no clearing.
func TestSegmentIsLetGoOnceEveryCursorHasLeftIt(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Reject, mailbox.Unbounded, mailbox.DropOldest, mailbox.DropNewest, mailbox.Latest, mailbox.DeadLetter} {
		t.Run(over.String(), func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			cfg := mailbox.CursorConfig[int]{Overflow: over, Capacity: 1000, Overflowed: func(mailbox.Item[int]) {}}
			_, a := subscribe(t, log, cfg)
			_, b := subscribe(t, log, cfg)
			tails := []func() bool{log.Tail()}
			for range 20 {
				for i := range 500 {
					publish(t, log, i)
				}
				skip(a, 500, false)
				skip(b, 500, false)
				tails = append(tails, log.Tail())
			}
			for k, tail := range tails[:len(tails)-3] {
				if !collected(func() bool { return !tail() }) {
					t.Fatalf("the segment of position %d is held at position %d", 500*k, log.Head())
				}
			}
			goruntime.KeepAlive(log)
			goruntime.KeepAlive(a)
			goruntime.KeepAlive(b)
		})
	}
}

// Only one of the cursors is watched. Whichever moves last, and whoever else
// moves at that moment, all is let go.
func TestActorsThatReadAtOnceLeaveNothingBehind(t *testing.T) {
	log := mailbox.NewLog[*payload](nil)
	actors := make([]*actor[*payload], 3)
	for k := range actors {
		actors[k] = &actor[*payload]{stride: 1 + k, handle: func(*mailbox.Reader[*payload], *payload) {}}
		if err := actors[k].start(log, mailbox.CursorConfig[*payload]{Overflow: mailbox.Unbounded}); err != nil {
			t.Fatal(err)
		}
	}
	watchdog(t, log.Head, func() string { return fmt.Sprint(actors) })
	for round := range 3000 {
		for range 1 + round%5 {
			publish(t, log, &payload{})
		}
		for _, a := range actors {
			for a.taken.Load() < log.Head() || a.state.Load() != actorIdle {
				goruntime.Gosched()
			}
		}
		if log.Swept() != log.Head() {
			t.Fatalf("Swept() = %d with everything read, want %d", log.Swept(), log.Head())
		}
	}
	for _, a := range actors {
		a.leave()
		<-a.ended
	}
}

// Headers hold memory though the events do not.
func TestHeadersOfEventsWithoutPointersAreLetGo(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	_, r := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 2000})
	_, other := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 2000})
	publish(t, log, 1, 2, 3)
	var metas []weak.Pointer[mailbox.Meta]
	for i := range 1000 {
		m := &mailbox.Meta{Headers: map[string]string{"i": number(i)}}
		metas = append(metas, weak.Make(m))
		if err := log.AppendMeta(t.Context(), i, m); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, n int) {
		t.Helper()
		if !collected(func() bool { return held(metas) <= n }) || held(metas) != n {
			t.Errorf("%s: %d headers are held, want %d", when, held(metas), n)
		}
	}
	skip(other, 1003, false)
	want("one has read", 1000)
	skip(r, 3+400, false)
	want("the other has read 400", 600)
	skip(r, 600, false)
	want("both have", 0)
	goruntime.KeepAlive(log)
}
