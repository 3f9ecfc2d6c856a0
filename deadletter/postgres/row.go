package postgres

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// columns are those of letter_rows, in the order in which they are written.
var columns = []string{
	"id", "topic", "subscriber", "reason", "fingerprint", "state",
	"first_failed_at", "last_failed_at", "published_at", "resolved_at", "snoozed_until", "purge_at",
	"bytes", "attempt_count", "redrive_count", "error_size",
	"cause", "node", "build", "pattern", "event_id", "causation_id", "correlation_id", "imported_from", "content_type", "go_type",
	"payload", "doc", "odd", "body",
}

var insertLetter, updateLetter = func() (insert, update string) {
	var marks, sets []string
	for i, c := range columns {
		marks = append(marks, fmt.Sprintf("$%d", i+1))
		if i > 0 {
			sets = append(sets, fmt.Sprintf("%s = $%d", c, i+1))
		}
	}
	return "INSERT INTO letter_rows (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ") ON CONFLICT (id) DO NOTHING",
		"UPDATE letter_rows SET " + strings.Join(sets, ", ") + " WHERE id = $1"
}()

// maxName is how long a text may be that an index has.
const maxName = 1000

// prepared is a letter that is ready to be written.
type prepared struct {
	letter deadletter.Letter // in its normal form
	values []any
}

// prepare makes what can be made outside of a transaction.
func (s *Store) prepare(l deadletter.Letter) (prepared, error) {
	if err := l.Validate(); err != nil {
		return prepared{}, err
	}
	p := prepared{letter: l.Normalize()}
	size := p.letter.Size()
	if size > s.cfg.MaxLetterBytes {
		return prepared{}, fmt.Errorf("%w: %d bytes in a store that takes %d", deadletter.ErrTooLarge, size, s.cfg.MaxLetterBytes)
	}
	n := &p.letter
	for _, f := range []struct{ field, value string }{
		{"ID", n.ID}, {"Topic", n.Topic}, {"Subscriber", n.Subscriber}, {"Fingerprint", n.Fingerprint},
	} {
		if len(f.value) > maxName {
			return prepared{}, fmt.Errorf("%w: Letter.%s: %d bytes, must be at most %d in this store", deadletter.ErrInvalidLetter, f.field, len(f.value), maxName)
		}
	}
	doc, odd, err := document(n)
	if err != nil {
		return prepared{}, fmt.Errorf("%w: %w", deadletter.ErrInvalidLetter, err)
	}
	var purge any
	if n.State == deadletter.StateDeleted && n.Closed != nil {
		purge = stamp(n.Closed.PurgeAt)
	}
	p.values = []any{
		raw(n.ID), raw(n.Topic), raw(n.Subscriber), raw(n.Reason), raw(n.Fingerprint), string(n.State),
		stamp(n.FirstFailedAt), stamp(n.LastFailedAt), stamp(n.PublishedAt), stamp(n.ResolvedAt()), stamp(n.SnoozedUntil), purge,
		size, int64(n.AttemptCount), int64(n.RedriveCount()), int64(len(n.Error)),
		raw(n.Cause), raw(n.Node), raw(n.Build), raw(n.Pattern), raw(n.EventID), raw(n.CausationID), raw(n.CorrelationID), raw(n.ImportedFrom),
		raw(n.ContentType), raw(n.GoType),
		n.Payload, doc, odd, indexed(n.Error, n.Payload),
	}
	return p, nil
}

// document is the letter without its payload as JSON, if that says all of it; otherwise
// as gob.
func document(l *deadletter.Letter) (doc, odd any, err error) {
	bare := *l
	bare.Payload = nil
	if b, err := json.Marshal(&bare); err == nil && !bytes.Contains(b, []byte(`\u0000`)) {
		var back deadletter.Letter
		if json.Unmarshal(b, &back) == nil && reflect.DeepEqual(back, bare) {
			return string(b), nil, nil
		}
	}
	var b bytes.Buffer
	err = gob.NewEncoder(&b).Encode(&bare)
	return nil, b.Bytes(), err
}

// selectLetter is what scan reads.
const selectLetter = "SELECT l.payload, l.doc::text, l.odd FROM letter_rows l "

func scan(row pgx.CollectableRow) (l deadletter.Letter, err error) {
	var payload, odd []byte
	var doc *string
	if err := row.Scan(&payload, &doc, &odd); err != nil {
		return l, err
	}
	if doc != nil {
		err = json.Unmarshal([]byte(*doc), &l)
	} else {
		err = gob.NewDecoder(bytes.NewReader(odd)).Decode(&l)
	}
	l.Payload = payload
	return l.Normalize(), err
}

// raw is a text as the database has it.
func raw(s string) []byte { return append([]byte{}, s...) }

func raws(all []string) [][]byte {
	list := make([][]byte, len(all))
	for i, s := range all {
		list[i] = raw(s)
	}
	return list
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}

func timeOf(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return time.Unix(0, *n).UTC()
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

// pack is gob, which says all that texts can have. Nothing is NULL.
func pack(v any, nothing bool) (any, error) {
	if nothing {
		return nil, nil
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func unpack(b []byte, into any) error {
	if b == nil {
		return nil
	}
	return gob.NewDecoder(bytes.NewReader(b)).Decode(into)
}

// indexed is the text of a letter for the search, folded as Contains folds. What is no
// UTF-8, and zero, become blanks: no needle that is looked for in it has them.
func indexed(message string, payload []byte) string {
	both := search.Fold(message) + "\n" + search.Fold(string(payload))
	return strings.ReplaceAll(strings.ToValidUTF8(both, " "), "\x00", " ")
}
