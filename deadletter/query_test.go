package deadletter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
)

func TestQueryValidateReportsEveryFault(t *testing.T) {
	for _, q := range []deadletter.Query{{}, {Limit: 1}, {Limit: deadletter.MaxLimit}, {State: deadletter.StateOpen, After: "anything"}} {
		if err := q.Validate(); err != nil {
			t.Errorf("Validate of %+v = %v, want nil", q, err)
		}
	}
	err := deadletter.Query{State: "lost", Limit: 1001}.Validate()
	if !errors.Is(err, deadletter.ErrInvalidQuery) {
		t.Fatalf("Validate() = %v, want ErrInvalidQuery", err)
	}
	for _, want := range []string{`State "lost": must be empty, "open", "redriving", "resolved", "archived" or "deleted"`, "Limit 1001: must be 0 to 1000"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %q, want it to say %q", err, want)
		}
	}
}

func TestQueryMatches(t *testing.T) {
	l := deadletter.Letter{Topic: "t", Subscriber: "s", Reason: "r", Fingerprint: "f"}
	for _, tc := range []struct {
		query deadletter.Query
		want  bool
	}{
		{deadletter.Query{}, true},
		{deadletter.Query{Topic: "t", Subscriber: "s", Reason: "r", Fingerprint: "f", State: deadletter.StateOpen}, true},
		{deadletter.Query{After: "x", Limit: 1}, true},
		{deadletter.Query{Topic: "T"}, false},
		{deadletter.Query{Subscriber: "x"}, false},
		{deadletter.Query{Reason: "x"}, false},
		{deadletter.Query{Fingerprint: "x"}, false},
		{deadletter.Query{State: deadletter.StateResolved}, false},
	} {
		if got := tc.query.Matches(&l); got != tc.want {
			t.Errorf("Matches with %+v = %v, want %v", tc.query, got, tc.want)
		}
	}
}
