package deadlettertest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
)

func TestSuiteAcceptsAPlainLedger(t *testing.T) {
	deadlettertest.RunLedger(t, func(t *testing.T) deadletter.Ledger { return newLedger("") })
}

// What must be caught, and the case that has to catch it.
var ledgerMutants = []struct{ bug, caught string }{
	{"IDs are newest first", "IDs are all that matches"},
	{"IDs are a page", "IDs are all that matches"},
	{"IDs looks behind After", "IDs are all that matches"},

	{"Change goes by ID", "Change changes many letters"},
	{"Change calls fn twice", "Change changes many letters"},
	{"Change forgets the last step", "Change changes many letters"},
	{"Change stops at the first error", "Change says what became of each"},
	{"Change hides fn's errors", "Change says what became of each"},
	{"Change takes another ID", "Change says what became of each"},
	{"Change calls again for an id that comes again", "Change says what became of each"},
	{"Change keeps what fn made", "Change copies"},
	{"Change shares the letter", "Change copies"},
	{"Change writes before a panic", "a panic in Change changes nothing of its step"},
	{"Change keeps the lock at a panic", "a panic in Change changes nothing of its step"},
	{"Change does not hold the lock", "concurrent changes lose nothing"},
	{"Change does not say what it did not reach", "Change ends with its ctx"},

	{"Account forgets what is gone", "the account adds up"},
	{"Account begins with what is there", "the account adds up"},
	{"Account takes any letter for the oldest", "the account adds up"},
	{"tombstones stay", "a tombstone goes when its time has come"},

	{"Groups ignores the query", "groups are what their letters are"},
	{"Groups counts what is selected", "groups are what their letters are"},
	{"Groups forgets snoozes", "groups are what their letters are"},
	{"Groups samples the oldest", "groups are what their letters are"},
	{"Groups sees only letters that are there", "groups are what their letters are"},
	{"Groups orders by fingerprint", "groups are what their letters are"},
	{"Spark is newest first", "groups are what their letters are"},
	{"Groups names all topics", "a group names ten topics"},
	{"groups end with their letters", "a group outlives its letters"},
	{"UpdateGroup makes groups", "people say what a group is"},
	{"UpdateGroup starts anew", "people say what a group is"},
	{"UpdateGroup writes in spite of an error", "people say what a group is"},
	{"a group never regresses", "a group that comes back has regressed"},
	{"Timeline ignores the query", "timelines"},
	{"Timeline forgets what was archived", "timelines"},

	{"AddOperation shares the plan", "an operation comes back"},
	{"AddOperation sorts the letters", "an operation comes back"},
	{"AddOperation replaces", "an operation is added once"},
	{"UpdateOperation works on the operation itself", "an operation can be updated"},
	{"UpdateOperation writes in spite of an error", "an operation can be updated"},
	{"UpdateOperation keeps what fn made", "an operation can be updated"},
	{"UpdateOperation does not hold the lock", "an operation can be updated"},
	{"UpdateItems writes up to the fault", "items are updated together"},
	{"UpdateItems takes another letter", "items are updated together"},
	{"Items ignores states", "items are updated together"},
	{"counts stand still", "items are updated together"},
	{"Operations ignores states", "operations are newest first"},
	{"operations are by time", "operations are newest first"},

	{"Record replaces", "the audit trail"},
	{"Audit ignores By", "the audit trail"},
	{"Audit takes Until in", "the audit trail"},
	{"Audit is oldest first", "the audit trail"},
	{"Record keeps an empty ID", "an entry gets an ID and a time"},

	{"the ledger ignores ctx", "an ended context stops every call of a ledger"},
	{"the ledger works after Close", "a closed ledger says so"},
}

func TestLedgerSuiteRejectsMutants(t *testing.T) {
	for _, m := range ledgerMutants {
		t.Run(m.bug, func(t *testing.T) {
			for range 20 {
				if len(deadlettertest.Failures(m.caught, newLedger(m.bug), time.Second)) > 0 {
					return
				}
			}
			t.Errorf("a ledger with this bug passes %q", m.caught)
		})
	}
}

func TestEveryLedgerCaseRejectsAMutant(t *testing.T) {
	rejects := map[string]bool{}
	for _, m := range ledgerMutants {
		rejects[m.caught] = true
	}
	for _, name := range deadlettertest.LedgerNames() {
		if !rejects[name] && !slices.Contains(deadlettertest.Names(), name) {
			t.Errorf("no mutant shows that %q can fail", name)
		}
	}
}
