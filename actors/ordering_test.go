package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// Odd events fail, in turn with an error and a panic, on all but the third
// attempt.
func TestOrderingThroughRetriesAndRestarts(t *testing.T) {
	for _, tc := range []struct {
		ordering actors.Ordering
		want     []string
		took     time.Duration
	}{
		{actors.Ordered, []string{"1#1", "1#2", "1#3", "2#1", "3#1", "3#2", "3#3", "4#1"}, 6 * time.Second},
		{actors.Parked, []string{"1#1", "2#1", "3#1", "4#1", "1#2", "3#2", "1#3", "3#3"}, 3 * time.Second},
	} {
		t.Run(tc.ordering.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var calls tape[string]
				var last time.Duration
				start := time.Now()
				s := w.handler(actors.Config{Policy: retry, Ordering: tc.ordering}, func(ctx context.Context, ev int) error {
					a := attempt(ctx)
					calls.add(fmt.Sprintf("%d#%d", ev, a))
					last = time.Since(start)
					switch {
					case ev%2 == 0 || a == 3:
						return nil
					case a == 1:
						return errBoom
					}
					panic("boom")
				})
				s.publish(1, 2, 3, 4)
				time.Sleep(time.Hour)
				s.wantState(actors.StateIdle)
				want(t, "calls", calls.all(), tc.want)
				if last != tc.took {
					t.Errorf("took %v, want %v", last, tc.took)
				}
				s.wantCounts(actors.Counts{Deliveries: 4, Done: 4, Failures: 4, Retries: 4, Restarts: 2})
			})
		})
	}
}

func TestOrderedHeadHoldsBackWhatIsPublishedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls tape[int]
		s := w.handler(actors.Config{Policy: retry}, func(ctx context.Context, ev int) error {
			calls.add(ev)
			if ev == 1 && attempt(ctx) == 1 {
				return errBoom
			}
			return nil
		})
		s.publish(1)
		s.wantState(actors.StateRetryWait)
		s.publish(2)
		s.wantState(actors.StateRetryWait)
		s.wantCounts(actors.Counts{Deliveries: 2, Queued: 1, RetryWait: 1, Failures: 1})
		time.Sleep(time.Second)
		s.wantState(actors.StateIdle)
		want(t, "calls", calls.all(), []int{1, 1, 2})
	})
}

func TestParkedWaitsLikeOrderedBeyondMaxParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls tape[string]
		s := w.handler(actors.Config{Policy: retry, Ordering: actors.Parked, MaxParked: 2}, func(ctx context.Context, ev int) error {
			calls.add(fmt.Sprintf("%d#%d", ev, attempt(ctx)))
			if attempt(ctx) == 1 {
				return errBoom
			}
			return nil
		})
		s.publish(1, 2, 3, 4)
		s.wantState(actors.StateRetryWait)
		s.wantCounts(actors.Counts{Deliveries: 4, Queued: 1, RetryWait: 3, Failures: 3})
		want(t, "calls", calls.all(), []string{"1#1", "2#1", "3#1"})
		time.Sleep(time.Minute)
		s.wantState(actors.StateIdle)
		s.wantCounts(actors.Counts{Deliveries: 4, Done: 4, Failures: 4, Retries: 4})
	})
}

func TestParkedEventsDoNotHoldBackPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: retry, Ordering: actors.Parked, Capacity: 1}, func(ctx context.Context, _ int) error {
			if attempt(ctx) == 1 {
				return errBoom
			}
			return nil
		})
		for i := range 500 {
			s.publish(i)
		}
		time.Sleep(time.Second)
		s.wantCounts(actors.Counts{Deliveries: 500, Done: 500, Failures: 500, Retries: 500})
	})
}

// ended collects what redeliveries are told.
type ended struct{ tape[string] }

func (e *ended) redelivery(letter string, budget int) *actors.Redelivery {
	return &actors.Redelivery{LetterID: letter, Number: 1, Budget: budget, Ended: func(dropped string, err error) {
		e.add(fmt.Sprintf("%s %q %v", letter, dropped, err))
	}}
}

func (s *subject) redeliver(ev int, r *actors.Redelivery) error {
	return s.Redeliver(ev, 77, time.Time{}, map[string]string{"k": "v"}, r)
}

