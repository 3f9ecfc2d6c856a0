package actors_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

func TestSinkWithoutRoomHoldsOnlyTheActorThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, &graveyard{full: true}, actors.Observer{})
		log := w.log()
		failing := w.cellOn(log, actors.CellConfig[int]{Config: actors.Config{Name: "failing", Policy: once},
			Receive: func(_ context.Context, ev int) error {
				if ev%2 == 0 {
					return errBoom
				}
				return nil
			}})
		healthy := w.cellOn(log, actors.CellConfig[int]{Config: actors.Config{Name: "healthy"}, Receive: func(context.Context, int) error { return nil }})
		failing.publish(1, 2, 3, 4, 5)
		failing.wantState(actors.StateLettersFull)
		failing.wantCounts(actors.Counts{Deliveries: 5, Done: 1, Queued: 3, Parked: 1, Failures: 1})
		healthy.wantCounts(actors.Counts{Deliveries: 5, Done: 5})
		time.Sleep(time.Hour)
		failing.wantState(actors.StateLettersFull)

		w.sink.setFull(false)
		failing.wantState(actors.StateIdle)
		failing.wantCounts(actors.Counts{Deliveries: 5, Done: 3, DeadLettered: 2, Failures: 2})
		w.wantLetters("2 "+supervisor.ReasonExhausted, "4 "+supervisor.ReasonExhausted)
	})
}

func TestSinkThatRefusesAgainIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, &graveyard{full: true}, actors.Observer{})
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { panic("boom") })
		s.publish(1)
		for range 10 {
			s.wantState(actors.StateLettersFull)
			w.sink.mu.Lock()
			rooms := w.sink.rooms
			w.sink.rooms = nil
			w.sink.mu.Unlock()
			if len(rooms) != 1 {
				t.Fatalf("%d calls wait, want 1", len(rooms))
			}
			rooms[0]()
		}
		s.wantState(actors.StateLettersFull)
		w.sink.setFull(false)
		s.wantState(actors.StateIdle)
		s.wantCounts(actors.Counts{Deliveries: 1, DeadLettered: 1, Failures: 1, Restarts: 1})
	})
}

func TestStopWaitsForRoomInTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, &graveyard{full: true}, actors.Observer{})
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { return errBoom })
		s.publish(1, 2, 3)
		s.wantState(actors.StateLettersFull)
		s.Stop(actors.DeadLetterRest, "test")
		s.wantCounts(actors.Counts{Deliveries: 3, Queued: 2, Parked: 1, Failures: 1})
		time.AfterFunc(time.Minute, func() { w.sink.setFull(false) })
		<-s.Done()
		w.wantLetters("1 "+supervisor.ReasonExhausted, "2 test", "3 test")
	})
}

func TestGiveUpEndsTheWaitForRoomInTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, &graveyard{full: true}, actors.Observer{})
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { return errBoom })
		s.publish(1, 2, 3)
		s.wantState(actors.StateLettersFull)
		s.Stop(actors.DeadLetterRest, "test")
		time.AfterFunc(time.Minute, w.sys.GiveUp)
		<-s.Done()
		s.wantCounts(actors.Counts{Deliveries: 3, Failures: 1, Dropped: map[string]uint64{actors.ReasonDeadLettersUnavailable: 3}})
		w.wantSeen("Dropped", 3)
	})
}

func TestWithoutASinkDeadEventsAreDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, nil, actors.Observer{})
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { return errBoom })
		s.publish(1, 2)
		s.wantCounts(actors.Counts{Deliveries: 2, Failures: 2, Dropped: map[string]uint64{actors.ReasonDeadLettersUnavailable: 2}})
		w.wantSeen("Dropped", 2)
	})
}

func TestAccountOfEventsWithoutASubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := actors.NewAccount(w.sys)
		dead := func(ev int) *actors.Dead {
			return &actors.Dead{Topic: "topic", Event: ev, Reason: supervisor.ReasonUnrouted}
		}
		if !a.Bury(dead(1)) {
			t.Error("Bury = false")
		}
		w.sink.setFull(true)
		if a.Bury(dead(2)) {
			t.Error("Bury into a full sink = true")
		}
		if n := a.Counts(); n.Deliveries != 1 || n.DeadLettered != 1 || n.Balance() != 0 {
			t.Errorf("Counts = %+v", n)
		}
		w.wantLetters("1 " + supervisor.ReasonUnrouted)
	})
}

// Abandon gives up what is deaf at the end of a shutdown, with a deadline or
// without.
func TestAbandonGivesUpWhatIsDeaf(t *testing.T) {
	for _, timeout := range []time.Duration{0, 24 * time.Hour} {
		for _, what := range []string{"handler", "retry", "start", "stop", "stop later"} {
			t.Run(fmt.Sprint(what, timeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					deaf := make(chan struct{})
					block := func(is bool) error {
						if is {
							<-deaf
						}
						return nil
					}
					s := w.cell(actors.CellConfig[int]{
						Config: actors.Config{Policy: retry, Timeout: timeout},
						Factory: func() actors.Behavior[int] {
							return actors.Behavior[int]{
								Start: func(context.Context) error { return block(what == "start") },
								Receive: func(ctx context.Context, ev int) error {
									if what == "retry" && attempt(ctx) == 1 {
										return errBoom
									}
									return block(what == "handler" && ev == 2 || what == "retry")
								},
								Stop: func(context.Context) error { return block(what == "stop" || what == "stop later") },
							}
						},
					})
					s.publish(1, 2, 3)
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if what == "stop later" {
						s.Abandon() // before the hook begins
					}
					s.Stop(actors.DeadLetterRest, "shutdown")
					s.Interrupt(errBoom)
					if what != "stop later" {
						synctest.Wait()
						s.Abandon()
					}
					<-s.Done()
					s.wantState(actors.StateStopped)
					n := s.Counts()
					if n.Abandoned != 1 || n.Zombies != 1 || n.Done+n.DeadLettered != 3 {
						t.Errorf("Counts = %+v", n)
					}
					close(deaf)
					synctest.Wait()
					s.balanced()
					if n := s.Counts(); n.Zombies != 0 {
						t.Errorf("Counts = %+v", n)
					}
				})
			})
		}
	}
}

// moody is a sink that refuses, stores later, and loses.
type moody struct{ wg sync.WaitGroup }

func (m *moody) Bury(d *actors.Dead, room func()) bool {
	switch rand.IntN(4) {
	case 0:
		if room != nil {
			m.wg.Go(room)
		}
		return false
	case 1:
		m.wg.Go(func() { d.Lost("refused") })
	case 2:
		d.Stored()
	default:
		m.wg.Go(d.Stored)
	}
	return true
}

