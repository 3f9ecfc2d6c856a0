package supervisor

// Strategy says which actors of a group restart when one of them is due for a
// restart. The names and the meaning are those of OTP supervisors.
type Strategy uint8

const (
	// OneForOne restarts the failed actor alone. It is the zero value.
	OneForOne Strategy = iota
	// AllForOne restarts all actors of the group.
	AllForOne
	// RestForOne restarts the failed actor and those started after it, which may
	// depend on it.
	RestForOne
)

var strategyNames = []string{"one_for_one", "all_for_one", "rest_for_one"}

// String returns one_for_one, all_for_one or rest_for_one.
func (s Strategy) String() string { return enumName("Strategy", strategyNames, uint8(s)) }

// Affected returns the half-open range [from, to) of actors to restart, as indexes
// in start order, when the one at index failed of n is. It is empty when failed is
// not the index of one of them, and OneForOne's for an unknown strategy.
//
// A [RestartNever] sibling within the range is stopped and not started again.
func (s Strategy) Affected(n, failed int) (from, to int) {
	if failed < 0 || failed >= n {
		return 0, 0
	}
	switch s {
	case AllForOne:
		return 0, n
	case RestForOne:
		return failed, n
	default:
		return failed, failed + 1
	}
}