func TestRedeliveryHasItsFactsAndItsOwnBudget(t *testing.T) {
	for _, tc := range []struct {
		budget, attempts int
		took             time.Duration
	}{
		{0, 3, 3 * time.Second}, {1, 1, 0}, {2, 2, time.Second}, {5, 5, 15 * time.Second},
	} {
		t.Run(fmt.Sprint(tc.budget), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var calls tape[actors.Delivery]
				var ends ended
				var took time.Duration
				start := time.Now()
				s := w.handler(actors.Config{Policy: retry}, func(ctx context.Context, ev int) error {
					d, _ := actors.DeliveryFrom(ctx)
					calls.add(d)
					took = time.Since(start)
					return errBoom
				})
				if err := s.redeliver(1, ends.redelivery("l1", tc.budget)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				w.wantLetters("1 " + supervisor.ReasonExhausted)
				for i, d := range calls.all() {
					if d.Sequence != 77 || d.LetterID != "l1" || d.Attempt != i+1 || d.Headers["k"] != "v" {
						t.Errorf("delivery = %+v", d)
					}
				}
				if calls.len() != tc.attempts || took != tc.took {
					t.Errorf("%d attempts in %v, want %d in %v", calls.len(), took, tc.attempts, tc.took)
				}
				if r := w.sink.all()[0].Redelivery; r == nil || r.LetterID != "l1" {
					t.Errorf("Dead.Redelivery = %+v", r)
				}
				want(t, "Ended", ends.all(), nil) // another dead letter
				s.wantCounts(actors.Counts{Deliveries: 1, DeadLettered: 1, Redelivered: 1, Failures: uint64(tc.attempts), Retries: uint64(tc.attempts - 1)})
			})
		})
	}
}

func TestRedeliveryTellsHowItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var ends ended
		s := w.handler(actors.Config{Policy: retry}, func(ctx context.Context, ev int) error {
			switch {
			case ev == 2:
				return supervisor.Skip(errBoom)
			case ev == 3 && attempt(ctx) == 1:
				panic("boom")
			case ev == 4:
				return supervisor.ErrFinished
			}
			return nil
		})
		for ev := 1; ev <= 4; ev++ {
			if err := s.redeliver(ev, ends.redelivery(fmt.Sprint("l", ev), 0)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		s.Pause()
		s.wantState(actors.StatePaused)
		if err := s.redeliver(5, ends.redelivery("l5", 0)); err != nil {
			t.Fatal(err)
		}
		s.wantCounts(actors.Counts{Deliveries: 5, Done: 3, Dropped: map[string]uint64{supervisor.ReasonSkipped: 1}, Queued: 1,
			Redelivered: 5, Failures: 2, Retries: 1, Restarts: 2, Pauses: 1})
		s.Stop(actors.Discard, supervisor.ReasonUnsubscribed)
		<-s.Done()
		want(t, "Ended", ends.all(), []string{
			`l1 "" <nil>`, `l2 "skipped" boom`, `l3 "" <nil>`, `l4 "" <nil>`, `l5 "unsubscribed" actors: stopped`})
		wantErr(t, "Redeliver after Stop", s.redeliver(6, nil), actors.ErrStopped)
	})
}

// Under Ordered, redeliveries are handled in their order: those behind one that waits
// for its next attempt wait, too, and what the log has does not. Under Parked they go
// on.
func TestRedeliveriesWaitForTheOneBeforeThem(t *testing.T) {
	for ordering, wanted := range map[actors.Ordering][]string{
		actors.Ordered: {"1#1", "2#1", "10#1", "11#1", "12#1", "12#2", "2#2", "3#1", "4#1", "4#2", "5#1"},
		actors.Parked:  {"1#1", "2#1", "3#1", "4#1", "5#1", "10#1", "11#1", "12#1"},
	} {
		t.Run(fmt.Sprint(ordering), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var calls tape[string]
				s := w.handler(actors.Config{Policy: retry, Ordering: ordering}, func(ctx context.Context, ev int) error {
					calls.add(fmt.Sprintf("%d#%d", ev, attempt(ctx)))
					if ev%2 == 0 && ev != 10 && attempt(ctx) == 1 {
						return errBoom
					}
					return nil
				})
				s.Pause()
				for ev := 1; ev <= 5; ev++ {
					if err := s.redeliver(ev, &actors.Redelivery{}); err != nil {
						t.Fatal(err)
					}
				}
				s.Resume()
				synctest.Wait()
				s.publish(10, 11, 12)
				synctest.Wait()
				if room := s.RedeliveryRoom(); ordering == actors.Ordered && room != actors.DefaultCapacity-3 {
					t.Errorf("room for %d redeliveries, want for all but 3", room)
				}
				time.Sleep(time.Minute)
				s.wantState(actors.StateIdle)
				got := calls.all()
				if ordering == actors.Parked {
					got = got[:len(wanted)] // second attempts follow in the order of their delays
				}
				want(t, "calls", got, wanted)
			})
		})
	}
}

