package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// squad is a fleet under test: runtimes that share a store.
type squad struct {
	t     *testing.T
	store *deadlettertest.Fleet
}

func newSquad(t *testing.T) *squad {
	t.Helper()
	m, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return &squad{t, deadlettertest.NewFleet(m)}
}

// join starts a member, with a subscriber billing of topic t if there is a handler.
func (s *squad) join(handle func(context.Context, int) error, cfg ...topics.SubscriberConfig) *troupetest.Runtime {
	s.t.Helper()
	rt := troupetest.New(s.t, runtime.Config{DeadLetters: s.store, Build: "v1"})
	if handle != nil {
		topic := open[int](s.t, rt, "t")
		c := topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}}
		if len(cfg) > 0 {
			c = cfg[0]
		}
		subscribe(s.t, topic, "billing", handle, c)
	}
	return rt
}

// letters stores so many letters of billing, with the payloads 0, 1, 2, …, and returns
// their IDs.
func (s *squad) letters(n int) (ids []string) {
	s.t.Helper()
	var all []deadletter.Letter
	for i := range n {
		l := deadletter.Letter{
			ID: fmt.Sprintf("l%06d", i), Topic: "t", Subscriber: "billing", EventID: fmt.Sprint("event-", i), Node: "another",
			Payload: fmt.Append(nil, i), ContentType: "application/json", Reason: supervisor.ReasonExhausted, Error: "boom",
		}
		all, ids = append(all, l), append(ids, l.ID)
	}
	if err := s.store.Add(s.t.Context(), all); err != nil {
		s.t.Fatal(err)
	}
	return ids
}

func (s *squad) letter(id string) deadletter.Letter {
	s.t.Helper()
	l, err := s.store.Get(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

func (s *squad) wantLast(id string, state deadletter.State, outcome deadletter.Outcome, message, member string) {
	s.t.Helper()
	l := s.letter(id)
	if len(l.Redrives) == 0 {
		s.t.Fatalf("letter %s has not been redriven", id)
	}
	r := l.Redrives[len(l.Redrives)-1]
	if l.State != state || r.Outcome != outcome || !strings.Contains(r.Error, message) || r.Member != member || r.Errand != "" {
		s.t.Errorf("letter %s is %s, %+v, want %s, %s %q by %q", id, l.State, r, state, outcome, message, member)
	}
}

// beats is long enough for every member to have seen what the others have done.
const beats = 5 * runtime.FleetBeat

func TestRedriveReachesTheSubscriberWhereverItLives(t *testing.T) {
	for name, c := range map[string]struct {
		handle  func(context.Context, int) error
		state   deadletter.State
		outcome deadletter.Outcome
		message string
	}{
		"done":    {func(context.Context, int) error { return nil }, deadletter.StateResolved, deadletter.OutcomeDone, ""},
		"failed":  {func(context.Context, int) error { return errBoom }, deadletter.StateOpen, deadletter.OutcomeFailed, "boom"},
		"skipped": {func(context.Context, int) error { return supervisor.Skip(errBoom) }, deadletter.StateResolved, deadletter.OutcomeSkipped, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSquad(t)
				console := s.join(nil)
				var calls notes[string]
				worker := s.join(func(ctx context.Context, ev int) error {
					d, _ := topics.DeliveryFrom(ctx)
					calls.add(fmt.Sprint(ev, " ", d.ID(), " ", d.LetterID))
					return c.handle(ctx, ev)
				})
				time.Sleep(beats)
				id := s.letters(1)[0]
				e := &told{t: t, store: s.store}
				if err := console.Redrive(t.Context(), id, runtime.RedriveConfig{By: "ada", Ended: e.ended}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(beats)
				if got := calls.all(); len(got) != 1 || got[0] != "0 event-0 "+id {
					t.Errorf("calls = %q", got)
				}
				message := c.message
				if name == "failed" {
					message = supervisor.ReasonExhausted // as of a redrive at home
				}
				s.wantLast(id, c.state, c.outcome, message, worker.Member())
				if r := s.letter(id).Redrives[0]; r.By != "ada" {
					t.Errorf("redrive = %+v, want ada's", r)
				}
				if all := e.all(); len(all) != 1 || all[0].Outcome != c.outcome || all[0].Letter != id {
					t.Errorf("told %+v", all)
				}
			})
		})
	}
}

