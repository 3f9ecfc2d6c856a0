package actors_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// send publishes with a ticket, which is closed at the end of the test.
func (w *world) send(log *mailbox.Log[int], ev int) *actors.Ticket {
	w.Helper()
	ticket := actors.NewTicket(w.sys)
	w.Cleanup(ticket.Close)
	if err := actors.Send(context.Background(), ticket, log, ev, nil); err != nil {
		w.Fatalf("Send(%d) = %v", ev, err)
	}
	return ticket
}

// ends renders outcomes.
func ends(outcomes []actors.Outcome) []string {
	var s []string
	for _, o := range outcomes {
		s = append(s, strings.TrimSpace(fmt.Sprintf("%s %s %d %v", o.Kind, o.Reason, o.Attempts, o.Err)))
	}
	return s
}

// Each way in which a delivery ends, as who waits for it is told.
func TestOutcomeIsTold(t *testing.T) {
	stop := func(rest actors.Rest) func(*subject) {
		return func(s *subject) { s.Stop(rest, supervisor.ReasonUnsubscribed) }
	}
	for _, tc := range []struct {
		name string
		cfg  actors.Config
		fail func(attempt int) error
		then func(*subject) // a second after the event was published to an actor that is paused
		want string
	}{
		{name: "done", want: "done  1 <nil>"},
		{name: "done after retries", cfg: actors.Config{Policy: retry}, fail: func(n int) error {
			if n < 3 {
				return errBoom
			}
			return nil
		}, want: "done  3 <nil>"},
		{name: "done after a panic, parked", cfg: actors.Config{Policy: retry, Ordering: actors.Parked}, fail: func(n int) error {
			if n < 2 {
				panic("once")
			}
			return nil
		}, want: "done  2 <nil>"},
		{name: "finished", fail: func(int) error { return supervisor.ErrFinished }, want: "done  1 <nil>"},
		{name: "exhausted", cfg: actors.Config{Policy: retry}, fail: func(int) error { return errBoom }, want: "dead_lettered attempts_exhausted 3 boom"},
		{name: "permanent", fail: func(int) error { return supervisor.Permanent(errBoom) }, want: "dead_lettered permanent 1 boom"},
		{name: "skipped", fail: func(int) error { return supervisor.Skip(errBoom) }, want: "dropped skipped 1 boom"},
		{name: "panic", cfg: actors.Config{Policy: once}, fail: func(int) error { panic("boom") }, want: "dead_lettered attempts_exhausted 1 panic: boom"},
		{name: "goexit", cfg: actors.Config{Policy: once}, fail: func(int) error { goruntime.Goexit(); return nil },
			want: "dead_lettered attempts_exhausted 1 " + supervisor.ErrGoexit.Error()},
		{name: "late", cfg: actors.Config{Policy: once, Timeout: time.Second}, fail: func(int) error { time.Sleep(2 * time.Second); return nil },
			want: "done  1 <nil>"},
		{name: "hung", cfg: actors.Config{Timeout: time.Second, Grace: time.Second}, fail: func(int) error { time.Sleep(time.Minute); return nil },
			want: "dead_lettered hung 1 " + supervisor.ErrHung.Error()},
		{name: "hung and retried", cfg: actors.Config{Timeout: time.Second, Grace: time.Second, Policy: supervisor.Policy{
			Decide: func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				d.Fate = supervisor.FateRetry
				return d
			}}},
			fail: func(n int) error {
				if n == 1 {
					time.Sleep(time.Minute)
				}
				return nil
			}, want: "done  2 <nil>"},
		{name: "stopped, drain", then: func(s *subject) { stop(actors.Drain)(s); s.Resume() }, want: "done  1 <nil>"},
		{name: "stopped, dead letter", then: stop(actors.DeadLetterRest), want: "dead_lettered unsubscribed 0 actors: stopped"},
		{name: "stopped, discard", then: stop(actors.Discard), want: "dropped unsubscribed 0 actors: stopped"},
		{name: "overflow oldest", cfg: actors.Config{Capacity: 1, Overflow: mailbox.DropOldest}, then: func(s *subject) { s.publish(2); s.Counts() },
			want: "dropped overflow_oldest 0 actors: dropped by the overflow policy"},
		{name: "superseded", cfg: actors.Config{Overflow: mailbox.Latest}, then: func(s *subject) { s.publish(2); s.Counts() },
			want: "dropped superseded 0 actors: dropped by the overflow policy"},
		{name: "by the supervisor", cfg: actors.Config{Policy: supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry},
			Decide: func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				d.Directive = supervisor.DirectiveStop
				return d
			}}}, fail: func(int) error { return errBoom }, want: "dead_lettered attempts_exhausted 1 boom"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.handler(tc.cfg, func(ctx context.Context, ev int) error {
					if tc.fail != nil && ev == 1 {
						return tc.fail(attempt(ctx))
					}
					return nil
				})
				if tc.then != nil {
					s.Pause()
				}
				ticket := w.send(s.log, 1)
				if tc.then != nil {
					time.Sleep(time.Second)
					if busy := ticket.Busy(); !slices.Equal(busy, []string{"subject"}) {
						t.Errorf("Busy = %v, want the subject", busy)
					}
					tc.then(s)
				}
				wantErr(t, "Wait", ticket.Wait(t.Context()), nil)
				time.Sleep(time.Hour) // for what is told twice
				want(t, "outcomes", ends(ticket.Outcomes()), []string{tc.want})
				if o := ticket.Outcomes()[0]; o.Topic != "topic" || o.Subscriber != "subject" {
					t.Errorf("outcome of %s/%s", o.Topic, o.Subscriber)
				}
				if busy := ticket.Busy(); len(busy) > 0 {
					t.Errorf("Busy = %v", busy)
				}
			})
		})
	}
}

