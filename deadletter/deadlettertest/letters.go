package deadlettertest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// day is when the suite's letters died. The nanoseconds are part of the test.
var day = time.Date(2026, 3, 14, 3, 0, 0, 123456789, time.UTC)

// small returns a letter whose ID sorts by n.
func small(n int) deadletter.Letter {
	return deadletter.Letter{
		ID:            fmt.Sprintf("letter-%06d", n),
		Topic:         "orders.placed",
		Subscriber:    "billing",
		Sequence:      uint64(n),
		Reason:        "attempts_exhausted",
		State:         deadletter.StateOpen,
		LastFailedAt:  day,
		FirstFailedAt: day,
	}
}

// smalls returns the letters from, from+1, …, to-1.
func smalls(from, to int) []deadletter.Letter {
	var letters []deadletter.Letter
	for n := from; n < to; n++ {
		letters = append(letters, small(n))
	}
	return letters
}

// full returns a letter in which nothing is zero, with text that is easily
// mangled: a payload that is no UTF-8, quotes, markup, zero bytes, the largest
// number.
func full(id string) deadletter.Letter {
	return deadletter.Letter{
		ID:            id,
		Node:          "host-7",
		Build:         "v1.2.3",
		Topic:         "orders.placed",
		Subscriber:    "billing/eu",
		Sequence:      1<<64 - 1,
		Payload:       []byte("{\"id\":9007199254740993}\x00\xff\xfe\r\n"),
		ContentType:   "application/json; charset=utf-8",
		GoType:        "shop.OrderPlaced",
		PayloadError:  "json: unsupported value: NaN",
		Headers:       map[string]string{"traceparent": "00-4bf9-01", "X-Ünïcode": "☃ \"quoted\"", "empty": ""},
		Reason:        "attempts_exhausted",
		Cause:         "panic",
		Error:         "can't <script>alert('x')</script>; DROP TABLE letters; -- %s %_\x00\n\tnext line ",
		ErrorTypes:    []string{"*fmt.wrapError", "*fs.PathError", "syscall.Errno"},
		Stack:         "goroutine 7 [running]:\nmain.bill(0xc000012345)\n\t/src/main.go:42 +0x1d\n",
		PanicValue:    "runtime error: index out of range [5] with length 3",
		AttemptCount:  41,
		PublishedAt:   day.Add(-time.Hour),
		FirstFailedAt: day.Add(-time.Minute),
		LastFailedAt:  day.Add(time.Nanosecond),
		Fingerprint:   "0123456789abcdef",
		State:         deadletter.StateRedriving,
		SchemaVersion: 3, Pattern: "orders.*",
		EventID:       "event-1",
		CausationID:   "cause-1",
		CorrelationID: "correlation-1",
		Attempts: []deadletter.Attempt{
			{Number: 1, Redrive: 1, Started: day.Add(-time.Minute), Duration: 1500 * time.Microsecond, Cause: "error", Error: "first"},
			{Number: 2, Redrive: 1, Started: day.Add(-time.Second), Duration: time.Nanosecond, Cause: "panic", Error: "second"},
		},
		Redrives: []deadletter.Redrive{
			{Number: 1, By: "ada", StartedAt: day, EndedAt: day.Add(time.Second), Budget: 1, Outcome: deadletter.OutcomeFailed, Error: "again"},
			{Number: 2, By: "grace", StartedAt: day.Add(time.Hour), EndedAt: day.Add(2 * time.Hour), Budget: 5, Outcome: deadletter.OutcomeInDoubt, Error: "?", Operation: "operation-1", Member: "web-1/2", Errand: `{"to":"é"}`},
		},
		Closed: &deadletter.Closing{
			As: deadletter.ClosedAsArchive, By: "ada", At: day.Add(3 * time.Hour), Why: "it's \"done\"", Operation: "operation-2", Was: deadletter.StateResolved, PurgeAt: day.Add(4 * time.Hour),
			Before: &deadletter.Closing{As: deadletter.ClosedByEdit, By: "grace", At: day.Add(time.Hour), EventID: "event-2", Was: deadletter.StateOpen},
		},
		SnoozedUntil: day.Add(5 * time.Hour),
		ImportedFrom: "letters \"of\" may.jsonl",
	}
}

// scribble writes to everything that a copy of the letter could share.
func scribble(l *deadletter.Letter) {
	for i := range l.Payload {
		l.Payload[i] = '#'
	}
	for k := range l.Headers {
		l.Headers[k] = "#"
	}
	if l.Headers != nil {
		l.Headers["scribbled"] = "#"
	}
	for i := range l.ErrorTypes {
		l.ErrorTypes[i] = "#"
	}
	for i := range l.Attempts {
		l.Attempts[i].Error = "#"
	}
	for i := range l.Redrives {
		l.Redrives[i].By = "#"
	}
	for c := l.Closed; c != nil; c = c.Before {
		c.By = "#"
	}
}

// difference names the fields in which a stored letter is not what was given
// to the store, "" if there are none. Empty and nil are the same.
func difference(got, want deadletter.Letter) string {
	want = want.Normalize()
	for _, l := range []*deadletter.Letter{&got, &want} {
		if len(l.Payload) == 0 {
			l.Payload = nil
		}
		if len(l.Headers) == 0 {
			l.Headers = nil
		}
		if len(l.ErrorTypes) == 0 {
			l.ErrorTypes = nil
		}
		if len(l.Attempts) == 0 {
			l.Attempts = nil
		}
		if len(l.Redrives) == 0 {
			l.Redrives = nil
		}
	}
	var diffs []string
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if a, b := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(a, b) {
			diffs = append(diffs, fmt.Sprintf("%s = %.200q, want %.200q", g.Type().Field(i).Name, fmt.Sprint(a), fmt.Sprint(b)))
		}
	}
	return strings.Join(diffs, "\n")
}

func ids(letters []deadletter.Letter) []string {
	s := make([]string, len(letters))
	for i, l := range letters {
		s[i] = l.ID
	}
	return s
}

// newestFirst returns the letters' IDs in the order of List.
func newestFirst(letters []deadletter.Letter) []string {
	s := ids(letters)
	slices.Sort(s)
	slices.Reverse(s)
	return s
}
