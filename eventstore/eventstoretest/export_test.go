package eventstoretest

import "time"

// Failures runs the case of that name, several times if it needs luck to fail, and
// returns what failed.
func Failures(new func() Open, name string, patience time.Duration) []string {
	for _, c := range cases() {
		if c.name != name {
			continue
		}
		for range 20 {
			if f := c.failures(new(), patience); len(f) > 0 {
				return f
			}
		}
		return nil
	}
	panic("no case " + name)
}
