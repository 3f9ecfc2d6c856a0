package supervisor

import "strconv"

// enumName is the String of every enumeration here. A value outside the table
// prints as Type(n), so that a corrupt one shows in a log and is no panic.
func enumName(typ string, names []string, v uint8) string {
	if int(v) < len(names) {
		return names[v]
	}
	return typ + "(" + strconv.Itoa(int(v)) + ")"
}
