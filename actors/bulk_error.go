package actors

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// BatchError is what a handler of batches returns that has handled some events and
// not others. Those that it names, by their index in the batch, have failed, each
// with an error of its own whose verdict counts for that event: supervisor.Permanent,
// Skip, RetryAfter. The others are done. Those that are to be tried again come as a
// smaller batch.
//
// A verdict around a BatchError is that of all events that it names. It does not
// unwrap to their errors: a verdict about one event is none about the others.
//
// The zero value is ready for use, by [BatchError.Fail] and [BatchError.Err]. An
// index with a nil error has not failed, and a BatchError that names no event is as
// good as nil. An index that is not of the batch makes it a failure of the whole
// batch.
type BatchError struct {
	Failed map[int]error
}

// Fail names the event with index i. A nil err does nothing.
func (e *BatchError) Fail(i int, err error) {
	if err == nil {
		return
	}
	if e.Failed == nil {
		e.Failed = map[int]error{}
	}
	e.Failed[i] = err
}

// Err returns e, or nil if no event has failed.
func (e *BatchError) Err() error {
	for _, err := range e.Failed {
		if err != nil {
			return e
		}
	}
	return nil
}

// maxNamed is how many events the message of a BatchError names.
const maxNamed = 3

// Error names the first events that have failed.
func (e *BatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events of the batch failed", len(e.Failed))
	for k, i := range slices.Sorted(maps.Keys(e.Failed)) {
		if k == maxNamed {
			b.WriteString("; …")
			break
		}
		fmt.Fprintf(&b, "%s %d: %v", [...]string{":", ";"}[min(k, 1)], i, e.Failed[i])
	}
	return b.String()
}

// namedBy returns the events, of n, that err names, with their errors. If it names
// none because it is no BatchError, or a wrong one, ok is false and the error is that
// of the whole batch.
func namedBy(err error, n int) (named map[int]error, ok bool, whole error) {
	defer func() {
		if recover() != nil { // of a method of err's; the policy will report it
			named, ok, whole = nil, false, err
		}
	}()
	e, found := errors.AsType[*BatchError](err)
	if !found || e == nil {
		return nil, false, err
	}
	var verdict func(error) error
	if d, after := supervisor.RetryDelay(err); after {
		verdict = func(err error) error { return supervisor.RetryAfter(err, d) }
	} else if supervisor.IsPermanent(err) {
		verdict = supervisor.Permanent
	} else if supervisor.IsSkip(err) {
		verdict = supervisor.Skip
	}
	named = map[int]error{}
	for i, failed := range e.Failed {
		switch {
		case i < 0 || i >= n:
			return nil, false, fmt.Errorf("actors: BatchError names event %d of a batch of %d: %w", i, n, err)
		case failed == nil:
		case verdict != nil:
			named[i] = verdict(failed)
		default:
			named[i] = failed
		}
	}
	return named, true, err
}

// delayOf returns the delay of supervisor.RetryAfter in err, else 0.
func delayOf(err error) (d time.Duration) {
	defer func() { _ = recover() }()
	d, _ = supervisor.RetryDelay(err)
	return d
}
