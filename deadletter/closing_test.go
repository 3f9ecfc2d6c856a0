package deadletter_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var closing = deadletter.Closing{By: "ada", At: day, Why: "done", Operation: "op", EventID: "event", PurgeAt: day.Add(time.Hour)}

var changes = map[string]func(l *deadletter.Letter) error{
	"BeginRedrive": func(l *deadletter.Letter) error { _, err := l.BeginRedrive("ada", 1, day); return err },
	"EndRedrive":   func(l *deadletter.Letter) error { return l.EndRedrive(deadletter.OutcomeDone, "", day) },
	"Resolve":      func(l *deadletter.Letter) error { return l.Resolve(closing) },
	"Archive":      func(l *deadletter.Letter) error { return l.Archive(closing) },
	"Delete":       func(l *deadletter.Letter) error { return l.Delete(closing) },
	"Restore":      func(l *deadletter.Letter) error { return l.Restore() },
	"Snooze":       func(l *deadletter.Letter) error { return l.Snooze(day.Add(time.Hour)) },
}

// in leads a new letter into a state.
var ways = map[deadletter.State][]string{
	deadletter.StateOpen:      nil,
	deadletter.StateRedriving: {"BeginRedrive"},
	deadletter.StateResolved:  {"Resolve"},
	deadletter.StateArchived:  {"Resolve", "Archive"},
	deadletter.StateDeleted:   {"Resolve", "Archive", "Delete"},
}

// Every change in every state: where it leads, or what refuses it.
func TestStatesOfALetter(t *testing.T) {
	open, redriving, resolved, archived, deleted := deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateDeleted
	for change, want := range map[string]map[deadletter.State]any{
		"BeginRedrive": {open: redriving, redriving: deadletter.ErrNotOpen, resolved: deadletter.ErrNotOpen, archived: deadletter.ErrNotOpen, deleted: deadletter.ErrNotOpen},
		"EndRedrive":   {open: deadletter.ErrNotRedriving, redriving: resolved, resolved: deadletter.ErrNotRedriving, archived: deadletter.ErrNotRedriving, deleted: deadletter.ErrNotRedriving},
		"Resolve":      {open: resolved, redriving: deadletter.ErrNotOpen, resolved: deadletter.ErrNotOpen, archived: deadletter.ErrNotOpen, deleted: deadletter.ErrNotOpen},
		"Archive":      {open: archived, redriving: deadletter.ErrNotOpen, resolved: archived, archived: deadletter.ErrNotOpen, deleted: deadletter.ErrNotOpen},
		"Delete":       {open: deleted, redriving: deadletter.ErrNotOpen, resolved: deleted, archived: deleted, deleted: deadletter.ErrNotOpen},
		"Restore":      {open: deadletter.ErrNotClosed, redriving: deadletter.ErrNotClosed, resolved: open, archived: resolved, deleted: archived},
		"Snooze":       {open: open, redriving: deadletter.ErrNotOpen, resolved: deadletter.ErrNotOpen, archived: deadletter.ErrNotOpen, deleted: deadletter.ErrNotOpen},
	} {
		for state, want := range want {
			l := deadletter.Letter{ID: "x"}
			for _, step := range ways[state] {
				if err := changes[step](&l); err != nil {
					t.Fatal(err)
				}
			}
			before := l.Clone()
			err := changes[change](&l)
			if to, ok := want.(deadletter.State); ok {
				if err != nil || l.State != to && (to != open || l.State != "") {
					t.Errorf("%s of a letter that is %s: %v, and it is %q, want %s", change, state, err, l.State, to)
				}
				if verr := l.Validate(); verr != nil {
					t.Errorf("%s of a letter that is %s makes it invalid: %v", change, state, verr)
				}
				continue
			}
			se, ok := errors.AsType[*deadletter.StateError](err)
			if !ok || !errors.Is(err, want.(error)) || se.ID != "x" || se.State != state {
				t.Errorf("%s of a letter that is %s = %#v, want a *StateError with %v", change, state, err, want)
			}
			if !reflect.DeepEqual(l, before) {
				t.Errorf("%s of a letter that is %s has changed it, and failed", change, state)
			}
		}
	}
}