func TestOutcomeOfWhatDoesNotFit(t *testing.T) {
	for _, tc := range []struct {
		overflow mailbox.Overflow
		sink     *graveyard
		want     string
	}{
		{mailbox.DropNewest, &graveyard{}, "dropped overflow_newest 0 actors: dropped by the overflow policy"},
		{mailbox.DeadLetter, &graveyard{}, "dead_lettered overflow 0 mailbox: full: topic/subject"},
		{mailbox.DeadLetter, &graveyard{full: true}, "dropped dead_letters_unavailable 0 mailbox: full: topic/subject"},
		{mailbox.DeadLetter, nil, "dropped dead_letters_unavailable 0 mailbox: full: topic/subject"},
	} {
		t.Run(tc.overflow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldWith(t, tc.sink, actors.Observer{})
				s := w.handler(actors.Config{Capacity: 1, Overflow: tc.overflow}, func(context.Context, int) error { return nil })
				s.Pause()
				s.publish(1)
				ticket := w.send(s.log, 2)
				s.Counts() // has the mailbox look
				wantErr(t, "Wait", ticket.Wait(t.Context()), nil)
				want(t, "outcomes", ends(ticket.Outcomes()), []string{tc.want})
			})
		})
	}
}

// A dead letter is an outcome once the sink has stored it, or lost it; but who asked
// something need not wait for that.
func TestOutcomeOfADeadLetterIsThatOfTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { return errBoom })
		w.sink.setFull(true)
		ticket := w.send(s.log, 1)
		request := actors.NewRequest(w.sys, false, func(any) error { return nil })
		defer request.Close()
		synctest.Wait()
		want(t, "outcomes while the sink is full", ends(ticket.Outcomes()), nil)
		w.sink.setFull(false)
		wantErr(t, "Send", actors.Send(t.Context(), request, s.log, 2, nil), nil)
		wantErr(t, "Wait", ticket.Wait(t.Context()), nil)
		want(t, "outcomes", ends(ticket.Outcomes()), []string{"dead_lettered attempts_exhausted 1 boom"})

		synctest.Wait()
		w.sink.setFull(true)
		request = actors.NewRequest(w.sys, false, func(any) error { return nil })
		defer request.Close()
		wantErr(t, "Send", actors.Send(t.Context(), request, s.log, 3, nil), nil)
		wantErr(t, "Wait", request.Wait(t.Context()), nil)
		w.sink.setFull(false)
		synctest.Wait()
		want(t, "outcomes", ends(request.Outcomes()), []string{"dead_lettered attempts_exhausted 1 boom"})
	})
}

