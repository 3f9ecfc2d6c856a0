package deadletter_test

import (
	"errors"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

func TestRedriveEndsInTheStateOfItsOutcome(t *testing.T) {
	for _, tc := range []struct {
		outcome deadletter.Outcome
		want    deadletter.State
	}{
		{deadletter.OutcomeDone, deadletter.StateResolved},
		{deadletter.OutcomeSkipped, deadletter.StateResolved},
		{deadletter.OutcomeFailed, deadletter.StateOpen},
		{deadletter.OutcomeAborted, deadletter.StateOpen},
		{deadletter.OutcomeInDoubt, deadletter.StateOpen},
	} {
		t.Run(string(tc.outcome), func(t *testing.T) {
			var l deadletter.Letter // an empty state is open
			n, err := l.BeginRedrive("ada", 3, day)
			if n != 1 || err != nil || l.State != deadletter.StateRedriving {
				t.Fatalf("BeginRedrive = %d, %v, State %q, want 1, nil, redriving", n, err, l.State)
			}
			if got, want := l.Redrives[0], (deadletter.Redrive{Number: 1, By: "ada", StartedAt: day, Budget: 3}); got != want {
				t.Errorf("Redrives[0] = %+v while it runs, want %+v", got, want)
			}
			if err := l.EndRedrive(tc.outcome, "why", day.Add(time.Second)); err != nil {
				t.Fatalf("EndRedrive = %v", err)
			}
			if l.State != tc.want {
				t.Errorf("State = %q, want %q", l.State, tc.want)
			}
			want := deadletter.Redrive{Number: 1, By: "ada", StartedAt: day, EndedAt: day.Add(time.Second), Budget: 3, Outcome: tc.outcome, Error: "why"}
			if got := l.Redrives[0]; got != want {
				t.Errorf("Redrives[0] = %+v, want %+v", got, want)
			}
		})
	}
}

func TestBeginRedriveRefusesALetterThatIsNotOpen(t *testing.T) {
	for _, state := range []deadletter.State{deadletter.StateRedriving, deadletter.StateResolved} {
		l := deadletter.Letter{State: state}
		if n, err := l.BeginRedrive("ada", deadletter.FreshBudget, day); n != 0 || !errors.Is(err, deadletter.ErrNotOpen) {
			t.Errorf("BeginRedrive of a letter that is %s = %d, %v, want ErrNotOpen", state, n, err)
		}
		if l.State != state || len(l.Redrives) != 0 {
			t.Errorf("the letter has changed: %+v", l)
		}
	}
}

func TestEndRedriveRefusesALateOutcome(t *testing.T) {
	var l deadletter.Letter
	if err := l.EndRedrive(deadletter.OutcomeDone, "", day); !errors.Is(err, deadletter.ErrNotRedriving) {
		t.Errorf("EndRedrive of an open letter = %v, want ErrNotRedriving", err)
	}
	if _, err := l.BeginRedrive("ada", 1, day); err != nil {
		t.Fatal(err)
	}
	if err := l.EndRedrive(deadletter.OutcomeFailed, "first", day); err != nil {
		t.Fatal(err)
	}
	if err := l.EndRedrive(deadletter.OutcomeDone, "late", day); !errors.Is(err, deadletter.ErrNotRedriving) {
		t.Errorf("the second EndRedrive = %v, want ErrNotRedriving", err)
	}
	if got := l.Redrives[0]; got.Outcome != deadletter.OutcomeFailed || got.Error != "first" || l.State != deadletter.StateOpen {
		t.Errorf("a late outcome has changed the letter: %+v", l)
	}
}

func TestRedrivesKeepTheFirstAndTheNewest(t *testing.T) {
	var l deadletter.Letter
	for n := 1; n <= 3*deadletter.MaxRedrives; n++ {
		if got, err := l.BeginRedrive("ada", 1, day); got != n || err != nil {
			t.Fatalf("BeginRedrive = %d, %v, want %d", got, err, n)
		}
		if l.RedriveCount() != n || len(l.Redrives) != min(n, deadletter.MaxRedrives) || l.Redrives[0].Number != 1 {
			t.Fatalf("after %d redrives: RedriveCount = %d, %d kept from number %d", n, l.RedriveCount(), len(l.Redrives), l.Redrives[0].Number)
		}
		if err := l.EndRedrive(deadletter.OutcomeFailed, "", day); err != nil {
			t.Fatal(err)
		}
	}
}