func TestRestoreGoesBackStepByStep(t *testing.T) {
	l := deadletter.Letter{ID: "x", SnoozedUntil: day.Add(time.Hour)}
	var states []deadletter.Letter
	for _, step := range []string{"Resolve", "Archive", "Delete"} {
		states = append(states, l.Clone())
		if err := changes[step](&l); err != nil {
			t.Fatal(err)
		}
		if l.Closed.By != "ada" || l.Closed.At != day || l.Closed.Why != "done" || l.Closed.Operation != "op" || l.Closed.EventID != "event" {
			t.Errorf("after %s Closed = %+v", step, l.Closed)
		}
		if purged := !l.Closed.PurgeAt.IsZero(); purged != (step == "Delete") {
			t.Errorf("after %s PurgeAt is set: %v", step, purged)
		}
	}
	if as := l.Closed.As + " " + l.Closed.Before.As + " " + l.Closed.Before.Before.As; as != "deleted archived by_hand" {
		t.Errorf("closed as %s", as)
	}
	for i := len(states) - 1; i >= 0; i-- {
		if err := l.Restore(); err != nil {
			t.Fatal(err)
		}
		l := l
		if i == 0 {
			l.State = "" // which is open
		}
		if !reflect.DeepEqual(l, states[i]) {
			t.Errorf("restored to %+v, want %+v", l, states[i])
		}
	}
	// A letter that was resolved before there were closings.
	old := deadletter.Letter{State: deadletter.StateResolved}
	if err := old.Restore(); err != nil || old.State != deadletter.StateOpen {
		t.Errorf("Restore = %v, state %s", err, old.State)
	}
}

func TestARedriveThatSucceedsCloses(t *testing.T) {
	var l deadletter.Letter
	if n, err := l.BeginRedriveFor("op-7", "grace", 2, day); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if l.Redrives[0].Operation != "op-7" {
		t.Errorf("Redrives[0] = %+v", l.Redrives[0])
	}
	at := day.Add(time.Minute)
	if err := l.EndRedrive(deadletter.OutcomeSkipped, "not for us", at); err != nil {
		t.Fatal(err)
	}
	want := &deadletter.Closing{As: deadletter.ClosedByRedrive, By: "grace", At: at, Operation: "op-7", Was: deadletter.StateOpen}
	if !reflect.DeepEqual(l.Closed, want) || !l.ResolvedAt().Equal(at) {
		t.Errorf("Closed = %+v, ResolvedAt %v, want %+v", l.Closed, l.ResolvedAt(), want)
	}
	if err := l.Restore(); err != nil || l.Closed != nil || !l.ResolvedAt().IsZero() {
		t.Errorf("Restore = %v, Closed %+v", err, l.Closed)
	}
}