// Whoever it was accepted for is waited for: not who came later, but who left since.
func TestTicketWaitsForThoseOfTheMomentOfAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		log := w.log()
		slow := func(name string) *subject {
			return w.cellOn(log, actors.CellConfig[int]{Config: actors.Config{Name: name}, Receive: func(context.Context, int) error {
				time.Sleep(time.Second)
				return nil
			}})
		}
		early := slow("early")
		left := slow("left")
		left.Stop(actors.Drain, "test")
		slow("stays")
		ticket := w.send(log, 1)
		slow("late")
		early.Stop(actors.Drain, "test")
		want(t, "Busy", ticket.Busy(), []string{"early", "stays"})
		wantErr(t, "Wait", ticket.Wait(t.Context()), nil)
		var names []string
		for _, o := range ticket.Outcomes() {
			names = append(names, o.Subscriber)
		}
		slices.Sort(names)
		want(t, "told", names, []string{"early", "stays"})
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{}, func(context.Context, int) error { time.Sleep(time.Minute); return nil })
		ticket := w.send(s.log, 1)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		wantErr(t, "Wait", ticket.Wait(ctx), errBoom)
		want(t, "Busy", ticket.Busy(), []string{"subject"})
		ticket.Close()
		time.Sleep(time.Hour)
		if o := ticket.Outcomes(); len(o) > 0 {
			t.Errorf("outcomes after Close = %v", o)
		}
		s.wantCounts(actors.Counts{Deliveries: 1, Done: 1})
	})
}

// While everything happens to actors that can, each delivery of an event with a
// ticket is told once, and as the account has it.
func TestTicketHammer(t *testing.T) {
	events := 6000
	if testing.Short() {
		events = 1500
	}
	for _, tc := range []struct {
		name    string
		timeout time.Duration
		every   int // which events have a ticket
	}{{"plain", 0, 1}, {"timeout", 2 * time.Millisecond, 1}, {"few tickets", 0, 7}} {
		t.Run(tc.name, func(t *testing.T) { hammerTickets(t, events, tc.timeout, tc.every) })
	}
}

