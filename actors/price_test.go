package actors_test

import (
	"context"
	"fmt"
	"regexp"
	goruntime "runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
)

func TestNoGoroutineWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		log := w.log()
		synctest.Wait()
		before := goroutinesOfTest()
		var cells []*subject
		for i := range 100 {
			cells = append(cells, w.cellOn(log, actors.CellConfig[int]{
				Config: actors.Config{Name: fmt.Sprint("c", i)},
				Factory: func() actors.Behavior[int] {
					return actors.Behavior[int]{
						Start:   func(context.Context) error { return nil },
						Receive: func(_ context.Context, ev int) error { return nil },
					}
				},
			}))
		}
		cells[0].publish(1, 2, 3)
		cells[0].Pause()
		cells[1].Restart()
		for _, c := range cells[1:] {
			c.wantState(actors.StateIdle)
		}
		if n := goroutinesOfTest(); n > before {
			t.Errorf("%d goroutines for 100 idle actors, want none", n-before)
		}
		// Nor does a publisher start one for an actor that is paused.
		for i := range 100 {
			cells[0].publish(i)
		}
		synctest.Wait()
		cells[0].wantState(actors.StatePaused)
	})
}

// goroutinesOfTest counts the goroutines of the caller's synctest bubble: those
// that other tests leave behind are none of its business.
func goroutinesOfTest() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:goruntime.Stack(stacks, true)]
	bubble := regexp.MustCompile(`synctest bubble \d+`).Find(stacks) // the caller's stack is the first
	if bubble == nil {
		panic("not in a synctest bubble")
	}
	return len(regexp.MustCompile(`(?m)^goroutine .*`+string(bubble)+`\]:$`).FindAll(stacks, -1))
}

// lane is what the measurements use: a cell without anybody who looks, and the
// way to wait for it.
type lane struct {
	sys     *actors.System
	log     *mailbox.Log[int]
	cell    *actors.Cell[int]
	handled chan struct{}
}

// newLane starts a cell whose handler says when it gets to an event below 0.
func newLane(t testing.TB, cfg actors.CellConfig[int], receive func(context.Context, int) error) *lane {
	t.Helper()
	sys, err := actors.NewSystem(actors.SystemConfig{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lane{sys: sys, log: mailbox.NewLog[int](sys.Guard()), handled: make(chan struct{}, 1)}
	cfg.Name = "lane"
	cfg.Receive = func(ctx context.Context, ev int) error {
		if ev < 0 {
			l.handled <- struct{}{}
			return nil
		}
		return receive(ctx, ev)
	}
	if l.cell, err = actors.SpawnCell(sys, l.log, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.cell.Stop(actors.Drain, "test")
		<-l.cell.Done()
		sys.Close()
	})
	return l
}

// run publishes n events and waits until they are handled.
func (l *lane) run(n int) {
	ctx := context.Background()
	for range n {
		_ = l.log.Append(ctx, 1)
	}
	_ = l.log.Append(ctx, -1)
	<-l.handled
}

// A segment of the log for every 512 events, and a goroutine when the actor
// wakes up, are all that is allocated.
func TestNoAllocationPerEvent(t *testing.T) {
	for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.DropOldest} {
		t.Run(overflow.String(), func(t *testing.T) {
			l := newLane(t, actors.CellConfig[int]{Config: actors.Config{Policy: retry, Overflow: overflow, Capacity: 1 << 17}},
				func(context.Context, int) error { return nil })
			const n = 20000
			if per := testing.AllocsPerRun(5, func() { l.run(n) }) / n; per > 0.02 {
				t.Errorf("%.3f allocations per event, want 0", per)
			}
		})
	}
}

// About 1.1 KiB of it is protoactor-go's: the entry in its registry, the properties
// and the context of the actor. The bound is there to notice growth.
func TestIdleActorIsSmall(t *testing.T) {
	const n = 2000
	heap := func() uint64 {
		var m goruntime.MemStats
		goruntime.GC()
		goruntime.GC()
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	sys, err := actors.NewSystem(actors.SystemConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	log := mailbox.NewLog[int](sys.Guard())
	before := heap()
	cells := make([]*actors.Cell[int], n)
	for i := range cells {
		if cells[i], err = actors.SpawnCell(sys, log, actors.CellConfig[int]{
			Config:  actors.Config{Topic: "topic", Name: fmt.Sprint("cell-", i)},
			Receive: func(context.Context, int) error { return nil },
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cells {
		for c.State() != actors.StateIdle {
			goruntime.Gosched()
		}
	}
	per := (heap() - before) / n
	t.Logf("an idle actor takes %d bytes", per)
	if per > 3500 {
		t.Errorf("an idle actor takes %d bytes, want 3500 at most", per)
	}
	for _, c := range cells {
		c.Stop(actors.Drain, "test")
		<-c.Done()
	}
}

// A zombie must not hold the log from its event on, for it may never end.
func TestZombieDoesNotHoldTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, err := actors.NewSystem(actors.SystemConfig{}) // no observer: what it records would count
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		log := mailbox.NewLog[int](sys.Guard())
		cell, err := actors.SpawnCell(sys, log, actors.CellConfig[int]{
			Config: actors.Config{Name: "a", Timeout: time.Second, Grace: time.Second},
			Receive: func(_ context.Context, n int) error {
				if n == 0 {
					<-release
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		publish := func(n int) {
			if err := log.Append(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		publish(0)
		time.Sleep(time.Minute)
		if n := cell.Counts(); n.Zombies != 1 {
			t.Fatalf("Zombies = %d, want 1", n.Zombies)
		}
		heap := func() int64 {
			goruntime.GC()
			var m goruntime.MemStats
			goruntime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		const events = 100_000
		for range events / 100 {
			for range 100 {
				publish(1)
			}
			synctest.Wait()
		}
		if grown := heap() - before; grown > events*4 {
			t.Errorf("%d events behind a zombie hold %d bytes", events, grown)
		}
		close(release)
		cell.Stop(actors.Drain, "test")
		<-cell.Done()
		sys.Close()
	})
}
