package deadlettertest_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
)

func TestSuiteAcceptsAPlainStore(t *testing.T) {
	deadlettertest.Run(t, func(t *testing.T) deadletter.Store { return &plain{} })
}

// What must be caught, and the case that has to catch it. Others may as well.
var mutants = []struct{ bug, caught string }{
	{"shares the payload on the way in", "Add copies"},
	{"shares the headers on the way in", "Add copies"},
	{"shares the attempts on the way in", "Add copies"},
	{"Get shares the letter", "Get and List copy"},
	{"Get shares the headers", "Get and List copy"},
	{"Get shares the error types", "Get and List copy"},
	{"Get shares the redrives", "Get and List copy"},
	{"List shares the letter", "Get and List copy"},
	{"List shares the headers", "Get and List copy"},
	{"List shares the redrives", "Get and List copy"},
	{"Update gives a shallow copy", "Update copies"},
	{"Update keeps what fn made", "Update copies"},

	{"shares the closing on the way in", "Add copies"},
	{"Get shares the closing", "Get and List copy"},
	{"List shares the closing", "Get and List copy"},
	{"keeps the zone of a closing", "times are in UTC"},
	{"keeps the last closing only", "every field comes back"},
	{"keeps letters without a fingerprint", "a letter without a fingerprint gets one"},

	{"List shows tombstones", "deleted letters are hidden"},
	{"List hides what is archived", "deleted letters are hidden"},
	{"List ignores Where", "a search finds what matches"},
	{"a quick total is a guess", "a quick search finds the same"},
	{"a quick page is short", "a quick search finds the same"},
	{"search is about case", "a search finds what matches"},
	{"search reads payload numbers as float64", "a search is exact"},
	{"searches for what letters were", "a search finds what matches now"},
	{"searches as of the call", "ages are as of Now"},
	{"List takes any expression", "a wrong search is refused"},

	{"keeps an empty state", "an empty state is open"},
	{"keeps milliseconds", "every field comes back"},
	{"keeps the zone", "times are in UTC"},
	{"keeps the zone of a redrive", "times are in UTC"},
	{"keeps the payload as text", "every field comes back"},
	{"cuts payloads at 64 KiB", "a large payload comes back"},
	{"trims text", "every field comes back"},
	{"ends text at zero bytes", "every field comes back"},
	{"keeps sequences as float64", "every field comes back"},
	{"keeps attempts as JSON without redrive", "every field comes back"},

	{"Add ignores ctx", "an ended context stops every call"},
	{"Add of nothing ignores ctx", "an ended context stops every call"},
	{"Add of nothing fails", "Add of nothing"},
	{"Add takes an empty ID", "Add is all or nothing"},
	{"Add takes an unknown state", "Add is all or nothing"},
	{"Add keeps what came before the fault", "Add is all or nothing"},
	{"Add does not say which letter", "Add is all or nothing"},
	{"Add names the wrong letter", "Add is all or nothing"},
	{"Add stores twice", "concurrent adds store each letter once"},
	{"Add replaces", "Add is idempotent"},
	{"Add replaces within a batch", "the first of a batch wins"},
	{"Add refuses what is there", "Add is idempotent"},
	{"Add gives up at what is there", "Add is idempotent"},

	{"Get ignores ctx", "an ended context stops every call"},
	{"Get finds by prefix", "unknown IDs"},
	{"Get folds case", "IDs are opaque"},
	{"Get of nothing succeeds", "unknown IDs"},
	{"Get has an error of its own", "unknown IDs"},

	{"List ignores ctx", "an ended context stops every call"},
	{"List folds case", "filters are exact"},
	{"List filters by prefix", "filters are exact"},
	{"List knows wildcards", "filters are exact"},
	{"List ignores trailing blanks", "filters are exact"},
	{"List ignores Topic", "filters"},
	{"List ignores Subscriber", "filters"},
	{"List ignores Reason", "filters"},
	{"List ignores Fingerprint", "filters"},
	{"List ignores State", "filters"},
	{"List takes any of the filters", "filters"},
	{"List clamps the limit", "limits"},
	{"List takes any state", "limits"},
	{"List has an error of its own", "limits"},
	{"List has another default", "limits"},
	{"List cuts large pages", "limits"},
	{"List is oldest first", "List is newest first"},
	{"List is in order of arrival", "List is newest first"},
	{"List is by last failure", "List is newest first"},
	{"List orders without case", "IDs are opaque"},
	{"Total counts all letters", "pages of a filter"},
	{"Total counts the rest", "pages give every letter once"},
	{"Total counts the page", "pages give every letter once"},
	{"pages by offset", "pages stand still while letters come and go"},
	{"needs the letter of the cursor", "pages stand still while letters come and go"},
	{"repeats the letter of the cursor", "pages give every letter once"},
	{"the last page has a Next if it is full", "pages give every letter once"},
	{"skips a letter between pages", "pages stand still under concurrent adds"},
	{"never has a Next", "pages give every letter once"},
	{"the Next never changes", "pages give every letter once"},

	{"Update ignores ctx", "an ended context stops every call"},
	{"Update of nothing succeeds", "unknown IDs"},
	{"Update makes a letter", "unknown IDs"},
	{"Update works on the letter itself", "a failed Update changes nothing"},
	{"Update calls fn twice", "Update changes one letter"},
	{"Update does not hold the lock", "concurrent updates lose nothing"},
	{"Update does not hold the lock", "one of many begins the redrive"},
	{"Update brings letters back", "an Update does not bring back a deleted letter"},
	{"Update keeps the lock at a panic", "a panic in Update changes nothing"},
	{"Update writes at a panic", "a panic in Update changes nothing"},
	{"Update swallows a panic", "a panic in Update changes nothing"},
	{"Update writes in two steps", "readers see whole letters"},
	{"Update writes in spite of an error", "a failed Update changes nothing"},
	{"Update hides fn's error", "a failed Update changes nothing"},
	{"Update takes another ID", "Update keeps the letter valid"},
	{"Update takes an unknown state", "Update keeps the letter valid"},
	{"Update does not say which letter", "Update keeps the letter valid"},
	{"Update writes to the neighbor", "Update changes one letter"},
	{"Update writes the state only", "a redrive is kept"},
	{"Update writes the state only", "every field can be updated"},
	{"Update moves the letter's topic not", "filters follow updates"},
	{"Update takes no letter out of open", "filters follow updates"},

	{"Delete ignores ctx", "an ended context stops every call"},
	{"Delete only counts", "Delete counts what was there"},
	{"Delete takes the neighbor too", "Delete counts what was there"},
	{"Delete of a letter keeps its ID", "a deleted letter can be added again"},
	{"Delete counts what it was asked for", "Delete counts what was there"},
	{"Delete fails at unknown letters", "Delete counts what was there"},

	{"works after Close", "a closed store says so"},
	{"Close fails the second time", "a closed store says so"},
}