func hammerTickets(t *testing.T, events int, timeout time.Duration, every int) {
	sys, err := actors.NewSystem(actors.SystemConfig{Sink: &graveyard{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sys.Close)
	log := mailbox.NewLog[int](sys.Guard())
	nap := func() { time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond) }
	deaf := make(chan struct{})
	spawn := func(name string, overflow mailbox.Overflow) *actors.Cell[int] {
		cfg := actors.Config{
			Topic: "t", Name: name, Overflow: overflow, Capacity: 1 + rand.IntN(100), Timeout: timeout, Grace: timeout + time.Millisecond,
			MaxZombies: 1 + rand.IntN(4), Ordering: actors.Ordering(rand.IntN(2)), MaxParked: 1 + rand.IntN(20),
			Policy: supervisor.Policy{
				Retry:   supervisor.Retry{MaxAttempts: 2, BaseDelay: 50 * time.Microsecond, MaxDelay: 100 * time.Microsecond},
				Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited, BaseDelay: 10 * time.Microsecond, MaxDelay: time.Millisecond},
			},
		}
		c, err := actors.SpawnCell(sys, log, actors.CellConfig[int]{
			Config: cfg, Key: func(ev int) string { return fmt.Sprint(ev % 10) },
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
					time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
				case 7:
					if timeout > 0 && rand.IntN(8) == 0 {
						time.Sleep(3*timeout + time.Millisecond) // deaf: a zombie
					}
				case 8:
					if rand.IntN(200) == 0 {
						<-deaf // until the end
					}
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var cells []*actors.Cell[int]
	for o := mailbox.Block; o <= mailbox.Unbounded; o++ {
		cells = append(cells, spawn(o.String(), o))
	}
	hosts := slices.Clone(cells)
	stop := make(chan struct{})
	var others, publishers sync.WaitGroup
	others.Go(func() { // subscribers come and go
		for k := 0; ; k++ {
			c := spawn(fmt.Sprint("guest-", k), mailbox.Overflow(k%int(mailbox.Unbounded+1)))
			cells = append(cells, c)
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			c.Stop(actors.Rest(rand.IntN(3)), supervisor.ReasonUnsubscribed)
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	others.Go(func() { // operators
		for {
			switch c := hosts[rand.IntN(len(hosts))]; rand.IntN(3) {
			case 0:
				c.Pause()
				nap()
				c.Resume()
			case 1:
				c.Restart()
			case 2:
				c.Counts()
			}
			select {
			case <-stop:
				return
			default:
				nap()
			}
		}
	})
	var sent tape[*actors.Ticket]
	for p := range 2 {
		publishers.Go(func() {
			for i := range events / 2 {
				// One may be deaf for good.
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
				for ctx.Err() == nil {
					var err error
					ticket := actors.NewTicket(sys)
					if i%every == 0 {
						err = actors.Send(ctx, ticket, log, p*events+i, nil)
					} else {
						err = log.Append(ctx, p*events+i)
					}
					if err == nil && i%every == 0 {
						sent.add(ticket)
					}
					if err == nil {
						break
					}
					nap() // Reject
				}
				cancel()
			}
		})
	}
	publishers.Wait()
	close(stop)
	others.Wait()
	for _, c := range cells {
		c.Stop(actors.Rest(rand.IntN(3)), supervisor.ReasonShutdown)
	}
	time.Sleep(5 * time.Millisecond)
	for _, c := range cells {
		c.Resume()
		c.Abandon() // as a shutdown does: also of handlers that would succeed
	}
	for _, c := range cells {
		c.Stop(actors.Rest(1+rand.IntN(2)), supervisor.ReasonShutdown)
		c.Abandon()
		<-c.Done()
	}
	close(deaf)
	for _, c := range cells { // zombies tell nobody
		for c.Counts().Zombies > 0 {
			nap()
		}
	}

	over, cancel := context.WithCancel(context.Background())
	cancel()
	told := map[string]map[string]uint64{}
	for _, ticket := range sent.all() {
		if busy := ticket.Busy(); len(busy) > 0 {
			t.Fatalf("not told by %v", busy)
		}
		if err := ticket.Wait(over); err != nil {
			t.Fatal("all have told, and the ticket has not ended")
		}
		seen := map[string]bool{}
		for _, o := range ticket.Outcomes() {
			if seen[o.Subscriber] {
				t.Fatalf("told twice by %s: %v", o.Subscriber, ends(ticket.Outcomes()))
			}
			seen[o.Subscriber] = true
			if told[o.Subscriber] == nil {
				told[o.Subscriber] = map[string]uint64{}
			}
			key := string(o.Kind)
			if o.Kind == actors.OutcomeDropped {
				key = o.Reason
			}
			told[o.Subscriber][key]++
			if (o.Kind == actors.OutcomeDone) != (o.Failure() == nil) {
				t.Fatalf("%+v: Failure = %v", o, o.Failure())
			}
		}
		for o := mailbox.Block; o <= mailbox.Unbounded; o++ {
			if !seen[o.String()] {
				t.Fatalf("not told by %v: %v", o, ends(ticket.Outcomes()))
			}
		}
	}
	for _, c := range cells {
		_, name := c.Name()
		n := c.Counts()
		account := maps.Clone(n.Dropped)
		account[string(actors.OutcomeDone)] = n.Done
		account[string(actors.OutcomeDeadLettered)] = n.DeadLettered
		maps.DeleteFunc(account, func(_ string, n uint64) bool { return n == 0 })
		if every == 1 && !maps.Equal(account, told[name]) && len(account)+len(told[name]) > 0 {
			t.Errorf("%s has told %v, its account is %v", name, told[name], account)
		}
		if n.Balance() != 0 {
			t.Errorf("%s: Balance = %d", name, n.Balance())
		}
	}
	t.Logf("%d tickets, %d actors: %v", sent.len(), len(cells), told["block"])
}

func TestReplyOutsideOfAHandler(t *testing.T) {
	wantErr(t, "Reply", actors.Reply(t.Context(), 1), actors.ErrNotInHandler)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hooked := make(chan error, 1)
		w.cell(actors.CellConfig[int]{Factory: func() actors.Behavior[int] {
			return actors.Behavior[int]{
				Start:   func(ctx context.Context) error { hooked <- actors.Reply(ctx, 1); return nil },
				Receive: func(context.Context, int) error { return nil },
			}
		}})
		wantErr(t, "Reply in a hook", <-hooked, actors.ErrNotInHandler)
	})
}

// What counts is the reply of the attempt that succeeded.
func TestReplyCountsWhenTheHandlerSucceeds(t *testing.T) {
	decideRetry := func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
		d.Fate = supervisor.FateRetry
		return d
	}
	for _, tc := range []struct {
		name string
		cfg  actors.Config
		do   func(ctx context.Context, attempt int) error
		want any // nil for no reply
	}{
		{name: "of several the first", do: func(ctx context.Context, _ int) error {
			return errors.Join(actors.Reply(ctx, "first"), actors.Reply(ctx, "second"))
		}, want: "first"},
		{name: "not of an attempt that failed", cfg: actors.Config{Policy: retry}, do: func(ctx context.Context, n int) error {
			_ = actors.Reply(ctx, fmt.Sprint("attempt ", n))
			if n < 3 {
				return errBoom
			}
			return nil
		}, want: "attempt 3"},
		{name: "not that of an attempt before one without", cfg: actors.Config{Policy: retry}, do: func(ctx context.Context, n int) error {
			if n == 1 {
				_ = actors.Reply(ctx, "gone")
				panic("boom")
			}
			return nil
		}},
		{name: "not of a dead letter", cfg: actors.Config{Policy: once}, do: func(ctx context.Context, _ int) error {
			_ = actors.Reply(ctx, "gone")
			return errBoom
		}},
		{name: "not of a zombie", cfg: actors.Config{Timeout: time.Second, Grace: time.Second, Policy: supervisor.Policy{Decide: decideRetry}},
			do: func(ctx context.Context, n int) error {
				if n == 1 {
					time.Sleep(2500 * time.Millisecond) // given up, and the next attempt waits
					_ = actors.Reply(ctx, "zombie")
					return nil
				}
				time.Sleep(900 * time.Millisecond)
				return actors.Reply(ctx, "alive")
			}, want: "alive"},
		{name: "not of a zombie, nor another one", cfg: actors.Config{Timeout: time.Second, Grace: time.Second, Policy: supervisor.Policy{Decide: decideRetry}},
			do: func(ctx context.Context, n int) error {
				if n == 1 {
					time.Sleep(2500 * time.Millisecond)
					return actors.Reply(ctx, "zombie")
				}
				time.Sleep(900 * time.Millisecond)
				return nil
			}},
		{name: "late", cfg: actors.Config{Timeout: time.Second, Grace: time.Minute, Policy: once}, do: func(ctx context.Context, _ int) error {
			time.Sleep(2 * time.Second)
			return actors.Reply(ctx, "late")
		}, want: "late"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.handler(tc.cfg, func(ctx context.Context, _ int) error { return tc.do(ctx, attempt(ctx)) })
				ticket := actors.NewRequest(w.sys, true, func(any) error { return nil })
				defer ticket.Close()
				wantErr(t, "Send", actors.Send(t.Context(), ticket, s.log, 1, nil), nil)
				wantErr(t, "Wait", ticket.Wait(t.Context()), nil)
				time.Sleep(time.Hour)
				o := ticket.Outcomes()
				if len(o) != 1 {
					t.Fatalf("outcomes = %v", ends(o))
				}
				if got, ok := o[0].Reply(); got != tc.want || ok != (tc.want != nil) {
					t.Errorf("Reply = %v, %v, want %v; %v", got, ok, tc.want, ends(o))
				}
			})
		})
	}
}

