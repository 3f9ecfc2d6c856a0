package mailbox

// backoff lets another producer, which has just won the race for a slot, go on
// alone for a while.
//
// Two producers that claim in turn hand the cache lines of the claim and of the
// slots back and forth and are slower together than one of them alone. One that
// keeps away for some 3 µs costs itself less than that, for the other does the
// work of both: with two producers an event took 12 ns instead of 29, with four 13
// instead of 30 (BenchmarkLog/block). (Dice, Hendler, Mirsky: Lightweight contention management for
// efficient compare-and-swap operations, 2013.)
func backoff() {
	for range backoffSteps {
		step()
	}
}

const backoffSteps = 2500 // about 1 ns each

//go:noinline
func step() {}