func TestSnooze(t *testing.T) {
	l := deadletter.Letter{}
	if l.Snoozed(day) {
		t.Error("a letter that nobody has snoozed is")
	}
	if err := l.Snooze(day.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if !l.Snoozed(day) || l.Snoozed(day.Add(time.Hour)) {
		t.Error("a snooze holds until its time, and no longer")
	}
	if err := l.Archive(closing); err != nil || l.Snoozed(day) {
		t.Errorf("an archived letter is snoozed, %v", err)
	}
	if err := l.Restore(); err != nil || !l.Snoozed(day) {
		t.Errorf("a restored letter is not snoozed any more, %v", err)
	}
	if _, err := l.BeginRedrive("ada", 1, day); err != nil || !l.SnoozedUntil.IsZero() {
		t.Errorf("a redrive does not end the snooze, %v", err)
	}
}

func TestResolveRefusesWhatIsNoWayToResolve(t *testing.T) {
	for _, as := range []string{"", deadletter.ClosedByHand, deadletter.ClosedByEdit, deadletter.ClosedByFix} {
		l := deadletter.Letter{}
		if err := l.Resolve(deadletter.Closing{As: as}); err != nil || l.Closed.As == "" {
			t.Errorf("Resolve as %q = %v, closed %+v", as, err, l.Closed)
		}
	}
	for _, as := range []string{deadletter.ClosedByRedrive, deadletter.ClosedAsArchive, deadletter.ClosedAsDeleted, "x"} {
		l := deadletter.Letter{}
		if err := l.Resolve(deadletter.Closing{As: as}); err == nil || l.State != "" || !strings.Contains(err.Error(), "Closing.As") {
			t.Errorf("Resolve as %q = %v, state %q", as, err, l.State)
		}
	}
}

func TestClosingsThatCannotBe(t *testing.T) {
	circle := &deadletter.Closing{As: "archived"}
	circle.Before = circle
	for name, c := range map[string]*deadletter.Closing{
		"a circle":         circle,
		"an unknown state": {Was: "lost"},
		"was redriving":    {Was: deadletter.StateRedriving},
	} {
		l := deadletter.Letter{ID: "x", Closed: c}
		if err := l.Validate(); !errors.Is(err, deadletter.ErrInvalidLetter) || !strings.Contains(err.Error(), "Letter.Closed") {
			t.Errorf("Validate of %s = %v", name, err)
		}
		// These must come to an end, whatever they are given.
		l.Clone()
		l.Size()
		l.ResolvedAt()
	}
}

func TestAccountCheck(t *testing.T) {
	good := deadletter.Account{Added: 28, Open: 1, Redriving: 2, Resolved: 3, Archived: 4, Deleted: 5, Expired: 6, Dropped: 7}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		change func(*deadletter.Account)
		says   string
	}{
		{func(a *deadletter.Account) { a.Added++ }, "1 of 29 letters are not accounted for"},
		{func(a *deadletter.Account) { a.Added -= 3 }, "28 letters are accounted for, 3 more than were added"},
		{func(a *deadletter.Account) { a.Open, a.Expired = -1, 8 }, "Open is -1"},
	} {
		a := good
		tc.change(&a)
		if err := a.Check(); !errors.Is(err, deadletter.ErrAccount) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("Check() = %v, want it to say %q", err, tc.says)
		}
	}
}

func TestTimelineSpans(t *testing.T) {
	tl, err := deadletter.NewTimeline(day, day.Add(10), 3) // 3, 3 and 4 ns
	if err != nil {
		t.Fatal(err)
	}
	for ns := range 12 {
		tl.Add(day.Add(time.Duration(ns-1)), day.Add(5))
	}
	tl.Add(time.Time{}, time.Time{})
	want := []deadletter.Span{{From: day, Failed: 3}, {From: day.Add(3), Failed: 3, Resolved: 12}, {From: day.Add(6), Failed: 4}}
	if got := tl.Spans(); !reflect.DeepEqual(got, want) {
		t.Errorf("Spans() = %+v, want %+v", got, want)
	}
	if got := tl.Spark(); !reflect.DeepEqual(got, []int{3, 3, 4}) || tl.Width() != 3 {
		t.Errorf("Spark() = %v, Width() = %v", got, tl.Width())
	}
	for _, tc := range []struct {
		from, until time.Time
		n           int
		says        string
	}{
		{day, day.Add(1), 0, "spans 0: must be 1 to 1000"},
		{day, day.Add(2000), 1001, "spans 1001: must be 1 to 1000"},
		{day, day.Add(4), 5, "must be at least 5 ns after"},
		{day, day.Add(-1), 1, "must be at least 1 ns after"},
		{time.Time{}, day, 1, "must both be set"},
		{day, day.AddDate(400, 0, 0), 1, "less than 292 years"},
	} {
		if _, err := deadletter.NewTimeline(tc.from, tc.until, tc.n); !errors.Is(err, deadletter.ErrInvalidQuery) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("NewTimeline(%v, %v, %d) = %v, want it to say %q", tc.from, tc.until, tc.n, err, tc.says)
		}
	}
}