// A redelivery does not hold up the line, not even under Ordered, nor does it
// overtake the event at its head.
func TestRedeliveryKeepsOutOfTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls tape[string]
		s := w.handler(actors.Config{Policy: retry}, func(ctx context.Context, ev int) error {
			calls.add(fmt.Sprintf("%d#%d", ev, attempt(ctx)))
			if ev%2 == 1 && attempt(ctx) == 1 {
				return errBoom
			}
			return nil
		})
		if err := s.redeliver(1, &actors.Redelivery{}); err != nil {
			t.Fatal(err)
		}
		s.wantState(actors.StateIdle)
		time.Sleep(time.Second / 2)
		s.publish(2, 3)
		synctest.Wait()
		if err := s.redeliver(4, &actors.Redelivery{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.wantState(actors.StateIdle)
		want(t, "calls", calls.all(), []string{"1#1", "2#1", "3#1", "3#2", "1#2", "4#1"})
	})
}

func TestRedeliveriesAreBoundedByTheCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Capacity: 3}, func(context.Context, int) error { return nil })
		s.Pause()
		for i := range 3 {
			if err := s.redeliver(i, nil); err != nil && i < 3 {
				t.Fatal(err)
			}
		}
		var full *mailbox.FullError
		if err := s.redeliver(4, nil); !errors.As(err, &full) || full.Capacity != 3 || full.Mailbox != "topic/subject" {
			t.Errorf("Redeliver = %v, want a FullError", err)
		}
		s.wantCounts(actors.Counts{Deliveries: 3, Queued: 3, Redelivered: 3, Pauses: 1})
		s.Resume()
		s.wantCounts(actors.Counts{Deliveries: 3, Done: 3, Redelivered: 3, Pauses: 1})
	})
}

func TestRedeliveryThatTheSinkLosesIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, nil, actors.Observer{})
		var ends ended
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { return errBoom })
		_ = s.redeliver(1, ends.redelivery("l1", 0))
		synctest.Wait()
		want(t, "Ended", ends.all(), []string{`l1 "dead_letters_unavailable" boom`})
	})
}

func TestHistoryKeepsTheFirstAttemptAndTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: 50, BaseDelay: time.Second}}},
			func(context.Context, int) error { return errBoom })
		s.publish(1)
		time.Sleep(24 * time.Hour)
		w.wantLetters("1 " + supervisor.ReasonExhausted)
		d := w.sink.all()[0]
		if d.AttemptCount != 50 || len(d.Attempts) != 20 || d.Attempts[0].Number != 1 || d.Attempts[1].Number != 32 || d.Attempts[19].Number != 50 {
			t.Errorf("attempts = %+v", d.Attempts)
		}
		if !slices.IsSortedFunc(d.Attempts, func(a, b actors.Attempt) int { return a.Started.Compare(b.Started) }) {
			t.Errorf("attempts out of order")
		}
	})
}

// Events of an overflow policy that keeps them itself are retried, dead-lettered
// and accounted for like any other.
func TestOverflowPolicies(t *testing.T) {
	for _, tc := range []struct {
		overflow mailbox.Overflow
		handled  []int
		drop     string
		letters  []string
	}{
		{mailbox.DropOldest, []int{0, 0, 8, 8, 9, 9}, actors.ReasonOverflowOldest, nil},
		{mailbox.DropNewest, []int{0, 0, 1, 1, 2, 2}, actors.ReasonOverflowNewest, nil},
		{mailbox.Latest, []int{0, 0, 9, 9}, actors.ReasonSuperseded, nil},
		{mailbox.DeadLetter, []int{0, 0, 1, 1, 2, 2}, "", []string{"3 overflow", "4 overflow", "5 overflow", "6 overflow", "7 overflow", "8 overflow", "9 overflow"}},
	} {
		for _, timeout := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(tc.overflow, timeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var handled tape[int]
					release := make(chan struct{})
					s := w.handler(actors.Config{Policy: retry, Capacity: 2, Overflow: tc.overflow, Timeout: timeout}, func(ctx context.Context, ev int) error {
						handled.add(ev)
						if d, _ := actors.DeliveryFrom(ctx); d.Sequence != uint64(ev+1) || d.PublishedAt.IsZero() {
							t.Errorf("delivery of %d = %+v", ev, d)
						}
						<-release
						if attempt(ctx) == 1 {
							return errBoom
						}
						return nil
					})
					s.publish(0)
					synctest.Wait()
					s.publish(1, 2, 3, 4, 5, 6, 7, 8, 9)
					s.wantState(actors.StateRunning)
					close(release)
					time.Sleep(time.Minute)
					s.wantState(actors.StateIdle)
					want(t, "handled", handled.all(), tc.handled)
					w.wantLetters(tc.letters...)
					n := s.Counts()
					lost := 10 - uint64(len(tc.handled)/2) - uint64(len(tc.letters))
					if n.Deliveries != 10 || n.Done != uint64(len(tc.handled)/2) || n.Dropped[tc.drop] != lost {
						t.Errorf("Counts = %+v", n)
					}
					var told uint64
					for _, e := range w.seen.of("Dropped") {
						told += e.Count
					}
					if told != lost {
						t.Errorf("Dropped was told of %d, want %d", told, lost)
					}
				})
			})
		}
	}
}