// An attempt that a restart has ended is not charged, so the next has its number.
func TestReplyOfAnAttemptThatIsNotChargedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		calls := 0
		s := w.handler(actors.Config{}, func(ctx context.Context, _ int) error {
			if calls++; calls == 1 {
				_ = actors.Reply(ctx, "gone")
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		ticket := actors.NewRequest(w.sys, true, func(any) error { return nil })
		defer ticket.Close()
		wantErr(t, "Send", actors.Send(t.Context(), ticket, s.log, 1, nil), nil)
		synctest.Wait()
		s.Restart()
		wantErr(t, "Wait", ticket.Wait(t.Context()), nil)
		o := ticket.Outcomes()
		want(t, "outcomes", ends(o), []string{"done  1 <nil>"})
		if v, ok := o[0].Reply(); ok || calls != 2 {
			t.Errorf("Reply = %v after %d calls", v, calls)
		}
	})
}

// Who has been answered waits no more, even if it has not noticed yet: publishing to
// it closes no circle.
func TestTicketThatHasEndedIsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		question, log := w.log(), w.log()
		noticed := make(chan struct{})
		accepts := func(any) error { return nil }
		w.cellOn(log, actors.CellConfig[int]{Config: actors.Config{Name: "asks"}, Receive: func(ctx context.Context, ev int) error {
			if ev == 1 {
				ticket := actors.NewRequest(w.sys, true, accepts)
				defer ticket.Close()
				wantErr(t, "Send", actors.Send(ctx, ticket, question, 1, nil), nil)
				<-noticed
				wantErr(t, "Wait", ticket.Wait(ctx), nil)
			}
			return nil
		}})
		w.cellOn(question, actors.CellConfig[int]{Config: actors.Config{Name: "answers"}, Receive: func(ctx context.Context, _ int) error {
			return actors.Reply(ctx, "yes")
		}})
		back := make(chan error, 2)
		w.cellOn(question, actors.CellConfig[int]{Config: actors.Config{Name: "asks back"}, Receive: func(ctx context.Context, _ int) error {
			time.Sleep(time.Second) // the answer is there
			ticket := actors.NewTicket(w.sys)
			defer ticket.Close()
			back <- actors.Send(ctx, ticket, log, 2, nil)
			back <- ticket.Wait(ctx)
			return nil
		}})
		wantErr(t, "Append", log.Append(t.Context(), 1), nil)
		wantErr(t, "Send back", <-back, nil)
		synctest.Wait()
		close(noticed)
		wantErr(t, "Wait back", <-back, nil)
	})
}