// hammer lets three actors of one log, in one group, go through everything that
// can happen to them at random, while their accounts are looked at. In the end
// every event has had exactly one outcome.
func hammer(t *testing.T, cfg actors.Config, strategy supervisor.Strategy, events int, nap func()) {
	sink := &moody{}
	sys, err := actors.NewSystem(actors.SystemConfig{Sink: sink, Observer: (&record{}).observer()})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	g, err := sys.Root().Group("group", actors.GroupConfig{Strategy: strategy, Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited}})
	if err != nil {
		t.Fatal(err)
	}
	log := mailbox.NewLog[int](sys.Guard())
	cfg.Group = g
	cfg.Policy = supervisor.Policy{
		Retry:   supervisor.Retry{MaxAttempts: 3, BaseDelay: 10 * time.Microsecond},
		Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited, BaseDelay: 10 * time.Microsecond, MaxDelay: time.Millisecond},
	}
	var cells []*actors.Cell[int]
	outcomes := make([][]atomic.Int32, 3)
	for i := range outcomes {
		outcomes[i] = make([]atomic.Int32, 3*events)
		cfg.Name = fmt.Sprint("c", i)
		c, err := actors.SpawnCell(sys, log, actors.CellConfig[int]{
			Config: cfg,
			Factory: func() actors.Behavior[int] {
				if rand.IntN(20) == 0 {
					panic("factory")
				}
				return actors.Behavior[int]{
					Receive: func(ctx context.Context, _ int) error {
						switch rand.IntN(100) {
						case 0, 1:
							return errBoom
						case 2:
							panic(errBoom)
						case 3:
							goruntime.Goexit()
						case 4:
							return supervisor.Permanent(errBoom)
						case 5:
							return supervisor.Skip(errBoom)
						case 6:
							return supervisor.RetryAfter(errBoom, 20*time.Microsecond)
						case 7:
							return supervisor.ErrFinished
						case 8:
							if cfg.Timeout > 0 && rand.IntN(5) == 0 {
								time.Sleep(cfg.Timeout + 2*cfg.Grace) // deaf
							}
						case 9:
							if cfg.Timeout > 0 && rand.IntN(5) == 0 {
								<-ctx.Done()
								return ctx.Err()
							}
						}
						return nil
					},
					Start: func(context.Context) error {
						if rand.IntN(20) == 0 {
							return errBoom
						}
						return nil
					},
					Stop: func(context.Context) error {
						if rand.IntN(20) == 0 {
							goruntime.Goexit()
						}
						return nil
					},
				}
			},
			Settled: func(ev int, _ error) { outcomes[i][ev].Add(1) },
		})
		if err != nil {
			t.Fatal(err)
		}
		cells = append(cells, c)
	}

	check := func() {
		for _, c := range cells {
			n := c.Counts()
			if n.Balance() != 0 || n.Done+n.DeadLettered+n.TotalDropped() > n.Deliveries {
				t.Errorf("Balance = %d: %+v", n.Balance(), n)
			}
		}
	}
	stop := make(chan struct{})
	var others, publishers sync.WaitGroup
	during := func(f func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
					nap()
				}
			}
		})
	}
	var redelivered [3]atomic.Int64
	during(check)
	during(func() {
		k := rand.IntN(len(cells))
		switch c := cells[k]; rand.IntN(6) {
		case 0:
			c.Pause()
			nap()
			c.Resume()
		case 1:
			c.Resume()
		case 2:
			c.Restart()
		case 3, 4:
			ev := 2*events + int(redelivered[k].Load())
			if ev < 3*events && c.Redeliver(ev, 1, time.Time{}, nil, &actors.Redelivery{Budget: rand.IntN(3)}) == nil {
				redelivered[k].Add(1)
			}
		case 5:
			nap()
		}
	})
	for p := range 2 {
		publishers.Go(func() {
			for i := range events {
				for log.Append(context.Background(), p*events+i) != nil {
					nap() // Reject
				}
			}
		})
	}
	publishers.Wait()
	close(stop)
	others.Wait()
	for i, c := range cells {
		c.Resume()
		c.Stop(actors.Rest(i), "hammer")
	}
	for _, c := range cells {
		<-c.Done()
		for c.Counts().Zombies > 0 {
			nap()
		}
	}
	sink.wg.Wait()
	check()
	for i, c := range cells {
		n := c.Counts()
		if want := 2*uint64(events) + uint64(redelivered[i].Load()); n.Deliveries != want || n.Redelivered != uint64(redelivered[i].Load()) ||
			n.Queued+n.InFlight+n.RetryWait+n.Parked != 0 {
			t.Errorf("%v: Counts = %+v, want %d deliveries and nothing under way", actors.Rest(i), n, want)
		}
		switch cfg.Overflow {
		case mailbox.DropOldest, mailbox.DropNewest, mailbox.Latest:
			continue // what a policy drops is counted, not told one by one
		}
		for ev := range 2*events + int(redelivered[i].Load()) {
			if k := outcomes[i][ev].Load(); k != 1 {
				t.Errorf("event %d of %s has %d outcomes, want 1", ev, actors.Rest(i), k)
			}
		}
	}
}

