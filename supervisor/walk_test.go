package supervisor_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"pgregory.net/rapid"
)

// said is what a tree of errors says, worked out by the rule and not by a walk
// through the errors.
type said struct {
	err        error
	verdict    string // of the whole
	delay      time.Duration
	permanents int // marks anywhere
	skips      int
	panicked   *supervisor.PanicError // the first
}

// errorTree draws a tree of wrapped, joined and marked errors.
func errorTree(t *rapid.T, depth int) said {
	kinds := []string{"plain", "permanent sentinel", "skip sentinel", "finished"}
	if depth > 0 {
		kinds = append(kinds, "%w", "two %w", "join", "Permanent", "PermanentAs", "Skip", "RetryAfter", "retry by hand", "panic")
	}
	mark := func(inner said, verdict string) said {
		inner.verdict, inner.delay = verdict, 0
		return inner
	}
	join := func(a, b said) said {
		s := said{verdict: a.verdict, delay: a.delay, permanents: a.permanents + b.permanents, skips: a.skips + b.skips, panicked: a.panicked}
		if s.verdict == "" {
			s.verdict, s.delay = b.verdict, b.delay
		}
		if s.panicked == nil {
			s.panicked = b.panicked
		}
		return s
	}
	sub := func() said { return errorTree(t, depth-1) }
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "permanent sentinel":
		return said{err: supervisor.ErrPermanent, verdict: "permanent", permanents: 1}
	case "skip sentinel":
		return said{err: supervisor.ErrSkip, verdict: "skip", skips: 1}
	case "finished":
		return said{err: supervisor.ErrFinished, verdict: "finished"}
	case "%w":
		s := sub()
		s.err = fmt.Errorf("at: %w", s.err)
		return s
	case "two %w":
		a, b := sub(), sub()
		s := join(a, b)
		s.err = fmt.Errorf("%w and %w", a.err, b.err)
		return s
	case "join":
		a, b := sub(), sub()
		s := join(a, b)
		s.err = errors.Join(a.err, nil, b.err)
		return s
	case "Permanent", "PermanentAs":
		s := mark(sub(), "permanent")
		s.err = supervisor.PermanentAs("x", s.err)
		s.permanents++
		return s
	case "Skip":
		s := mark(sub(), "skip")
		s.err = supervisor.Skip(s.err)
		s.skips++
		return s
	case "RetryAfter":
		s := mark(sub(), "retry after")
		s.delay = time.Duration(rapid.IntRange(0, 5).Draw(t, "delay"))
		s.err = supervisor.RetryAfter(s.err, s.delay)
		return s
	case "retry by hand":
		s := mark(sub(), "retry after")
		s.delay = time.Duration(rapid.IntRange(0, 5).Draw(t, "delay"))
		s.err = &supervisor.RetryAfterError{Err: s.err, Delay: s.delay}
		return s
	case "panic":
		s := mark(sub(), "") // a panic has no verdict, whatever it was called with
		s.panicked = &supervisor.PanicError{Value: s.err, Stack: "stack"}
		s.err = s.panicked
		return s
	}
	return said{err: errors.New("plain")}
}

func TestVerdictOfAnyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := errorTree(t, 5)
		if got := supervisor.IsPermanent(s.err); got != (s.verdict == "permanent") {
			t.Errorf("IsPermanent = %v, want verdict %q", got, s.verdict)
		}
		if got := supervisor.IsSkip(s.err); got != (s.verdict == "skip") {
			t.Errorf("IsSkip = %v, want verdict %q", got, s.verdict)
		}
		if d, got := supervisor.RetryDelay(s.err); got != (s.verdict == "retry after") || d != s.delay {
			t.Errorf("RetryDelay = %v, %v, want verdict %q, %v", d, got, s.verdict, s.delay)
		}
		if got := errors.Is(s.err, supervisor.ErrPermanent); got != (s.permanents > 0) {
			t.Errorf("errors.Is(ErrPermanent) = %v with %d marks", got, s.permanents)
		}
		if got := errors.Is(s.err, supervisor.ErrSkip); got != (s.skips > 0) {
			t.Errorf("errors.Is(ErrSkip) = %v with %d marks", got, s.skips)
		}
		var after *supervisor.RetryAfterError
		if s.verdict == "retry after" && (!errors.As(s.err, &after) || after.Delay != s.delay) {
			t.Errorf("errors.As = %+v, want a delay of %v", after, s.delay)
		}
		if got := supervisor.PanicIn(s.err); got != s.panicked {
			t.Errorf("PanicIn = %p, want %p", got, s.panicked)
		}
		want := map[string]supervisor.Fate{
			"": supervisor.FateRetry, "permanent": supervisor.FateDeadLetter, "skip": supervisor.FateDrop,
			"retry after": supervisor.FateRetry, "finished": supervisor.FateDone,
		}[s.verdict]
		d := supervisor.Policy{}.Decision(supervisor.Failure{Err: s.err, Attempt: 1}, 0.5)
		if d.Fate != want || d.Fault != nil || s.verdict == "retry after" && d.Delay != s.delay {
			t.Errorf("Decision = %+v, want %v after %v", d, want, s.delay)
		}
	})
}

