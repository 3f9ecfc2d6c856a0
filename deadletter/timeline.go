package deadletter

import (
	"errors"
	"fmt"
	"time"
)

// MaxSpans is the largest number of spans that a timeline can have.
const MaxSpans = 1000

// Span counts what happened in a span of time.
type Span struct {
	From     time.Time `json:"from"`
	Failed   int       `json:"failed"`
	Resolved int       `json:"resolved"`
}

// Timeline counts what happened in equal spans of time. Stores use it to answer
// Ledger.Timeline and GroupQuery.Spark in the same way. It is not safe for
// concurrent use.
type Timeline struct {
	from, until time.Time
	width       time.Duration
	spans       []Span
}

// NewTimeline divides the time from one moment until another into n spans of the
// same whole number of nanoseconds; the last one has the rest as well. Each
// begins at its From, which is in UTC, and ends before the next. An error wraps
// ErrInvalidQuery and names every fault.
func NewTimeline(from, until time.Time, n int) (*Timeline, error) {
	var faults []error
	if n < 1 || n > MaxSpans {
		faults = append(faults, fmt.Errorf("spans %d: must be 1 to %d", n, MaxSpans))
	}
	if from.IsZero() || until.IsZero() {
		faults = append(faults, errors.New("from, until: must both be set"))
	} else if d := until.Sub(from); d < time.Duration(n) {
		faults = append(faults, fmt.Errorf("until %s: must be at least %d ns after from %s", until.Format(time.RFC3339Nano), n, from.Format(time.RFC3339Nano)))
	} else if from.Add(d).Before(until) {
		faults = append(faults, fmt.Errorf("until %s: must be less than 292 years after from", until.Format(time.RFC3339Nano)))
	}
	if len(faults) > 0 {
		return nil, invalidQuery(faults...)
	}
	t := &Timeline{from: utc(from), until: utc(until), spans: make([]Span, n)}
	t.width = t.until.Sub(t.from) / time.Duration(n)
	for i := range t.spans {
		t.spans[i].From = t.from.Add(time.Duration(i) * t.width)
	}
	return t, nil
}

// Add counts a letter: when it last failed, and when it was resolved. Times
// outside of the timeline, and zero, are not counted.
func (t *Timeline) Add(failed, resolved time.Time) {
	if s := t.At(failed); s != nil {
		s.Failed++
	}
	if s := t.At(resolved); s != nil {
		s.Resolved++
	}
}

// At returns the span that the time is in, nil for a time outside.
func (t *Timeline) At(at time.Time) *Span {
	if at.Before(t.from) || !at.Before(t.until) {
		return nil
	}
	return &t.spans[min(int(at.Sub(t.from)/t.width), len(t.spans)-1)]
}

// Width is the length of each span but the last.
func (t *Timeline) Width() time.Duration { return t.width }

// Spans returns the counts, which later calls of Add change.
func (t *Timeline) Spans() []Span { return t.spans }

// Spark returns the counts of failures alone.
func (t *Timeline) Spark() []int {
	counts := make([]int, len(t.spans))
	for i := range t.spans {
		counts[i] = t.spans[i].Failed
	}
	return counts
}
