package supervisor

// maxChain bounds how many errors of a chain are looked at. One that unwraps to
// itself would else hold its actor for ever, as it does errors.Is.
const maxChain = 1000

// walk shows err and what it wraps to see, in the order of errors.Is, until see
// returns found. It goes into what an error wraps only if see returns into.
//
// It calls the Unwrap methods of the user's errors, which may panic, and none of
// their Is and As.
func walk(err error, see func(error) (found, into bool)) {
	left := maxChain
	var visit func(error) bool
	visit = func(err error) bool {
		for err != nil && left > 0 {
			left--
			found, into := see(err)
			if found || !into {
				return found
			}
			switch e := err.(type) {
			case interface{ Unwrap() error }:
				err = e.Unwrap()
			case interface{ Unwrap() []error }:
				for _, inner := range e.Unwrap() {
					if visit(inner) {
						return true
					}
				}
				return false
			default:
				return false
			}
		}
		return false
	}
	visit(err)
}

// PanicIn returns the first panic in the chain of err, nil if there is none. It
// is errors.As for errors of unknown origin: one whose methods panic, or that
// unwraps to itself, does no harm.
func PanicIn(err error) (p *PanicError) {
	defer func() { _ = recover() }() // what is known so far is better than a panic
	walk(err, func(err error) (bool, bool) {
		if e, ok := err.(*PanicError); ok && e != nil {
			p = e
		}
		return p != nil, true
	})
	return p
}
