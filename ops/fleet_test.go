package ops_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// squad is a fleet: two members with a desk and without a subscriber, and one with the
// subscriber and without a desk.
type squad struct {
	t            *testing.T
	store        *deadlettertest.Fleet
	left, right  *ops.Desk
	leftRuntime  *troupetest.Runtime
	rightRuntime *troupetest.Runtime
	worker       *world
	handled      atomic.Int64
}

func newSquad(t *testing.T, letters int) *squad {
	t.Helper()
	m, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := &squad{t: t, store: deadlettertest.NewFleet(m)}
	s.worker = newShop(t, s.store, topics.SubscriberConfig{Retry: once, Capacity: 16})
	s.worker.fail(letters)
	s.worker.does(func(context.Context, order) error {
		s.handled.Add(1)
		time.Sleep(10 * time.Millisecond)
		return nil
	})
	s.leftRuntime, s.left = s.console()
	s.rightRuntime, s.right = s.console()
	time.Sleep(3 * runtime.FleetBeat)
	return s
}

func (s *squad) console() (*troupetest.Runtime, *ops.Desk) {
	s.t.Helper()
	rt := troupetest.New(s.t, runtime.Config{DeadLetters: s.store})
	d, err := ops.New(rt.Runtime, ops.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	return rt, d
}

func (s *squad) operation(id string) deadletter.Operation {
	s.t.Helper()
	op, err := s.store.Operation(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return op
}

func (s *squad) wantDone(id string, done int) {
	s.t.Helper()
	op := s.operation(id)
	if op.State != deadletter.OperationDone || op.Items[deadletter.ItemDone] != done || len(op.Items) != 1 {
		s.t.Errorf("operation is %s with %v, want done with %d done", op.State, op.Items, done)
	}
}

func TestARedriveReachesTheSubscriberAtAnotherMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t, 100)
		p, err := s.left.Preview(t.Context(), everything(ops.Redrive{}))
		if err != nil || p.Gone != 0 || p.Left != 0 || len(p.Subscribers) != 1 || p.Subscribers[0].State != "elsewhere" {
			t.Errorf("Preview = %+v, %v", p, err)
		}
		op, err := s.left.Redrive(t.Context(), ada, everything(ops.Redrive{Steps: []float64{1, 5, 20, 100}}))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.wantDone(op.ID, 100)
		if n := s.handled.Load(); n != 100 {
			t.Errorf("%d were handled, want 100", n)
		}
		if got := s.operation(op.ID).Member; got != s.leftRuntime.Member() {
			t.Errorf("Member = %q", got)
		}
	})
}

func TestEveryDeskSteersAnOperationOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t, 200)
		op, err := s.left.Redrive(t.Context(), ada, everything(ops.Redrive{Rate: 5}))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if _, err := s.right.PauseOperation(t.Context(), ada, op.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		was := s.handled.Load()
		if was == 0 || was > 40 {
			t.Errorf("%d were handled at 5 a second until it was paused", was)
		}
		time.Sleep(time.Minute)
		if now := s.handled.Load(); now != was {
			t.Errorf("%d were handled while it was paused", now-was)
		}
		if _, err := s.right.SetRate(t.Context(), ada, op.ID, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := s.right.ResumeOperation(t.Context(), ada, op.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.wantDone(op.ID, 200)
		if _, err := s.right.CancelOperation(t.Context(), ada, op.ID); !errors.Is(err, ops.ErrConflict) {
			t.Errorf("CancelOperation of one that is done = %v", err)
		}
	})
}

func TestAnotherDeskGoesOnWithWhatADeadMemberDid(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(map[bool]string{false: "for good", true: "it comes back"}[back], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSquad(t, 300)
				op, err := s.left.Redrive(t.Context(), ada, everything(ops.Redrive{Rate: 10}))
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				s.store.Cut(s.leftRuntime.Member(), true)
				time.Sleep(runtime.FleetLease/2 + 3*runtime.FleetBeat)
				// It knows that it may be held for dead, and does nothing.
				was := s.handled.Load()
				time.Sleep(2 * runtime.FleetBeat)
				if now := s.handled.Load(); now != was {
					t.Errorf("%d were handled for a desk that may be held for dead", now-was)
				}
				time.Sleep(runtime.FleetLease)
				if got := s.operation(op.ID).Member; got != s.rightRuntime.Member() {
					t.Errorf("Member = %q, want that of the desk that lives", got)
				}
				if back {
					s.store.Cut(s.leftRuntime.Member(), false)
				}
				time.Sleep(5 * time.Minute)
				s.wantDone(op.ID, 300)
				if n := s.handled.Load(); n != 300 {
					t.Errorf("%d were handled, want 300: whom the errands went to lived", n)
				}
				for l, err := range deadletter.All(t.Context(), s.store, deadletter.Query{}) {
					if err != nil || l.State != deadletter.StateResolved {
						t.Fatalf("letter %s is %s, %v", l.ID, l.State, err)
					}
				}
			})
		})
	}
}

// A desk that starts while others are at work leaves their operations alone.
func TestADeskThatStartsLeavesTheOperationsOfOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t, 100)
		op, err := s.left.Redrive(t.Context(), ada, everything(ops.Redrive{Rate: 10}))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		s.console()
		time.Sleep(time.Second)
		if got := s.operation(op.ID); got.Member != s.leftRuntime.Member() || got.Items[deadletter.ItemInDoubt] != 0 {
			t.Errorf("operation = %+v, want as it was", got)
		}
		time.Sleep(time.Minute)
		s.wantDone(op.ID, 100)
	})
}
