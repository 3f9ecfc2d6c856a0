package mailbox

import "fmt"

// Overflow says what happens to an event when a mailbox is full.
//
// Block and Reject are decided before the event enters the log, so that it is
// accepted by every mailbox or by none. The others are decided when the
// mailbox takes the event over, and never hold back or fail a publisher.
type Overflow uint8

const (
	// Block makes the publisher wait until there is room or its context ends.
	// It is the default, because it loses nothing.
	Block Overflow = iota
	// Reject refuses the event with a [FullError] that names the mailbox.
	Reject
	// DropOldest makes room by dropping the event that has waited longest.
	DropOldest
	// DropNewest drops the event that does not fit.
	DropNewest
	// Latest keeps the newest event only: the newest of each key if the
	// cursor has a key, else the newest of all.
	Latest
	// DeadLetter hands the event that does not fit to the cursor's Overflowed
	// function.
	DeadLetter
	// Unbounded queues without a limit. A consumer that stops then holds every
	// event until memory ends.
	Unbounded
)

var overflowNames = [...]string{"block", "reject", "drop_oldest", "drop_newest", "latest", "dead_letter", "unbounded"}

// String returns the name used in logs, metrics and the console.
func (o Overflow) String() string {
	if int(o) < len(overflowNames) {
		return overflowNames[o]
	}
	return fmt.Sprintf("overflow(%d)", uint8(o))
}

// Valid reports whether o is one of the declared policies.
func (o Overflow) Valid() bool { return int(o) < len(overflowNames) }

// gates reports whether a full mailbox of this policy holds publishers back.
func (o Overflow) gates() bool { return o == Block || o == Reject }

// Lossy reports whether a full mailbox of this policy gives up events, so that it
// never holds a publisher back and keeps what it accepted in a store of its own.
func (o Overflow) Lossy() bool {
	return o == DropOldest || o == DropNewest || o == Latest || o == DeadLetter
}