func TestErrandsAreTakenOnceByTheMembersThatHaveRoom(t *testing.T) {
	const many = 400
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t)
		console := s.join(nil)
		var mu sync.Mutex
		calls := map[int]int{}
		by := map[string]int{}
		for i := range 3 {
			s.join(func(_ context.Context, ev int) error {
				mu.Lock()
				calls[ev]++
				by[fmt.Sprint(i)]++
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
				return nil
			}, topics.SubscriberConfig{Capacity: 8})
		}
		time.Sleep(beats)
		ids := s.letters(many)
		e := &told{t: t, store: s.store}
		given := 0
		for given < many {
			room, _, err := console.RedriveRoom(s.letter(ids[given]), runtime.Destination{})
			if err != nil {
				t.Fatal(err)
			}
			var some []deadletter.Letter
			for _, id := range ids[given:min(many, given+room)] {
				some = append(some, s.letter(id))
			}
			for _, err := range console.RedriveLetters(t.Context(), some, runtime.RedriveConfig{Ended: e.ended}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			given += len(some)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for ev := range many {
			if calls[ev] != 1 {
				t.Errorf("event %d was handled %d times", ev, calls[ev])
			}
		}
		if len(by) != 3 {
			t.Errorf("handled by %v, want by all three", by)
		}
		for _, r := range e.all() {
			if r.Outcome != deadletter.OutcomeDone {
				t.Errorf("told %+v", r)
			}
		}
		if n := len(e.all()); n != many {
			t.Errorf("told of %d, want %d", n, many)
		}
	})
}

func TestRedriveNamesWhatNoMemberHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t)
		console := s.join(nil)
		worker := s.join(func(context.Context, int) error { return nil })
		time.Sleep(beats)
		id := s.letters(1)[0]
		err := console.Redrive(t.Context(), id, runtime.RedriveConfig{To: runtime.Destination{Topic: "t", Subscriber: "shipping"}})
		if !errors.Is(err, runtime.ErrUnknownTopic) || !strings.Contains(err.Error(), "no other member of the fleet has it") {
			t.Errorf("Redrive to nobody = %v", err)
		}
		if err := console.Redrive(t.Context(), id, runtime.RedriveConfig{Rehearse: true}); !errors.Is(err, runtime.ErrElsewhere) || !strings.Contains(err.Error(), worker.Member()) {
			t.Errorf("rehearsal = %v, want that it lives elsewhere", err)
		}
		if _, err := console.DecodeLetter(s.letter(id), runtime.Destination{}); !errors.Is(err, runtime.ErrElsewhere) {
			t.Errorf("DecodeLetter = %v, want that it lives elsewhere", err)
		}
		if l := s.letter(id); l.State != deadletter.StateOpen || len(l.Redrives) != 0 {
			t.Errorf("letter is %s, %+v", l.State, l.Redrives)
		}
		// The member leaves before it has taken the errand.
		shutdown(t, worker, time.Minute)
		e := &told{t: t, store: s.store}
		_, _, _ = console.RedriveRoom(s.letter(id), runtime.Destination{})
		if err := console.Redrive(t.Context(), id, runtime.RedriveConfig{Ended: e.ended}); err == nil {
			time.Sleep(runtime.FleetPatience + beats)
			s.wantLast(id, deadletter.StateOpen, deadletter.OutcomeAborted, "no member of the fleet has t/billing", "")
			e.want(`aborted "no member of the fleet has t/billing"`)
		} else if !errors.Is(err, runtime.ErrUnknownTopic) {
			t.Errorf("Redrive after the member left = %v", err)
		}
	})
}

func TestAnErrandThatNobodyServesAnyMoreIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t)
		console := s.join(nil)
		worker := s.join(func(context.Context, int) error { return nil })
		time.Sleep(beats)
		id := s.letters(1)[0]
		s.store.Cut(worker.Member(), true) // it attends no more, so it takes nothing
		e := &told{t: t, store: s.store}
		if err := console.Redrive(t.Context(), id, runtime.RedriveConfig{Ended: e.ended}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(runtime.FleetLease + runtime.FleetPatience/2)
		if l := s.letter(id); l.State != deadletter.StateRedriving {
			t.Errorf("letter is %s before the patience has ended", l.State)
		}
		time.Sleep(runtime.FleetPatience)
		s.wantLast(id, deadletter.StateOpen, deadletter.OutcomeAborted, "no member of the fleet has t/billing", "")
		e.want(`aborted "no member of the fleet has t/billing"`)
		// Back again, it serves.
		s.store.Cut(worker.Member(), false)
		time.Sleep(beats)
		if err := console.Redrive(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(beats)
		s.wantLast(id, deadletter.StateResolved, deadletter.OutcomeDone, "", worker.Member())
	})
}

