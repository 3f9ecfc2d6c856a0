package supervisor

import (
	"errors"
	"time"
)

// The verdicts, for errors.Is. A handler may also return or wrap them as they
// are: fmt.Errorf("order %s: %w", id, supervisor.ErrPermanent).
//
// errors.Is tells that somebody in the chain has said so. Where several have
// contradicted each other, [IsPermanent], [IsSkip] and [RetryDelay] tell what
// counts; see [Permanent].
var (
	// ErrPermanent matches what [Permanent] and [PermanentAs] return.
	ErrPermanent error = &verdictError{kind: verdictPermanent, err: errors.New("supervisor: permanent failure")}
	// ErrSkip matches what [Skip] returns.
	ErrSkip error = &verdictError{kind: verdictSkip, err: errors.New("supervisor: event skipped")}
)

// ErrFinished is the verdict of a handler whose actor has done its work. The
// event is done and the actor ends normally, which [RestartOnFailure] and
// [RestartNever] take as its end. [RestartAlways], the default, starts a fresh
// instance, as OTP does with a permanent child. Compare with errors.Is.
var ErrFinished error = &verdictError{kind: verdictFinished}

// Permanent marks err as a failure that no further attempt can change: the event
// becomes a dead letter at once, with reason [ReasonPermanent]. The message and
// the chain of err stay as they are. Permanent(nil) is nil.
//
// Of several verdicts in one chain the outermost counts, and of joined ones the
// first that is met going through the first of them to its end, then through the
// next; so a caller can overrule the verdict of the code it calls. Only what a
// handler returns is a verdict: a panic with a marked error is a panic, also
// when it was recovered and is returned as a [*PanicError].
func Permanent(err error) error { return mark(verdictPermanent, err, "") }

// PermanentAs is [Permanent] with a reason of the caller's own, which letters can
// be searched for: a short constant word such as "invalid_order". An empty one is
// [ReasonPermanent].
func PermanentAs(reason string, err error) error { return mark(verdictPermanent, err, reason) }

// Skip marks err as a reason to drop the event: no retry, no dead letter, counted
// as dropped with reason [ReasonSkipped]. The message and the chain of err stay as
// they are. Skip(nil) is nil. For several verdicts see [Permanent].
func Skip(err error) error { return mark(verdictSkip, err, "") }

// RetryAfter marks err as a failure to try again in d instead of the policy's
// backoff: no jitter is applied and [Retry.MaxDelay] does not cap it. A d of zero
// or less retries at once. The attempt is charged, so the last one still ends in a
// dead letter. The message and the chain of err stay as they are.
// RetryAfter(nil, d) is nil. For several verdicts see [Permanent].
//
// errors.As finds it as a [*RetryAfterError].
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &RetryAfterError{Err: err, Delay: max(d, 0)}
}

// RetryAfterError is what [RetryAfter] returns. One that is made by hand counts
// as well; use it by pointer, which is how errors.As finds it.
type RetryAfterError struct {
	// Err is what went wrong. It may be nil.
	Err error
	// Delay is how long to wait. Below zero counts as zero: at once.
	Delay time.Duration
}

// Error returns the message of Err.
func (e *RetryAfterError) Error() string {
	if e == nil || e.Err == nil {
		return "supervisor: retry later"
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *RetryAfterError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// Postpone marks err as the reason why the event was not handled now, through no
// fault of its own: it is tried again in d, and this attempt is not charged, so no
// number of postponements makes it a dead letter. A d of zero or less waits
// [Retry.BaseDelay], and no postponement less than a millisecond, so that an event
// that is postponed again and again does not spin. The message and the chain of err
// stay as they are. Postpone(nil, d) is nil. For several verdicts see [Permanent].
//
// It is for what stands before the work, such as a circuit breaker. A handler that
// has begun its work returns a plain error or [RetryAfter].
func Postpone(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &verdictError{kind: verdictPostpone, err: err, delay: max(d, 0)}
}

// IsPermanent reports whether the verdict of err is [Permanent].
func IsPermanent(err error) bool { return verdictOf(err).kind == verdictPermanent }

// IsSkip reports whether the verdict of err is [Skip].
func IsSkip(err error) bool { return verdictOf(err).kind == verdictSkip }

// IsFinished reports whether the verdict of err is [ErrFinished].
func IsFinished(err error) bool { return verdictOf(err).kind == verdictFinished }

// IsPostponed reports whether the verdict of err is [Postpone].
func IsPostponed(err error) bool { return verdictOf(err).kind == verdictPostpone }

// RetryDelay returns the delay that [RetryAfter] put on err, and whether that is
// the verdict of err.
func RetryDelay(err error) (time.Duration, bool) {
	v := verdictOf(err)
	return v.delay, v.kind == verdictRetryAfter
}

type verdictKind uint8

const (
	verdictNone verdictKind = iota
	verdictPermanent
	verdictSkip
	verdictRetryAfter
	verdictPostpone
	verdictFinished
)

// verdict is what an error says about its event.
type verdict struct {
	kind   verdictKind
	delay  time.Duration
	reason string // of a permanent one, "" for the usual
}

// verdictError is an error with a verdict that has no data of its own to ask for.
type verdictError struct {
	err    error
	kind   verdictKind
	reason string        // of a permanent one
	delay  time.Duration // of a postponement
}

func mark(kind verdictKind, err error, reason string) error {
	if err == nil {
		return nil
	}
	return &verdictError{kind: kind, err: err, reason: reason}
}

func (v *verdictError) Error() string {
	if v.kind == verdictFinished {
		return "supervisor: actor finished"
	}
	return v.err.Error()
}

func (v *verdictError) Unwrap() error { return v.err }

// Is reports whether target is the sentinel of the verdict.
func (v *verdictError) Is(target error) bool {
	return target == ErrPermanent && v.kind == verdictPermanent || target == ErrSkip && v.kind == verdictSkip
}

// verdictOf returns the verdict in err; the zero one if there is none.
func verdictOf(err error) (v verdict) {
	walk(err, func(err error) (bool, bool) {
		switch e := err.(type) {
		case *verdictError:
			if e != nil {
				v = verdict{kind: e.kind, reason: e.reason, delay: e.delay}
				return true, false
			}
		case *RetryAfterError:
			if e != nil {
				v = verdict{kind: verdictRetryAfter, delay: max(e.Delay, 0)}
				return true, false
			}
		case *PanicError:
			return false, false // what it was called with is no verdict
		}
		return false, true
	})
	return v
}
