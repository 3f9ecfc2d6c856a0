// Package deadlettertest holds the conformance suites of dead-letter stores: the
// promises of [deadletter.Store], and those of [deadletter.Ledger], as tests that
// any implementation runs.
//
//	func TestStore(t *testing.T) {
//		deadlettertest.Run(t, func(t *testing.T) deadletter.Store {
//			s := openMyStore(t.TempDir())
//			t.Cleanup(func() { s.Close() })
//			return s
//		})
//	}
package deadlettertest

import (
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// patience is how long a case may take before a call of the store counts as
// hanging. Nothing waits for it unless the store is broken.
const patience = time.Minute

// Run checks the stores that new makes against every promise of
// [deadletter.Store], one subtest each. What a failed subtest stands for is
// printed with its failure.
//
// new is called once per subtest and returns an empty store that can hold
// 2,000 small letters without giving any up. It registers with t.Cleanup what
// the store needs at the end; if the store has a Close method, one subtest
// calls it, so closing again must do no harm. Run the suite under the race
// detector as well: it then finds memory that the store shares with its
// callers even if nobody notices a wrong value.
func Run(t *testing.T, new func(t *testing.T) deadletter.Store) {
	t.Helper()
	run(t, cases(), new)
}

func run(t *testing.T, cases []testCase, new func(t *testing.T) deadletter.Store) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			failures := c.failures(new(t), patience)
			for _, f := range failures {
				t.Error(f)
			}
			if len(failures) > 0 {
				t.Log("the promise: " + c.promise)
			}
		})
	}
}

// testCase is one promise and how it is checked.
type testCase struct {
	name    string
	promise string
	run     func(r *recorder, s deadletter.Store)
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{copyCases, addCases, listCases, filterCases, searchCases, updateCases, deleteCases, contextCases, concurrencyCases} {
		all = append(all, group...)
	}
	return all
}

// failures runs the case against a store. It returns no later than after the
// time given, with the case still running if a call hangs.
func (c testCase) failures(s deadletter.Store, patience time.Duration) []string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.guard(func() { c.run(r, s) })
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		r.errorf("still running after %v: a call of the store hangs", patience)
	}
	return r.failures()
}
