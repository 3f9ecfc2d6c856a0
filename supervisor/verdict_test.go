package supervisor_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

func TestVerdictOfNilIsNil(t *testing.T) {
	for name, got := range map[string]error{
		"Permanent":  supervisor.Permanent(nil),
		"Skip":       supervisor.Skip(nil),
		"RetryAfter": supervisor.RetryAfter(nil, time.Second),
		"Postpone":   supervisor.Postpone(nil, time.Second),
	} {
		if got != nil {
			t.Errorf("%s(nil) = %v, want nil", name, got)
		}
	}
	if supervisor.IsPermanent(nil) || supervisor.IsSkip(nil) {
		t.Error("nil has a verdict, want none")
	}
	if d, ok := supervisor.RetryDelay(nil); d != 0 || ok {
		t.Errorf("RetryDelay(nil) = %v, %v, want 0s, false", d, ok)
	}
}

func TestVerdictKeepsMessageAndChain(t *testing.T) {
	cause := fmt.Errorf("parse: %w", io.ErrUnexpectedEOF)
	for name, err := range map[string]error{
		"Permanent":  supervisor.Permanent(cause),
		"Skip":       supervisor.Skip(cause),
		"RetryAfter": supervisor.RetryAfter(cause, time.Second),
		"Postpone":   supervisor.Postpone(cause, time.Second),
	} {
		if err.Error() != cause.Error() {
			t.Errorf("%s message = %q, want %q", name, err, cause)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s hides the chain of its error", name)
		}
	}
}

func TestVerdictWorksThroughWrapping(t *testing.T) {
	base := io.ErrUnexpectedEOF
	wraps := map[string]func(error) error{
		"bare":       func(err error) error { return err },
		"wrapped":    func(err error) error { return fmt.Errorf("a: %w", fmt.Errorf("b: %w", err)) },
		"joined":     func(err error) error { return errors.Join(errors.New("cleanup"), err) },
		"two %w":     func(err error) error { return fmt.Errorf("%w and %w", errors.New("x"), err) },
		"after late": func(err error) error { return errors.Join(supervisor.ErrTimeout, err) },
	}
	for name, wrap := range wraps {
		t.Run(name, func(t *testing.T) {
			permanent := wrap(supervisor.Permanent(base))
			skip := wrap(supervisor.Skip(base))
			after := wrap(supervisor.RetryAfter(base, time.Minute))
			finished := wrap(supervisor.ErrFinished)
			postponed := wrap(supervisor.Postpone(base, time.Minute))

			for i, err := range []error{permanent, skip, after, finished, postponed} {
				if got, want := supervisor.IsPostponed(err), i == 4; got != want {
					t.Errorf("IsPostponed(%v) = %v, want %v", err, got, want)
				}
				if got, want := supervisor.IsPermanent(err), i == 0; got != want {
					t.Errorf("IsPermanent(%v) = %v, want %v", err, got, want)
				}
				if got, want := supervisor.IsSkip(err), i == 1; got != want {
					t.Errorf("IsSkip(%v) = %v, want %v", err, got, want)
				}
				if d, got := supervisor.RetryDelay(err); got != (i == 2) || got && d != time.Minute {
					t.Errorf("RetryDelay(%v) = %v, %v", err, d, got)
				}
				if got, want := supervisor.IsFinished(err), i == 3; got != want {
					t.Errorf("IsFinished(%v) = %v, want %v", err, got, want)
				}
				if got, want := errors.Is(err, supervisor.ErrFinished), i == 3; got != want {
					t.Errorf("errors.Is(%v, ErrFinished) = %v, want %v", err, got, want)
				}
			}
		})
	}
}

func TestOutermostVerdictCounts(t *testing.T) {
	base := errors.New("base")
	overruled := supervisor.RetryAfter(fmt.Errorf("caller: %w", supervisor.Permanent(base)), time.Second)
	if supervisor.IsPermanent(overruled) {
		t.Error("IsPermanent = true for a Permanent that the caller overruled, want false")
	}
	if d, ok := supervisor.RetryDelay(overruled); !ok || d != time.Second {
		t.Errorf("RetryDelay = %v, %v, want 1s, true", d, ok)
	}
	if err := errors.Join(supervisor.Skip(base), supervisor.Permanent(base)); !supervisor.IsSkip(err) || supervisor.IsPermanent(err) {
		t.Error("the first of joined verdicts does not count, want it to")
	}
	if !supervisor.IsPermanent(supervisor.Permanent(supervisor.ErrFinished)) {
		t.Error("IsPermanent(Permanent(ErrFinished)) = false, want true")
	}
}

func TestRetryAfterInThePastIsNow(t *testing.T) {
	if d, ok := supervisor.RetryDelay(supervisor.RetryAfter(io.EOF, -time.Hour)); d != 0 || !ok {
		t.Errorf("RetryDelay = %v, %v, want 0s, true", d, ok)
	}
}

func TestPlainErrorsHaveNoVerdict(t *testing.T) {
	for _, err := range []error{io.EOF, supervisor.ErrTimeout, supervisor.ErrHung, supervisor.ErrGoexit, &supervisor.PanicError{Value: 1}} {
		if _, ok := supervisor.RetryDelay(err); ok || supervisor.IsPermanent(err) || supervisor.IsSkip(err) {
			t.Errorf("%v has a verdict, want none", err)
		}
	}
}