// Errors as nobody should write them.
type (
	panicsInIs     struct{}
	panicsInAs     struct{}
	panicsInUnwrap struct{}
	panicsInError  struct{}
	unwrapsToSelf  struct{}
	manySelves     struct{}
	saysYes        struct{} // to every Is
)

func (panicsInIs) Error() string      { return "is" }
func (panicsInIs) Is(error) bool      { panic("Is") }
func (panicsInAs) Error() string      { return "as" }
func (panicsInAs) As(any) bool        { panic("As") }
func (panicsInUnwrap) Error() string  { return "unwrap" }
func (panicsInUnwrap) Unwrap() error  { panic("Unwrap") }
func (panicsInError) Error() string   { panic("Error") }
func (unwrapsToSelf) Error() string   { return "self" }
func (e unwrapsToSelf) Unwrap() error { return e }
func (manySelves) Error() string      { return "selves" }
func (e manySelves) Unwrap() []error  { return []error{e, e} }
func (saysYes) Error() string         { return "yes" }
func (saysYes) Is(error) bool         { return true }

func TestVerdictSurvivesErrorsThatMisbehave(t *testing.T) {
	var typedNil *nilErr
	for name, err := range map[string]error{
		"panics in Is": panicsInIs{}, "panics in As": panicsInAs{}, "panics in Unwrap": panicsInUnwrap{},
		"panics in Error": panicsInError{}, "unwraps to itself": unwrapsToSelf{}, "unwraps to itself twice": manySelves{},
		"says yes": saysYes{}, "typed nil": typedNil,
		"nil of ours": (*supervisor.RetryAfterError)(nil), "nil panic": (*supervisor.PanicError)(nil),
		"hand-made and empty": &supervisor.RetryAfterError{Delay: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, after := err.(*supervisor.RetryAfterError)
			after = after && err.(*supervisor.RetryAfterError) != nil
			d := supervisor.Policy{}.Decision(supervisor.Failure{Err: err, Attempt: 1}, 0.5)
			if d.Fate != supervisor.FateRetry || after && d.Delay != 0 {
				t.Errorf("Decision = %+v, want a retry", d)
			}
			if p := supervisor.PanicIn(err); p != nil {
				t.Errorf("PanicIn = %v, want nil", p)
			}
			// A mark before it is seen without asking it.
			d = supervisor.Policy{}.Decision(supervisor.Failure{Err: supervisor.Permanent(err), Attempt: 1}, 0.5)
			if d.Fate != supervisor.FateDeadLetter || d.Fault != nil {
				t.Errorf("Decision of a marked one = %+v, want a dead letter", d)
			}
		})
	}
}

func TestPermanentAsNamesTheReason(t *testing.T) {
	for reason, want := range map[string]string{"invalid_order": "invalid_order", "": supervisor.ReasonPermanent} {
		err := fmt.Errorf("handler: %w", supervisor.PermanentAs(reason, errors.New("boom")))
		d := supervisor.Policy{}.Decision(supervisor.Failure{Err: err}, 0)
		if d.Fate != supervisor.FateDeadLetter || d.Reason != want {
			t.Errorf("Decision = %+v, want a dead letter, reason %s", d, want)
		}
	}
	if supervisor.PermanentAs("x", nil) != nil {
		t.Error("PermanentAs of nil is an error, want nil")
	}
}
