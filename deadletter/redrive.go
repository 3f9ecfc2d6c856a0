package deadletter

import (
	"errors"
	"slices"
	"time"
)

// MaxRedrives is the number of redrives a letter keeps: the first and the
// newest MaxRedrives-1. The Number of the last one counts them all.
const MaxRedrives = 20

// FreshBudget is the Budget of a redrive that may use as many attempts as the
// subscriber's retry policy grants to a new event.
const FreshBudget = 0

// ErrNotOpen is returned, inside a *StateError, by what needs an open letter:
// BeginRedrive, Resolve, Archive, Delete and Snooze. ErrNotRedriving is returned
// by EndRedrive for a letter that is not being redriven.
var (
	ErrNotOpen      = errors.New("deadletter: letter is not open")
	ErrNotRedriving = errors.New("deadletter: letter is not being redriven")
)

// State says what is left to do about a letter.
type State string

// The states of a letter. The zero State of a letter means open, and that of a
// query any.
const (
	// StateOpen is a letter that somebody has to look at.
	StateOpen State = "open"
	// StateRedriving is a letter whose event has been given back to its
	// subscriber and has no outcome yet.
	StateRedriving State = "redriving"
	// StateResolved is a letter whose event has been dealt with. Bounded
	// stores give up these first.
	StateResolved State = "resolved"
	// StateArchived is a letter that somebody has put aside, to be kept.
	StateArchived State = "archived"
	// StateDeleted is a tombstone: a letter that can be restored until its
	// Closing.PurgeAt. Queries leave it out unless they ask for it.
	StateDeleted State = "deleted"
)

// states are all states, in the order in which a bounded store gives up letters.
var states = [...]State{StateDeleted, StateResolved, StateArchived, StateOpen, StateRedriving}

const knownStates = `"open", "redriving", "resolved", "archived" or "deleted"`

func (s State) known() bool { return slices.Contains(states[:], s) }

// Outcome says how a redrive ended. It is empty while it runs.
type Outcome string

// The outcomes of a redrive.
const (
	// OutcomeDone: the handler succeeded. The letter is resolved.
	OutcomeDone Outcome = "done"
	// OutcomeSkipped: the handler chose to skip the event. The letter is
	// resolved.
	OutcomeSkipped Outcome = "skipped"
	// OutcomeFailed: the event became a dead letter again, which is this one.
	OutcomeFailed Outcome = "failed"
	// OutcomeAborted: the event was given back unhandled, because the
	// runtime, the subscriber or the operator stopped first.
	OutcomeAborted Outcome = "aborted"
	// OutcomeInDoubt: the process ended before the outcome was known. The
	// handler may have succeeded.
	OutcomeInDoubt Outcome = "in_doubt"
)

// resolves reports whether nothing is left to do after the outcome.
func (o Outcome) resolves() bool { return o == OutcomeDone || o == OutcomeSkipped }

// Redrive is one return of a letter's event to the subscriber that failed.
type Redrive struct {
	// Number counts the letter's redrives from 1.
	Number int `json:"number"`
	// By says who asked for it, and Operation which operation it is a part of, if
	// of any.
	By        string `json:"by,omitempty"`
	Operation string `json:"operation,omitempty"`
	// StartedAt and EndedAt bound it; EndedAt is zero while it runs.
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Budget is the number of attempts it may use, FreshBudget for those of
	// the retry policy.
	Budget int `json:"budget"`
	// Outcome and Error say how it ended.
	Outcome Outcome `json:"outcome,omitempty"`
	Error   string  `json:"error,omitempty"`
	// Member is the runtime that has the event, in a [Fleet].
	Member string `json:"member,omitempty"`
	// Errand is set while the event waits for a member of the fleet that has its
	// subscriber. It says where the event goes and with what, as JSON of the runtime's
	// own. Who takes it sets Member and empties it.
	Errand string `json:"errand,omitempty"`
}

// BeginRedrive moves an open letter to StateRedriving and records who sent it
// back, when, and with how many attempts. It returns the redrive's number, or
// ErrNotOpen: called inside a store's Update, it is what keeps two operators
// from sending the same event twice. A snooze ends: somebody looks at the letter.
func (l *Letter) BeginRedrive(by string, budget int, at time.Time) (number int, err error) {
	return l.BeginRedriveFor("", by, budget, at)
}

// BeginRedriveFor is BeginRedrive for an operation, which the redrive names.
func (l *Letter) BeginRedriveFor(operation, by string, budget int, at time.Time) (number int, err error) {
	if s := l.state(); s != StateOpen {
		return 0, &StateError{ID: l.ID, State: s, Err: ErrNotOpen}
	}
	number = l.RedriveCount() + 1
	l.Redrives = appendBounded(l.Redrives, Redrive{Number: number, By: by, Operation: operation, Budget: budget, StartedAt: at}, MaxRedrives)
	l.State = StateRedriving
	l.SnoozedUntil = time.Time{}
	return number, nil
}

// EndRedrive records the outcome of the redrive that runs, with a message if
// there is one, and moves the letter to StateResolved, closed in the name of who
// asked for the redrive, or back to StateOpen. It returns a *StateError that wraps
// ErrNotRedriving if none runs, so a late outcome changes nothing.
func (l *Letter) EndRedrive(outcome Outcome, message string, at time.Time) error {
	if l.State != StateRedriving || len(l.Redrives) == 0 {
		return &StateError{ID: l.ID, State: l.state(), Err: ErrNotRedriving}
	}
	r := &l.Redrives[len(l.Redrives)-1]
	r.Outcome, r.Error, r.EndedAt, r.Errand = outcome, message, at, ""
	l.State = StateOpen
	if outcome.resolves() {
		l.State = StateResolved
		l.Closed = &Closing{As: ClosedByRedrive, By: r.By, At: at, Operation: r.Operation, Was: StateOpen}
	}
	return nil
}

// RedriveCount returns how often the letter has been redriven, those that
// Redrives no longer holds included.
func (l Letter) RedriveCount() int {
	if len(l.Redrives) == 0 {
		return 0
	}
	return l.Redrives[len(l.Redrives)-1].Number
}