// At the end of a shutdown what a fast handler has done since its last checkpoint is
// in doubt, but never an event with a ticket.
func TestEventWithATicketHasItsCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Without an observer, for whom each event would have one.
		sys, err := actors.NewSystem(actors.SystemConfig{Sink: &graveyard{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sys.Close)
		w := &world{TB: t, sys: sys, sink: &graveyard{}, seen: &record{}, held: &record{}}
		deaf := make(chan struct{})
		s := w.handler(actors.Config{}, func(_ context.Context, ev int) error {
			if ev < 0 {
				<-deaf
			}
			return nil
		})
		s.Pause()
		s.publish(make([]int, 100)...)
		before := w.send(s.log, 1)
		s.publish(make([]int, 100)...)
		ticket := w.send(s.log, -1)
		s.Resume()
		wantErr(t, "Wait", before.Wait(t.Context()), nil)
		synctest.Wait()
		s.Stop(actors.DeadLetterRest, supervisor.ReasonShutdown)
		if !s.Abandon() {
			t.Error("no handler ran")
		}
		wantErr(t, "Wait", ticket.Wait(t.Context()), nil)
		want(t, "outcome", ends(ticket.Outcomes()), []string{"dead_lettered hung 1 " + supervisor.ErrHung.Error()})
		close(deaf)
		s.wantCounts(actors.Counts{Deliveries: 202, Done: 201, DeadLettered: 1, Failures: 1, Pauses: 1, Abandoned: 1, Late: 1})
	})
}
