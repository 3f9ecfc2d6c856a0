// Package ops is what an operator does with dead letters: see what fails, pause a
// subscriber, repair, send back in steps, and leave a record of it. The console
// and the command line do nothing but call it.
//
//	desk, err := ops.New(rt, ops.Config{})
//	op, err := desk.Redrive(ctx, ops.By{Name: "ada", Why: "fixed in 1.4"}, ops.Redrive{
//		Scope: ops.Scope{Query: `sub:billing reason:panic`},
//		Steps: []float64{1, 5, 20, 100}, Rate: 50,
//	})
//
// # Operations
//
// What changes many letters is an operation: a fixed set of letters, written down
// before the first one changes, each with its result. It goes on until its end, also
// in the next process, and can be paused, resumed and cancelled. A letter that cannot
// be changed any more is left, with the reason, and the others go on.
//
// # What a redrive promises
//
// Every letter of the set has exactly one item. An item is marked as issued, in the
// store, before its event is given to a mailbox, and has the outcome that the letter
// has. When a process dies, what it had issued is looked up in the letters by the next
// desk: an outcome that is there counts, what was never given to anybody goes on, and
// the rest is in doubt: the letter is open again, says so, and is not sent again unless
// somebody asks. So no event is sent twice without being in doubt first, and none is
// forgotten. This is at least once: the handler of a letter in doubt may have succeeded.
//
// Letters go back oldest first, never more than the mailbox has room for, and about half
// a second's work at a time, 32 to 512 letters: no more than that is in doubt after a
// crash. A subscriber handles what goes back in that order, beside what is published; while one
// waits for its next attempt, those behind it wait as well if the subscriber is
// topics.Ordered, which is the default, and those of the same key if it has a Key. They
// do not wait at a subscriber that is topics.Parked without a Key, nor at one of a
// pattern or of a topic with a Replay. One that has failed for good does not hold up
// those behind it.
//
// # Who did what
//
// Whatever changes something goes to the audit trail, also what was refused: who, what,
// to which letters, how many, why, and its error.
package ops
