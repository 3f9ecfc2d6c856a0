package deadlettertest

import (
	"context"
	"errors"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
)

// RunLedger checks the ledgers that new makes against every promise of
// [deadletter.Ledger], those of [deadletter.Store] among them. What holds for Run
// holds for it; a ledger can keep, beside the letters, 20 operations that have
// ended, 5,000 items and 1,000 audit entries without giving any up.
func RunLedger(t *testing.T, new func(t *testing.T) deadletter.Ledger) {
	t.Helper()
	run(t, ledgerCases(), func(t *testing.T) deadletter.Store { return new(t) })
}

func ledgerCases() []testCase {
	all := cases()
	for _, group := range [][]testCase{changeCases, groupCases, accountCases, operationCases, auditCases, ledgerCallCases} {
		all = append(all, group...)
	}
	return all
}

// onLedger makes the run of a case of what it does with a ledger.
func onLedger(fn func(r *recorder, s deadletter.Ledger)) func(*recorder, deadletter.Store) {
	return func(r *recorder, s deadletter.Store) { fn(r, s.(deadletter.Ledger)) }
}

var background = context.Background()

// must ends the case unless a call has succeeded.
func must[T any](r *recorder, what string) func(v T, err error) T {
	return func(v T, err error) T {
		if err != nil {
			r.fatalf("%s: %v", what, err)
		}
		return v
	}
}

func (r *recorder) try(what string, err error) {
	if err != nil {
		r.fatalf("%s: %v", what, err)
	}
}

// wants compares an error.
func (r *recorder) wants(what string, err, want error) {
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		r.errorf("%s = %v, want %v", what, err, want)
	}
}
