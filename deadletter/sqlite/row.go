package sqlite

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter"
)

// columns are those of letter_rows that a letter is made of, in the order in which
// they are written; seq, class and state come before them.
var columns = []string{
	"id", "first_failed_at", "last_failed_at", "published_at", "resolved_at", "snoozed_until", "purge_at",
	"bytes", "attempt_count", "redrive_count", "attempts_kept", "redrives_kept", "sequence", "schema_version",
	"cause", "node", "build", "pattern", "event_id", "causation_id", "correlation_id", "imported_from",
	"content_type", "go_type", "payload_error", "closed", "error", "error_types", "panic_value",
	"headers", "payload", "stack", "odd_times",
}

var (
	letterTable  = "letter_rows (seq, class, state, " + strings.Join(columns, ", ") + ")"
	updateLetter = "UPDATE letter_rows SET class = ?, state = ?, " + strings.Join(columns, " = ?, ") + " = ? WHERE seq = ?"
	selectLetter = "SELECT l.seq, l.class, c.topic, c.subscriber, c.reason, c.fingerprint, l.state, l." + strings.Join(columns, ", l.") +
		" FROM letter_rows l JOIN classes c ON c.class = l.class "
)

// row is a letter as it is in the file.
type row struct {
	seq, class int64
	bytes      int64
	attempts   int64
	redrives   int64
	odd        []byte // see oddTimes
	letter     deadletter.Letter
}

// values makes what is written to columns. The letter is in its normal form, and
// of that size.
func values(l *deadletter.Letter, size int64, into []any) error {
	types, err := encode(l.ErrorTypes, len(l.ErrorTypes) == 0, clean(l.ErrorTypes...))
	if err != nil {
		return err
	}
	whole := true
	for k, v := range l.Headers {
		whole = whole && clean(k, v)
	}
	headers, err := encode(l.Headers, len(l.Headers) == 0, whole)
	if err != nil {
		return err
	}
	var purge time.Time
	whole = true
	for c := l.Closed; c != nil; c = c.Before {
		whole = whole && clean(c.As, c.By, c.Why, c.Operation, c.EventID)
	}
	if l.Closed != nil && l.State == deadletter.StateDeleted {
		purge = l.Closed.PurgeAt
	}
	closed, err := encode(l.Closed, l.Closed == nil, whole)
	if err != nil {
		return err
	}
	odd, err := oddTimes(l)
	if err != nil {
		return err
	}
	var payload any
	if len(l.Payload) > 0 {
		payload = l.Payload
	}
	copy(into, []any{
		l.ID, stamp(l.FirstFailedAt), stamp(l.LastFailedAt), stamp(l.PublishedAt), stamp(l.ResolvedAt()), stamp(l.SnoozedUntil), stamp(purge),
		size, l.AttemptCount, l.RedriveCount(), len(l.Attempts), len(l.Redrives), int64(l.Sequence), l.SchemaVersion,
		l.Cause, l.Node, l.Build, l.Pattern, l.EventID, l.CausationID, l.CorrelationID, l.ImportedFrom,
		l.ContentType, l.GoType, l.PayloadError, closed, l.Error, types, l.PanicValue,
		headers, payload, l.Stack, odd,
	})
	return nil
}

// scan reads what selectLetter gives.
func scan(v []any) (row, error) {
	var r row
	l := &r.letter
	i := 0
	next := func() any { i++; return v[i-1] }
	str := func() string { s, _ := next().(string); return s }
	num := func() int64 { n, _ := next().(int64); return n }
	at := func() time.Time { return timeOf(next()) }

	r.seq, r.class = num(), num()
	l.Topic, l.Subscriber, l.Reason, l.Fingerprint, l.State = str(), str(), str(), str(), deadletter.State(str())
	l.ID, l.FirstFailedAt, l.LastFailedAt, l.PublishedAt = str(), at(), at(), at()
	_, l.SnoozedUntil, _ = next(), at(), next() // resolved_at and purge_at follow from closed
	r.bytes, l.AttemptCount, _, r.attempts, r.redrives = num(), int(num()), num(), num(), num()
	l.Sequence, l.SchemaVersion = uint64(num()), int(num())
	l.Cause, l.Node, l.Build, l.Pattern, l.EventID, l.CausationID, l.CorrelationID, l.ImportedFrom = str(), str(), str(), str(), str(), str(), str(), str()
	l.ContentType, l.GoType, l.PayloadError = str(), str(), str()
	err := decode(next(), &l.Closed)
	l.Error = str()
	err = errors.Join(err, decode(next(), &l.ErrorTypes))
	l.PanicValue = str()
	err = errors.Join(err, decode(next(), &l.Headers))
	l.Payload, _ = next().([]byte)
	l.Stack = str()
	r.odd, _ = next().([]byte)
	if err != nil {
		return row{}, fmt.Errorf("letter %q: %w", l.ID, err)
	}
	return r, nil
}

// stamp is the form of times in the file: nanoseconds since 1970, NULL for the
// zero time.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}

func timeOf(v any) time.Time {
	n, ok := v.(int64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// What a time in nanoseconds can be.
var (
	minTime = time.Unix(0, math.MinInt64)
	maxTime = time.Unix(0, math.MaxInt64)
)

// nanos is a time in nanoseconds, or the nearest there is.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(minTime):
		return math.MinInt64
	case t.After(maxTime):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// allTimes are the times of a letter that are columns.
func allTimes(l *deadletter.Letter) []*time.Time {
	all := []*time.Time{&l.PublishedAt, &l.FirstFailedAt, &l.LastFailedAt, &l.SnoozedUntil}
	for i := range l.Attempts {
		all = append(all, &l.Attempts[i].Started)
	}
	for i := range l.Redrives {
		all = append(all, &l.Redrives[i].StartedAt, &l.Redrives[i].EndedAt)
	}
	return all
}

// oddTimes keeps all times of a letter that has one before 1678 or after 2262, of
// which the columns have the nearest that nanoseconds can say. Others have none.
func oddTimes(l *deadletter.Letter) (any, error) {
	all := allTimes(l)
	odd := func(t *time.Time) bool { return !t.IsZero() && (t.Before(minTime) || t.After(maxTime)) }
	if !slices.ContainsFunc(all, odd) {
		return nil, nil
	}
	exact := make([]time.Time, len(all))
	for i, t := range all {
		exact[i] = *t
	}
	return encode(exact, false, false)
}

// restore brings odd times back to a letter that is complete.
func (r *row) restore() error {
	if len(r.odd) == 0 {
		return nil
	}
	var exact []time.Time
	err := decode(r.odd, &exact)
	for i, t := range allTimes(&r.letter) {
		if i < len(exact) {
			*t = exact[i].UTC()
			if exact[i].IsZero() {
				*t = time.Time{}
			}
		}
	}
	return err
}

// encode returns the JSON text of v, which SQL can look into; or, for text that
// is no UTF-8 and which JSON would change, bytes that it cannot. Nothing is NULL.
func encode(v any, nothing, clean bool) (any, error) {
	if nothing {
		return nil, nil
	}
	if clean {
		b, err := json.Marshal(v)
		return string(b), err
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func decode(v any, into any) error {
	switch v := v.(type) {
	case string:
		return json.Unmarshal([]byte(v), into)
	case []byte:
		return gob.NewDecoder(bytes.NewReader(v)).Decode(into)
	}
	return nil
}

func clean(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}