func TestEditedEventReachesAnotherMember(t *testing.T) {
	edit := func(deadletter.Letter) (runtime.Edited, error) { return runtime.Edited{Payload: []byte("42")}, nil }
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint("fails=", fails), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSquad(t)
				console := s.join(nil)
				var calls notes[string]
				worker := s.join(func(ctx context.Context, ev int) error {
					d, _ := topics.DeliveryFrom(ctx)
					calls.add(fmt.Sprint(ev, " after ", d.CausationID()))
					if fails {
						return errBoom
					}
					return nil
				})
				time.Sleep(beats)
				id := s.letters(1)[0]
				e := &told{t: t, store: s.store}
				if err := console.Redrive(t.Context(), id, runtime.RedriveConfig{Edit: edit, Why: "typo", Ended: e.ended}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(beats)
				if got := calls.all(); len(got) != 1 || got[0] != "42 after event-0" {
					t.Errorf("calls = %q", got)
				}
				l := s.letter(id)
				if l.State != deadletter.StateResolved || l.Closed.As != deadletter.ClosedByEdit || l.Closed.Why != "typo" || string(l.Payload) != "0" {
					t.Errorf("letter is %s, %+v, payload %s", l.State, l.Closed, l.Payload)
				}
				all := e.all()
				if len(all) != 1 || all[0].EventID != l.Closed.EventID || (all[0].NewLetter != "") != fails {
					t.Fatalf("told %+v", all)
				}
				if fails {
					if n := s.letter(all[0].NewLetter); n.State != deadletter.StateOpen || string(n.Payload) != "42" || n.EventID != all[0].EventID {
						t.Errorf("the new letter is %+v", n)
					}
				}
				if r := l.Redrives[0]; r.Member != worker.Member() || r.Errand != "" {
					t.Errorf("redrive = %+v, want that of the worker", r)
				}
			})
		})
	}
}

func TestWhatIsWithheldIsNotStoredForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t)
		s.join(func(context.Context, int) error { return nil })
		redacting := troupetest.New(t, runtime.Config{DeadLetters: s.store, Redact: func(*deadletter.Letter) {}})
		time.Sleep(beats)
		id := s.letters(1)[0]
		edit := func(deadletter.Letter) (runtime.Edited, error) {
			return runtime.Edited{Payload: []byte(`"secret"`)}, nil
		}
		if err := redacting.Redrive(t.Context(), id, runtime.RedriveConfig{Edit: edit}); !errors.Is(err, runtime.ErrElsewhere) || !strings.Contains(err.Error(), "redacted") {
			t.Errorf("Redrive = %v", err)
		}
		if l := s.letter(id); len(l.Redrives) != 0 {
			t.Errorf("redrives = %+v", l.Redrives)
		}
	})
}

func TestWhatADeadMemberHadInHandIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t)
		watcher := s.join(nil)
		hangs := make(chan struct{})
		defer close(hangs)
		worker := s.join(func(context.Context, int) error { <-hangs; return nil })
		time.Sleep(beats)
		ids := s.letters(2)
		if err := worker.Redrive(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		e := &told{t: t, store: s.store}
		if err := watcher.Redrive(t.Context(), ids[1], runtime.RedriveConfig{Ended: e.ended}); err != nil {
			t.Fatal(err)
		}
		// A third one that starts touches neither: both are of members that live.
		time.Sleep(beats)
		third := s.join(nil)
		if n, err := third.RecoverRedrives(t.Context()); n != 0 || err != nil {
			t.Errorf("RecoverRedrives = %d, %v, want none", n, err)
		}
		time.Sleep(runtime.FleetLease * 2)
		for _, id := range ids {
			if l := s.letter(id); l.State != deadletter.StateRedriving || l.Redrives[0].Member != worker.Member() {
				t.Errorf("letter %s is %s, %+v while its member lives", id, l.State, l.Redrives)
			}
		}
		s.store.Cut(worker.Member(), true)
		time.Sleep(runtime.FleetLease/2 + 2*runtime.FleetBeat)
		if worker.Attending().IsZero() == watcher.Attending().IsZero() {
			t.Errorf("attending since %v and %v, want the one that is cut off to know", worker.Attending(), watcher.Attending())
		}
		time.Sleep(runtime.FleetLease/2 + beats)
		for _, id := range ids {
			s.wantLast(id, deadletter.StateOpen, deadletter.OutcomeInDoubt, "the process ended", worker.Member())
		}
		e.want(`in_doubt "the process ended before the outcome was known"`)
		if watcher.Living(worker.Member()) || !watcher.Living(third.Member()) {
			t.Error("who lives is wrong")
		}
	})
}

// A member whose store answered a take with an error although it was done has the letter
// in its name, and nothing in hand.
func TestALetterInOurNameThatWeDoNotHaveIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSquad(t)
		worker := s.join(func(context.Context, int) error { return nil })
		time.Sleep(beats)
		id := s.letters(1)[0]
		err := s.store.Update(t.Context(), id, func(l *deadletter.Letter) error {
			_, err := l.BeginRedrive("ada", 0, time.Now())
			l.Redrives[0].Member = worker.Member()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(beats)
		s.wantLast(id, deadletter.StateOpen, deadletter.OutcomeAborted, "not given", worker.Member())
	})
}

func TestOutsideOfAFleet(t *testing.T) {
	rt := troupetest.New(t, runtime.Config{})
	if rt.Member() != "" || rt.Living("x") || rt.Living("") || !rt.Attending().IsZero() {
		t.Errorf("a runtime by itself is member %q", rt.Member())
	}
}

func TestLettersNameTheBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{Build: "v1.2.3"})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) }, topics.SubscriberConfig{})
		if err := topic.Publish(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		if l := rt.Letters()[0]; l.Build != "v1.2.3" {
			t.Errorf("Build = %q", l.Build)
		}
	})
}
