package deadlettertest

import (
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// Names returns the names of all cases.
func Names() []string {
	var names []string
	for _, c := range cases() {
		names = append(names, c.name)
	}
	return names
}

// LedgerNames returns the names of all cases of ledgers.
func LedgerNames() []string {
	var names []string
	for _, c := range ledgerCases() {
		names = append(names, c.name)
	}
	return names
}

// Failures runs one case.
func Failures(name string, s deadletter.Store, patience time.Duration) []string {
	for _, c := range ledgerCases() {
		if c.name == name {
			return c.failures(s, patience)
		}
	}
	panic("no such case: " + name)
}

// RandomLetters and RandomExpr are what the search cases are made of.
var (
	RandomLetters = randomLetters
	RandomExpr    = randomExpr
	GroupsOf      = groupsOf
	Where         = where
)

// Day is when the suite's letters died.
var Day = day