var hammerConfigs = []struct {
	cfg      actors.Config
	strategy supervisor.Strategy
}{
	{actors.Config{Capacity: 1}, supervisor.OneForOne},
	{actors.Config{Capacity: 64, Ordering: actors.Parked, MaxParked: 3}, supervisor.AllForOne},
	{actors.Config{Capacity: 4096}, supervisor.RestForOne},
	{actors.Config{Capacity: 8, Overflow: mailbox.Reject}, supervisor.OneForOne},
	{actors.Config{Capacity: 8, Overflow: mailbox.DropOldest}, supervisor.OneForOne},
	{actors.Config{Capacity: 8, Overflow: mailbox.DeadLetter, Ordering: actors.Parked}, supervisor.AllForOne},
	{actors.Config{Overflow: mailbox.Latest}, supervisor.OneForOne},
	{actors.Config{Overflow: mailbox.Unbounded, Ordering: actors.Parked}, supervisor.RestForOne},
}

func TestAccountAddsUpAtAnyMoment(t *testing.T) {
	for _, tc := range hammerConfigs {
		for _, timeout := range []time.Duration{0, time.Millisecond} {
			t.Run(fmt.Sprint(tc.cfg.Overflow, tc.cfg.Ordering, tc.strategy, timeout), func(t *testing.T) {
				cfg := tc.cfg
				cfg.Timeout, cfg.Grace = timeout, time.Millisecond
				t.Run("real time", func(t *testing.T) {
					hammer(t, cfg, tc.strategy, 1000, goruntime.Gosched)
				})
				t.Run("virtual time", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						hammer(t, cfg, tc.strategy, 1000, func() { time.Sleep(time.Duration(rand.IntN(20)) * time.Microsecond) })
					})
				})
			})
		}
	}
}

// A wake-up that gets lost shows as a test that does not end.
func TestNoWakeUpIsLost(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		t.Run(fmt.Sprint("GOMAXPROCS ", procs), func(t *testing.T) {
			defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(procs))
			for name, meanwhile := range map[string]func(*subject){
				"publish":       func(*subject) {},
				"pause, resume": func(s *subject) { s.Pause(); s.Resume() },
				"restart": func(s *subject) {
					if rand.IntN(20) == 0 { // else nothing else would happen
						s.Restart()
					}
				},
				"redeliver":       func(s *subject) { _ = s.redeliver(-1, nil) },
				"account, system": func(s *subject) { s.Counts(); s.w.sys.Poke() },
			} {
				t.Run(name, func(t *testing.T) {
					w := newWorld(t)
					handled := make(chan int, 1)
					s := w.handler(actors.Config{Capacity: 1}, func(_ context.Context, ev int) error {
						if ev >= 0 {
							handled <- ev
						}
						return nil
					})
					stop := make(chan struct{})
					var wg sync.WaitGroup
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
								meanwhile(s)
								goruntime.Gosched()
							}
						}
					})
					for i := range 5000 {
						s.publish(i)
						if got := <-handled; got != i {
							t.Fatalf("handled %d, want %d", got, i)
						}
					}
					close(stop)
					wg.Wait()
				})
			}
		})
	}
}

// Publishers that wait for room and actors that go to sleep depend on each other.
func TestNoRoomIsLost(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		t.Run(fmt.Sprint("GOMAXPROCS ", procs), func(t *testing.T) {
			defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(procs))
			w := newWorld(t)
			log := w.log()
			const events, publishers = 2000, 4
			var cells []*subject
			for i := range 3 {
				cells = append(cells, w.cellOn(log, actors.CellConfig[int]{
					Config:  actors.Config{Name: fmt.Sprint("c", i), Capacity: 1 + i},
					Receive: func(context.Context, int) error { return nil },
				}))
			}
			var wg sync.WaitGroup
			for range publishers {
				wg.Go(func() {
					for i := range events {
						if err := log.Append(context.Background(), i); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			for _, c := range cells {
				c.Stop(actors.Drain, "test")
				<-c.Done()
				if n := c.Counts(); n.Done != events*publishers {
					t.Errorf("Counts = %+v", n)
				}
			}
		})
	}
}
