package deadletter

import (
	"errors"
	"fmt"
	"time"
)

// ErrAccount is returned by Account.Check: letters have come or gone of which the
// ledger does not know.
var ErrAccount = errors.New("deadletter: the account does not add up")

// Account says what has become of every letter that was added, since the ledger
// was made. At every moment
//
//	Added = Open + Redriving + Resolved + Archived + Deleted + Expired + Dropped
type Account struct {
	Added int64 `json:"added"`
	// In the store now, by state. Deleted counts also those that are gone.
	Open      int64 `json:"open"`
	Redriving int64 `json:"redriving"`
	Resolved  int64 `json:"resolved"`
	Archived  int64 `json:"archived"`
	Deleted   int64 `json:"deleted"`
	// Expired letters were older than retention keeps them. Dropped ones had to
	// make room.
	Expired int64 `json:"expired"`
	Dropped int64 `json:"dropped"`
	// Bytes is what the letters take, and Oldest when the oldest that is open
	// first failed.
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldest,omitzero"`
	// Fill is the fullest of the store's limits, from 0 to 1.
	Fill float64 `json:"fill"`
}

// Check returns an error that wraps ErrAccount and names the difference if the
// account does not add up.
func (a Account) Check() error {
	var faults []error
	sum := int64(0)
	for _, c := range []struct {
		name string
		n    int64
	}{
		{"Open", a.Open}, {"Redriving", a.Redriving}, {"Resolved", a.Resolved}, {"Archived", a.Archived},
		{"Deleted", a.Deleted}, {"Expired", a.Expired}, {"Dropped", a.Dropped},
	} {
		sum += c.n
		if c.n < 0 {
			faults = append(faults, fmt.Errorf("%s is %d", c.name, c.n))
		}
	}
	switch {
	case sum < a.Added:
		faults = append(faults, fmt.Errorf("%d of %d letters are not accounted for", a.Added-sum, a.Added))
	case sum > a.Added:
		faults = append(faults, fmt.Errorf("%d letters are accounted for, %d more than were added", sum, sum-a.Added))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w: %+v", ErrAccount, errors.Join(faults...), a)
}
