package eventstoretest_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/eventstoretest"
)

// TestSuiteRejects holds the suite to what must be caught, and to the case that has to
// catch it. Others may as well.
func TestSuiteRejects(t *testing.T) {
	for _, m := range []struct{ bug, caught string }{
		{"Append ignores the version", "a conflict stores nothing"},
		{"Append one by one", "an append is followed in one piece"},
		{"Append checks, then appends", "concurrent appenders do not overwrite each other"},
		{"Append makes new IDs", "an append can be repeated"},
		{"Append returns no position", "versions count the events of a stream"},
		{"a conflict does not say the version", "a conflict stores nothing"},
		{"categories are without case", "streams do not mix"},
		{"keeps the first byte of a large event", "every field comes back"},
		{"forgets metadata", "every field comes back"},
		{"Read gives one page", "Read begins after a version"},
		{"Follow takes any position", "a position that is none"},
		{"Next gives all there is", "Next gives no more than it is asked for"},
		{"leaves out an event", "from what is there to what comes"},
		{"gives an event twice", "from what is there to what comes"},
		{"takes what it does not give", "a call that is given up takes nothing"},
		{"Lag is one too many", "lag counts what is to come"},
		{"Close of a follower does nothing", "closing a follower"},
		{"gives snapshots of newer schemas", "schemas do not see each other"},
		{"an older snapshot takes the place of a newer", "the newest snapshot stays"},
		{"SaveCheckpoint overwrites", "a checkpoint moves from where it is"},
		{"Ready is always ready", "a closed store does nothing"},
	} {
		t.Run(m.bug, func(t *testing.T) {
			t.Parallel()
			failed := eventstoretest.Failures(func() eventstoretest.Open {
				s := &broken{Memory: eventstore.NewMemory(), bug: m.bug}
				return func(context.Context) (eventstore.Store, error) { return s, nil }
			}, m.caught, 2*time.Second)
			if len(failed) == 0 {
				t.Errorf("the case %q accepts a store where %s", m.caught, m.bug)
			}
		})
	}
}
