package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// told collects what RedriveConfig.Ended is told, and that the letter in the store
// agrees at that moment.
type told struct {
	t     *testing.T
	store deadletter.Store
	notes[runtime.Redriven]
}

func (e *told) ended(r runtime.Redriven) {
	if e.store != nil && r.Unsaved == nil {
		l, err := e.store.Get(context.Background(), r.Letter)
		if err != nil || l.State == deadletter.StateRedriving {
			e.t.Errorf("told of %+v, and letter is %s, %v", r, l.State, err)
		}
	}
	e.add(r)
}

// wantTold compares outcomes and errors.
func (e *told) want(want ...string) {
	e.t.Helper()
	var got []string
	for _, r := range e.all() {
		got = append(got, fmt.Sprintf("%s %q", r.Outcome, r.Error))
	}
	if !slices.Equal(got, want) {
		e.t.Errorf("told %q, want %q", got, want)
	}
}

func TestRedriveTellsItsOutcomeWhenItIsInTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		do   []troupetest.Action
		cfg  topics.SubscriberConfig
		want string
	}{
		"done":    {nil, topics.SubscriberConfig{}, `done ""`},
		"failed":  {[]troupetest.Action{troupetest.Fail(errBoom)}, topics.SubscriberConfig{Retry: once}, `failed "boom"`},
		"skipped": {[]troupetest.Action{troupetest.Fail(supervisor.Skip(errors.New("too old")))}, topics.SubscriberConfig{}, `skipped "too old"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, c.cfg, c.do...)
				e := &told{t: t, store: b.store.Memory}
				b.redrive(t, runtime.RedriveConfig{Ended: e.ended, Operation: "op-1"})
				l := b.letter(t)
				e.want(c.want)
				if l.Redrives[0].Operation != "op-1" {
					t.Errorf("redrive = %+v, want its operation", l.Redrives[0])
				}
			})
		})
	}
}

func TestRedriveTellsThatItsOutcomeIsNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{}, troupetest.Hang())
		e := &told{t: t}
		b.redrive(t, runtime.RedriveConfig{Ended: e.ended})
		b.h.Await(2) // or the outcome is saved before the store fails
		b.store.failUpdate(func(context.Context, string, func(*deadletter.Letter) error) error { return errBoom })
		b.h.Release()
		shutdown(t, b.Runtime, time.Minute)
		if all := e.all(); len(all) != 1 || !errors.Is(all[0].Unsaved, runtime.ErrInDoubt) || all[0].Outcome != deadletter.OutcomeDone {
			t.Errorf("told %+v, want once that it is done and not saved", all)
		}
		// The next process finds it.
		b.store.failUpdate(nil)
		next := troupetest.New(t, runtime.Config{DeadLetters: b.store})
		if n, err := next.RecoverRedrives(t.Context()); n != 1 || err != nil {
			t.Errorf("RecoverRedrives = %d, %v, want 1", n, err)
		}
		l := b.Letters()[0]
		if l.State != deadletter.StateOpen || l.Redrives[0].Outcome != deadletter.OutcomeInDoubt {
			t.Errorf("letter is %s with %+v, want open and in doubt", l.State, l.Redrives)
		}
	})
}

func TestRecoverRedrivesLeavesThoseOfThisRuntimeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{}, troupetest.Hang())
		b.redrive(t)
		b.h.Await(2)
		if n, err := b.RecoverRedrives(t.Context()); n != 0 || err != nil {
			t.Errorf("RecoverRedrives = %d, %v, want none", n, err)
		}
		b.h.Release()
		if l := b.letter(t); l.State != deadletter.StateResolved {
			t.Errorf("letter is %s, want resolved", l.State)
		}
	})
}

func TestRedriveToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{})
		other := troupetest.NewHandler[int](t)
		subscribe(t, b.topic, "other", other.Handle)
		third := open[int](t, b.Runtime, "third")
		x, y := troupetest.NewHandler[int](t), troupetest.NewHandler[int](t)
		subscribe(t, third, "x", x.Handle)
		subscribe(t, third, "y", y.Handle)
		text := open[string](t, b.Runtime, "text")
		subscribe(t, text, "s", ok[string])
		if _, err := topics.SubscribePattern(b.Runtime.Runtime, "*", "all", func(context.Context, topics.Any) error { return errBoom },
			topics.SubscriberConfig{Retry: once}); err != nil {
			t.Fatal(err)
		}
		for want, to := range map[error]runtime.Destination{
			runtime.ErrUnknownSubscriber: {Subscriber: "nobody"},
			runtime.ErrUnknownTopic:      {Topic: "nowhere"},
			runtime.ErrTypeMismatch:      {Topic: "text", Subscriber: "s"},
		} {
			wantErr(t, fmt.Sprint(to), b.Redrive(t.Context(), b.id, runtime.RedriveConfig{To: to}), want)
		}
		wantErr(t, "a pattern", b.Redrive(t.Context(), b.id, runtime.RedriveConfig{To: runtime.Destination{Topic: "*"}}), runtime.ErrUnknownTopic)

		// One that fails keeps what the letter says of its own failure.
		before := b.Letters()[0]
		e := &told{t: t, store: b.store.Memory}
		b.redrive(t, runtime.RedriveConfig{To: runtime.Destination{Topic: "*", Subscriber: "all"}, Ended: e.ended})
		b.Idle()
		e.want(`failed "boom"`)
		l, _ := b.store.Get(t.Context(), b.id)
		if l.State != deadletter.StateOpen || l.Redrives[0].Outcome != deadletter.OutcomeFailed || l.AttemptCount != before.AttemptCount || l.Fingerprint != before.Fingerprint {
			t.Errorf("letter = %+v, want it open with its own failure", l)
		}

		b.redrive(t, runtime.RedriveConfig{To: runtime.Destination{Topic: "third"}})
		b.Idle()
		if len(x.Calls()) != 1 || len(y.Calls()) != 1 || len(b.h.Calls()) != 1 {
			t.Errorf("calls = %v, %v, %v, want one of x and y", x.Calls(), y.Calls(), b.h.Calls())
		}
		if l, _ := b.store.Get(t.Context(), b.id); l.State != deadletter.StateResolved || l.Redrives[1].Error != "published to third" {
			t.Errorf("letter is %s with %+v, want it published", l.State, l.Redrives)
		}
		if err := b.store.Update(t.Context(), b.id, func(l *deadletter.Letter) error { return l.Restore() }); err != nil {
			t.Fatal(err)
		}
		b.redrive(t, runtime.RedriveConfig{To: runtime.Destination{Subscriber: "other"}})
		b.Idle()
		if calls := other.Calls(); len(calls) != 1 || calls[0].LetterID != b.id {
			t.Errorf("calls = %+v, want one of the letter", calls)
		}
	})
}

func TestRedriveOfAnEditedEvent(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroken(t, topics.SubscriberConfig{Retry: once})
			if fails {
				b.h.On(2, troupetest.Fail(errBoom))
			}
			before := b.letter(t)
			refuse := runtime.RedriveConfig{Edit: func(deadletter.Letter) (runtime.Edited, error) { return runtime.Edited{}, errBoom }}
			wantErr(t, "a refusal", b.Redrive(t.Context(), b.id, refuse), errBoom)
			refuse.Edit = func(deadletter.Letter) (runtime.Edited, error) { panic("worse") }
			if err := b.Redrive(t.Context(), b.id, refuse); err == nil || !strings.Contains(err.Error(), "worse") {
				t.Errorf("error = %v, want the panic", err)
			}
			if l := b.letter(t); len(l.Redrives) != 0 {
				t.Errorf("redrives = %+v, want none", l.Redrives)
			}
			e := &told{t: t, store: b.store.Memory}
			b.redrive(t, runtime.RedriveConfig{Ended: e.ended, By: "ada", Why: "typo", Edit: func(l deadletter.Letter) (runtime.Edited, error) {
				return runtime.Edited{Payload: []byte("2"), Headers: map[string]string{"k": "w"}}, nil
			}})
			b.Idle()
			calls := b.h.Calls()
			c := calls[len(calls)-1]
			if c.Event != 2 || c.ID() == before.EventID || c.CausationID() != before.EventID || c.CorrelationID() != before.CorrelationID || c.Headers["k"] != "w" {
				t.Errorf("call = %+v, want another event, caused by the letter's", c)
			}
			l, err := b.store.Get(t.Context(), b.id)
			if err != nil || l.State != deadletter.StateResolved || l.Closed.As != deadletter.ClosedByEdit || l.Closed.EventID != c.ID() || l.Closed.By != "ada" || l.Closed.Why != "typo" {
				t.Errorf("letter is %s: %+v, want resolved by edit", l.State, l.Closed)
			}
			if string(l.Payload) != "1" || l.Error != before.Error {
				t.Error("evidence is gone")
			}
			r := e.all()
			if len(r) != 1 || r[0].EventID != c.ID() || (r[0].NewLetter != "") != fails || (r[0].Outcome == deadletter.OutcomeFailed) != fails {
				t.Fatalf("told %+v", r)
			}
			if fails {
				n, err := b.store.Get(t.Context(), r[0].NewLetter)
				if err != nil || n.State != deadletter.StateOpen || n.EventID != c.ID() || n.CausationID != before.EventID || string(n.Payload) != "2" || len(n.Redrives) != 0 {
					t.Errorf("new letter = %+v, %v, want one of the new event", n, err)
				}
			}
		})
	}
}

func TestRehearsal(t *testing.T) {
	for name, c := range map[string]struct {
		do      troupetest.Action
		workers int
		want    string
	}{
		"succeeds": {troupetest.Fail(nil), 0, `done ""`}, "fails": {troupetest.Fail(errBoom), 0, `failed "boom"`},
		"panics": {troupetest.Panic("worse"), 0, `failed "panic: worse"`}, "skips": {troupetest.Fail(supervisor.Skip(errBoom)), 2, `skipped "boom"`},
		"fails, in a pool": {troupetest.Fail(errBoom), 2, `failed "boom"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, topics.SubscriberConfig{Rehearsal: true, Workers: c.workers}, c.do)
				before := b.letter(t)
				e := &told{t: t}
				b.redrive(t, runtime.RedriveConfig{Rehearse: true, Ended: e.ended})
				if l := b.letter(t); fmt.Sprint(l) != fmt.Sprint(before) {
					t.Errorf("letter = %+v, want it as before, %+v", l, before)
				}
				e.want(c.want)
				calls := b.h.Calls()
				if last := calls[len(calls)-1]; len(calls) != 2 || !last.Rehearsal || last.LetterID != b.id || calls[0].Rehearsal {
					t.Errorf("calls = %+v, want one that is a rehearsal", calls)
				}
				if n := counts(t, b.Runtime, "t", "s"); n.Dropped[actors.ReasonRehearsal] != 1 || n.DeadLettered != 1 || n.Done != 0 {
					t.Errorf("counts = %+v, want the rehearsal dropped", n)
				}
				b.redrive(t) // in earnest
				if l := b.letter(t); l.State != deadletter.StateResolved || l.RedriveCount() != 1 {
					t.Errorf("letter is %s with %+v, want resolved", l.State, l.Redrives)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{})
		wantErr(t, "without leave", b.Redrive(t.Context(), b.id, runtime.RedriveConfig{Rehearse: true}), runtime.ErrNoRehearsal)
		_, err := b.topic.SubscribeBatch("batch", func(context.Context, []int) error { return nil }, topics.SubscriberConfig{Rehearsal: true})
		if err == nil || !strings.Contains(err.Error(), "Rehearsal: must be without batches") {
			t.Errorf("batch = %v, want a fault of Rehearsal", err)
		}
	})
}

func TestRehearsalThatIsNotReachedIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{Rehearsal: true})
		b.sub.Pause()
		e := &told{t: t}
		b.redrive(t, runtime.RedriveConfig{Rehearse: true, Ended: e.ended})
		_ = b.sub.Unsubscribe(t.Context(), runtime.DeadLetterRest)
		b.Idle()
		e.want(`aborted "unsubscribed"`)
		if n := len(b.Letters()); n != 1 {
			t.Errorf("%d letters, want one", n)
		}
	})
}

func TestRedriveLettersSendsWhatThereIsRoomFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{Capacity: 3})
		b.h.When(fresh, troupetest.Fail(supervisor.Permanent(errBoom)))
		publish(t, b.topic, 2, 3)
		b.Idle()
		publish(t, b.topic, 4, 5)
		b.Idle()
		letters := b.Letters()
		b.sub.Pause()
		if room, at, err := b.RedriveRoom(letters[0], runtime.Destination{}); room != 3 || at.Subscriber != "s" || err != nil {
			t.Errorf("RedriveRoom = %d, %v, %v, want 3 of s", room, at, err)
		}
		e := &told{t: t, store: b.store.Memory}
		errs := b.RedriveLetters(t.Context(), append(letters, letters[0]), runtime.RedriveConfig{Ended: e.ended})
		for i, err := range errs {
			switch {
			case i < 3 && err != nil:
				t.Errorf("letter %d: %v", i, err)
			case i == 3 || i == 4:
				wantErr(t, "beyond the room", err, mailbox.ErrFull)
			case i == 5:
				wantErr(t, "named twice", err, deadletter.ErrNotOpen)
			}
		}
		if room, _, _ := b.RedriveRoom(letters[0], runtime.Destination{}); room != 0 {
			t.Errorf("room = %d, want none", room)
		}
		b.sub.Resume()
		b.Idle()
		if got := e.all(); len(got) != 3 {
			t.Errorf("told %+v, want of three", got)
		}
		for i, l := range b.Letters() {
			want := deadletter.StateResolved
			if i >= 3 {
				want = deadletter.StateOpen
			}
			if l.State != want {
				t.Errorf("letter %d is %s, want %s", i, l.State, want)
			}
		}
		if n, _ := b.RecoverRedrives(t.Context()); n != 0 {
			t.Errorf("%d redrives in doubt, want none", n)
		}
	})
}

