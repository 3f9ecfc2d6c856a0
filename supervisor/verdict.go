package supervisor

import (
	"errors"
	"time"
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
// first, so a caller can overrule the verdict of the code it calls. Only what a
// handler returns is a verdict: a panic with a marked error is a panic.
func Permanent(err error) error { return mark(verdictPermanent, err, 0) }

// Skip marks err as a reason to drop the event: no retry, no dead letter, counted
// as dropped with reason [ReasonSkipped]. The message and the chain of err stay as
// they are. Skip(nil) is nil. For several verdicts see [Permanent].
func Skip(err error) error { return mark(verdictSkip, err, 0) }

// RetryAfter marks err as a failure to try again in d instead of the policy's
// backoff: no jitter is applied and [Retry.MaxDelay] does not cap it. A d of zero
// or less retries at once. The attempt is charged, so the last one still ends in a
// dead letter. The message and the chain of err stay as they are.
// RetryAfter(nil, d) is nil. For several verdicts see [Permanent].
func RetryAfter(err error, d time.Duration) error {
	return mark(verdictRetryAfter, err, max(d, 0))
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
func Postpone(err error, d time.Duration) error { return mark(verdictPostpone, err, max(d, 0)) }

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

// verdictError carries every kind of verdict in one type, so that one walk
// through the chain finds the outermost of any kind.
type verdictError struct {
	err   error
	delay time.Duration
	kind  verdictKind
}

func mark(kind verdictKind, err error, delay time.Duration) error {
	if err == nil {
		return nil
	}
	return &verdictError{kind: kind, err: err, delay: delay}
}

func (v *verdictError) Error() string {
	if v.kind == verdictFinished {
		return "supervisor: actor finished"
	}
	return v.err.Error()
}

func (v *verdictError) Unwrap() error { return v.err }

// verdictOf returns the verdict in err by value; the zero one if there is none.
func verdictOf(err error) verdictError {
	if v, ok := errors.AsType[*verdictError](err); ok && v != nil {
		return *v
	}
	return verdictError{}
}