func TestSuiteRejectsMutants(t *testing.T) {
	all := slices.Clone(mutants)
	letter := reflect.TypeFor[deadletter.Letter]()
	for i := range letter.NumField() {
		if name := letter.Field(i).Name; name != "ID" {
			all = append(all, struct{ bug, caught string }{"forgets " + name, "every field comes back"})
		}
	}
	for _, m := range all {
		t.Run(m.bug, func(t *testing.T) {
			// Some mutants hang. A bug that needs a race to show itself may
			// need a second chance on a busy machine.
			for range 20 {
				if len(deadlettertest.Failures(m.caught, &plain{bug: m.bug}, 2*time.Second)) > 0 {
					return
				}
			}
			t.Errorf("a store with this bug passes %q", m.caught)
		})
	}
}

func TestEveryCaseRejectsAMutant(t *testing.T) {
	rejects := map[string]bool{}
	for _, m := range mutants {
		rejects[m.caught] = true
	}
	for _, name := range deadlettertest.Names() {
		if !rejects[name] {
			t.Errorf("no mutant shows that %q can fail", name)
		}
	}
}

func TestCasesThatPanicOrHangFail(t *testing.T) {
	if got := deadlettertest.Failures("Add copies", nil, time.Second); len(got) == 0 {
		t.Error("a store that panics passes")
	}
	if got := deadlettertest.Failures("Add copies", hanging{}, time.Millisecond); len(got) == 0 {
		t.Error("a store that hangs passes")
	}
}

// hanging is a store whose Add never returns.
type hanging struct{ deadletter.Store }

func (hanging) Add(context.Context, []deadletter.Letter) error { select {} }
