// Package eventstoretest holds the conformance suite of event stores: the promises of
// [eventstore.Store] as tests that any implementation runs.
//
//	func TestStore(t *testing.T) {
//		eventstoretest.Run(t, eventstoretest.Config{New: func(t *testing.T) eventstoretest.Open {
//			folder := t.TempDir()
//			return func(ctx context.Context) (eventstore.Store, error) { return openMyStore(ctx, folder) }
//		}})
//	}
package eventstoretest

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-go/troupe/eventstore"
)

// patience is how long a case may take before a call of the store counts as hanging.
// Nothing waits for it unless the store is broken.
const patience = time.Minute

// Open opens a store. All calls of one Open are about the same data, as if each were made
// by another process; what they return is closed by the suite.
type Open func(ctx context.Context) (eventstore.Store, error)

// Config is what the suite has to know.
type Config struct {
	// New makes the data of a store without any event. It is called once per subtest, and
	// registers with t.Cleanup what has to be done at the end.
	New func(t *testing.T) Open
	// Volatile is that nothing is left when all that were opened are closed.
	Volatile bool
}

// Run checks the stores that cfg.New makes against every promise of [eventstore.Store],
// one subtest each. What a failed subtest stands for is printed with its failure. Run
// the suite under the race detector as well: it then finds memory that the store shares
// with its callers even if nobody notices a wrong value.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			if c.durable && cfg.Volatile {
				t.Skip("the store is volatile, says its Config")
			}
			failures := c.failures(cfg.New(t), patience)
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
	durable bool // it is about stores that are not volatile
	run     func(r *recorder)
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{appendCases, readCases, followCases, liveCases, snapshotCases, checkpointCases, lifeCases} {
		all = append(all, group...)
	}
	return all
}

// failures runs the case against a store. It returns no later than after the time given,
// with the case still running if a call hangs.
func (c testCase) failures(open Open, patience time.Duration) []string {
	r := &recorder{opener: open}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.closeAll()
		r.guard(func() { c.run(r) })
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