func TestManyRedrivesOfManyOperators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{Workers: 4})
		b.h.When(fresh, troupetest.Fail(supervisor.Permanent(errBoom)))
		for i := range 200 {
			publish(t, b.topic, i+2)
		}
		b.Idle()
		letters := b.Letters()
		e := &told{t: t, store: b.store.Memory}
		var operators sync.WaitGroup
		var given notes[bool]
		for range 4 {
			operators.Go(func() {
				for some := range slices.Chunk(letters, 30) {
					for _, err := range b.RedriveLetters(t.Context(), some, runtime.RedriveConfig{Ended: e.ended}) {
						if err == nil {
							given.add(true)
						} else if !errors.Is(err, deadletter.ErrNotOpen) {
							t.Error(err)
						}
					}
				}
			})
		}
		operators.Wait()
		b.Idle()
		if len(given.all()) != len(letters) || len(e.all()) != len(letters) {
			t.Errorf("%d given back, %d told, want %d", len(given.all()), len(e.all()), len(letters))
		}
	})
}

func TestWatchHearsOfLettersAndActors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, topics.SubscriberConfig{Retry: once}, troupetest.Fail(errBoom))
		var news notes[runtime.LetterNews]
		var paused, panicked notes[string]
		stop, err := b.Watch(runtime.Watcher{
			Letters:  func(n []runtime.LetterNews) { news.add(n[0]); panic("worse") },
			Observer: runtime.Observer{Paused: func(e runtime.Event) { paused.add(e.Subscriber) }},
		})
		if err != nil {
			t.Fatal(err)
		}
		stopOther, err := b.Watch(runtime.Watcher{Letters: func(n []runtime.LetterNews) { panicked.add(n[0].ID) }})
		if err != nil {
			t.Fatal(err)
		}
		defer stopOther()
		b.redrive(t)
		b.Idle()
		b.redrive(t)
		b.Idle()
		b.h.On(4, troupetest.Fail(supervisor.Permanent(errBoom)))
		publish(t, b.topic, 2)
		b.Idle()
		synctest.Wait() // watchers are told when it is in the store
		b.sub.Pause()
		stop()
		b.sub.Resume()
		b.sub.Pause()
		var got []string
		for _, n := range news.all() {
			got = append(got, fmt.Sprintf("%s %s %s %t %s/%s", n.State, n.Outcome, n.Reason, n.ID == b.id, n.Topic, n.Subscriber))
		}
		wantSlice(t, "news", got, "open failed attempts_exhausted true t/s", "resolved done attempts_exhausted true t/s", "open  permanent false t/s")
		wantSlice(t, "paused", paused.all(), "s")
		if n := len(panicked.all()); n != 3 {
			t.Errorf("the other watcher was told %d times, want 3", n)
		}
		if _, err := b.Watch(runtime.Watcher{Observer: runtime.Observer{Handled: func(runtime.Event) {}}}); err == nil || !strings.Contains(err.Error(), "Watcher.Observer.Handled: must be nil") {
			t.Errorf("error = %v, want one that names Handled", err)
		}
	})
}
