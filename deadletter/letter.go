package deadletter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxAttempts is the number of attempts a letter keeps: the first and the
// newest MaxAttempts-1. Records that grow with every failure are how dead
// letters become too large to store.
const MaxAttempts = 20

// ErrInvalidLetter is returned by Add and Update for a letter that no store
// accepts. Nothing has been changed, and trying again cannot help.
var ErrInvalidLetter = errors.New("deadletter: invalid letter")

// Letter is one delivery that failed for good: one event for one subscriber,
// with what is known about every attempt.
//
// A Letter is a plain value without locks. Copies share slices and the map
// until one of them is cloned; letters that come from a [Store] share nothing.
// All times are in UTC once a store has kept the letter.
type Letter struct {
	// ID names the letter in every store, see [NewID]. It is never empty.
	ID string `json:"id"`
	// Node names the process or host on which the delivery failed.
	Node string `json:"node,omitempty"`
	// Build is the version of the program in which it failed.
	Build string `json:"build,omitempty"`

	// Topic, Subscriber and Sequence name the delivery: the event's number in
	// its topic, and the subscriber that could not handle it.
	Topic      string `json:"topic"`
	Subscriber string `json:"subscriber"`
	Sequence   uint64 `json:"sequence"`
	// Pattern is what the subscriber is subscribed to, if not to Topic itself.
	Pattern string `json:"pattern,omitempty"`

	// Payload is the encoded event, ContentType its encoding and GoType the
	// type it was published as. PayloadError says why Payload is missing or
	// incomplete; a letter that carries one cannot be redriven as it is.
	Payload      []byte `json:"payload,omitempty"`
	ContentType  string `json:"content_type,omitempty"`
	GoType       string `json:"go_type,omitempty"`
	PayloadError string `json:"payload_error,omitempty"`
	// SchemaVersion is the version of the event's type that Payload is encoded
	// as. Zero is not known, as of letters that were written before there were
	// versions; it is read as 1.
	SchemaVersion int `json:"schema_version,omitempty"`
	// Headers travelled with the event.
	Headers map[string]string `json:"headers,omitempty"`

	// Reason says why the runtime gave up, as a short constant word such as
	// "attempts_exhausted". Cause says what the last attempt ended with, such
	// as "error" or "panic"; it is empty if no attempt was made.
	Reason string `json:"reason"`
	Cause  string `json:"cause,omitempty"`
	// Error is the message of the last attempt's error and ErrorTypes the Go
	// types of its chain, outermost first, see [ErrorTypes].
	Error      string   `json:"error,omitempty"`
	ErrorTypes []string `json:"error_types,omitempty"`
	// Stack and PanicValue are set if the last attempt panicked.
	Stack      string `json:"stack,omitempty"`
	PanicValue string `json:"panic_value,omitempty"`

	// Attempts holds the first attempt and the newest MaxAttempts-1, oldest
	// first. AttemptCount counts all that were made. Use AddAttempt.
	Attempts     []Attempt `json:"attempts,omitempty"`
	AttemptCount int       `json:"attempt_count"`

	PublishedAt   time.Time `json:"published_at,omitzero"`
	FirstFailedAt time.Time `json:"first_failed_at,omitzero"`
	LastFailedAt  time.Time `json:"last_failed_at,omitzero"`

	// Fingerprint is the same for letters that failed in the same way, see
	// [Fingerprint].
	Fingerprint string `json:"fingerprint,omitempty"`

	// State says what is left to do. Empty means open.
	State State `json:"state"`
	// Closed is set by what closes the letter: Resolve, Archive, Delete and the
	// end of a redrive that succeeds. Restore takes it back.
	Closed *Closing `json:"closed,omitempty"`
	// SnoozedUntil hides an open letter from those who look for what is to be
	// done, see Snooze.
	SnoozedUntil time.Time `json:"snoozed_until,omitzero"`
	// ImportedFrom names the file or store that the letter was imported from. It
	// is empty for a letter that was made here.
	ImportedFrom string `json:"imported_from,omitempty"`
	// Redrives holds the first redrive and the newest MaxRedrives-1, oldest
	// first. Use BeginRedrive and EndRedrive.
	Redrives []Redrive `json:"redrives,omitempty"`

	// EventID names the event, in this letter and in those of other subscribers;
	// a redrive keeps it. CausationID names the event that led to this one,
	// CorrelationID the piece of work that both belong to, which is EventID for
	// the event that it began with.
	EventID       string `json:"event_id,omitempty"`
	CausationID   string `json:"causation_id,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// Attempt is one call of the handler that did not succeed.
type Attempt struct {
	// Number counts from 1, and starts again with every redrive.
	Number int `json:"number"`
	// Redrive is the number of the redrive that made this attempt, 0 for the
	// original delivery.
	Redrive int `json:"redrive,omitempty"`
	// Started and Duration say when the handler was called and for how long
	// it ran. Duration is an integer of nanoseconds in JSON.
	Started  time.Time     `json:"started,omitzero"`
	Duration time.Duration `json:"duration_ns"`
	// Cause and Error say how the call ended.
	Cause string `json:"cause,omitempty"`
	Error string `json:"error,omitempty"`
}

// AddAttempt records a failed attempt: it is counted, it moves LastFailedAt to
// the attempt's end, and sets FirstFailedAt if that is still zero. Once there
// are MaxAttempts, the oldest but the first gives way, because how it began
// and how it stands are what explains a failure.
func (l *Letter) AddAttempt(a Attempt) {
	l.Attempts = appendBounded(l.Attempts, a, MaxAttempts)
	l.AttemptCount++
	if a.Started.IsZero() {
		return
	}
	l.LastFailedAt = a.Started.Add(a.Duration)
	if l.FirstFailedAt.IsZero() {
		l.FirstFailedAt = l.LastFailedAt
	}
}

// Clone returns a deep copy that shares no memory with l that either could
// write to.
func (l Letter) Clone() Letter {
	l.Payload = slices.Clone(l.Payload)
	l.Headers = maps.Clone(l.Headers)
	l.ErrorTypes = slices.Clone(l.ErrorTypes)
	l.Attempts = slices.Clone(l.Attempts)
	l.Redrives = slices.Clone(l.Redrives)
	l.Closed = l.Closed.clone(nil)
	return l
}

// Normalize returns a deep copy in the form in which stores keep letters: an
// empty state is open, an empty fingerprint is that of [Fingerprint], and times are
// in UTC without a monotonic reading. Stores call it; other code rarely needs to.
func (l Letter) Normalize() Letter {
	l = l.Clone()
	if l.State == "" {
		l.State = StateOpen
	}
	if l.Fingerprint == "" {
		// Or the letter would be in no group, where nobody finds it.
		l.Fingerprint = Fingerprint(l)
	}
	l.Closed = l.Closed.clone(func(c *Closing) { c.At, c.PurgeAt = utc(c.At), utc(c.PurgeAt) })
	l.SnoozedUntil = utc(l.SnoozedUntil)
	l.PublishedAt = utc(l.PublishedAt)
	l.FirstFailedAt = utc(l.FirstFailedAt)
	l.LastFailedAt = utc(l.LastFailedAt)
	for i := range l.Attempts {
		l.Attempts[i].Started = utc(l.Attempts[i].Started)
	}
	for i := range l.Redrives {
		l.Redrives[i].StartedAt = utc(l.Redrives[i].StartedAt)
		l.Redrives[i].EndedAt = utc(l.Redrives[i].EndedAt)
	}
	return l
}

// Validate reports every reason for which stores refuse the letter, as one
// error that wraps ErrInvalidLetter, or nil.
func (l Letter) Validate() error {
	var faults []error
	if l.ID == "" {
		faults = append(faults, errors.New(`Letter.ID "": must not be empty`))
	}
	if l.State != "" && !l.State.known() {
		faults = append(faults, fmt.Errorf("Letter.State %q: must be empty, %s", l.State, knownStates))
	}
	faults = append(faults, l.Closed.validate()...)
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidLetter, errors.Join(faults...))
}

// What a letter and its parts cost beyond their bytes: the structs, rounded up
// to the allocator's size classes, plus the place in a store's index.
const (
	letterOverhead  = 1024
	attemptOverhead = 128
	redriveOverhead = 240
	headerOverhead  = 64
	typeOverhead    = 16
	closingOverhead = 208
)

// Size returns about how many bytes of memory the letter takes, its place in a
// store included. It depends on the letter's content alone, so sums of it add
// up exactly.
func (l Letter) Size() int64 {
	n := letterOverhead + len(l.ID) + len(l.Node) + len(l.Build) + len(l.Topic) + len(l.Subscriber) + len(l.Pattern) +
		len(l.Payload) + len(l.ContentType) + len(l.GoType) + len(l.PayloadError) +
		len(l.Reason) + len(l.Cause) + len(l.Error) + len(l.Stack) + len(l.PanicValue) +
		len(l.Fingerprint) + len(l.State) + len(l.EventID) + len(l.CausationID) + len(l.CorrelationID) +
		len(l.ImportedFrom) + l.Closed.size()
	for k, v := range l.Headers {
		n += headerOverhead + len(k) + len(v)
	}
	for _, t := range l.ErrorTypes {
		n += typeOverhead + len(t)
	}
	for i := range l.Attempts {
		n += attemptOverhead + len(l.Attempts[i].Cause) + len(l.Attempts[i].Error)
	}
	for i := range l.Redrives {
		r := &l.Redrives[i]
		n += redriveOverhead + len(r.By) + len(r.Operation) + len(r.Outcome) + len(r.Error) + len(r.Member) + len(r.Errand)
	}
	return int64(n)
}

// appendBounded appends v and keeps the first element and the newest limit-1.
func appendBounded[T any](s []T, v T, limit int) []T {
	if len(s) >= limit {
		s = slices.Delete(s, 1, len(s)-limit+2)
	}
	return append(s, v)
}

// utc drops the monotonic reading as well: it means nothing in another
// process, and makes equal instants differ under ==.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}