func TestOverflowWithoutRoomForLettersIsCounted(t *testing.T) {
	for name, sink := range map[string]*graveyard{"full": {full: true}, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *subject
				w := newWorldWith(t, sink, actors.Observer{Dropped: func(actors.Event) {
					s.Counts() // an observer may look
				}})
				s = w.handler(actors.Config{Capacity: 1, Overflow: mailbox.DeadLetter}, func(context.Context, int) error { return nil })
				s.Pause()
				s.publish(1, 2, 3)
				s.wantCounts(actors.Counts{Deliveries: 3, Queued: 1, Pauses: 1, Dropped: map[string]uint64{actors.ReasonDeadLettersUnavailable: 2}})
				s.Resume()
				synctest.Wait()
				if l := w.seen.of("Dropped"); len(l) == 0 || l[0].Reason != actors.ReasonDeadLettersUnavailable {
					t.Errorf("Dropped = %+v", l)
				}
			})
		})
	}
}

func TestKeyThatPanicsIsAFaultAndNoHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.cell(actors.CellConfig[int]{
			Config:  actors.Config{Overflow: mailbox.Latest, Capacity: 10},
			Key:     func(int) string { panic(errBoom) },
			Receive: func(context.Context, int) error { return nil },
		})
		s.publish(1)
		synctest.Wait()
		s.publish(2)
		s.wantState(actors.StateIdle)
		s.wantCounts(actors.Counts{Deliveries: 2, Done: 2})
		if l := w.seen.of("Fault"); len(l) == 0 || !errors.Is(l[0].Err, errBoom) {
			t.Errorf("Fault = %+v", l)
		}
	})
}

func TestDrainingWithNothingLeftEndsAlsoWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		paused := w.member("paused", nil, supervisor.Policy{})
		paused.Pause()
		paused.Stop(actors.Drain, "test")
		<-paused.Done()

		cooling := w.member("cooling", nil, tight(supervisor.ExceedPause))
		cooling.publish(-1, -2, -3)
		cooling.wantState(actors.StateCooldown)
		cooling.Stop(actors.Drain, "test")
		<-cooling.Done()
	})
}

// A redelivery whose handler succeeds after it was given up is a dead letter again, and
// nothing else: its success counts for as little as that of any other call that is late.
func TestRedeliveryThatSucceedsLateHasNotSucceeded(t *testing.T) {
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprint("together=", together), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var ends ended
				late := func() error {
					time.Sleep(time.Hour)
					return nil
				}
				cfg := actors.CellConfig[int]{Config: actors.Config{Policy: retry, Timeout: time.Second, Grace: time.Second}}
				if together {
					cfg.Batch.Size = 10
					cfg.ReceiveBatch = func(context.Context, []int) error { return late() }
				} else {
					cfg.Receive = func(context.Context, int) error { return late() }
				}
				s := w.cell(cfg)
				if err := s.redeliver(1, ends.redelivery("l1", 1)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				w.wantLetters("1 hung")
				time.Sleep(2 * time.Hour)
				w.wantSeen("Late", 1)
				s.wantCounts(actors.Counts{Deliveries: 1, DeadLettered: 1, Redelivered: 1, Failures: 1, Restarts: 1, Abandoned: 1, Late: 1})
				want(t, "Ended", ends.all(), nil)
				if r := w.sink.all()[0].Redelivery; r == nil || r.LetterID != "l1" {
					t.Errorf("Dead.Redelivery = %+v", r)
				}
			})
		})
	}
}
