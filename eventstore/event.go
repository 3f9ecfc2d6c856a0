package eventstore

import "time"

// Event is something that has happened, as bytes.
type Event struct {
	// ID names the event. Append makes one if it is empty; give one to be able to repeat
	// an Append, and to others who must not do the same thing twice.
	ID string
	// Type is what has happened, as the schema calls it: deposited.
	Type string
	// SchemaVersion is that of the type as Data encodes it, from 1. Zero is 1.
	SchemaVersion int
	// ContentType names the encoding of Data.
	ContentType string
	// Time is when it happened, kept to the microsecond, in UTC. Zero is now.
	Time time.Time
	// Metadata travels with it: who has asked for it, the correlation. Values are text
	// in UTF-8 without control characters, names are letters, digits, '-', '_' and '.'.
	Metadata map[string]string
	// Data is what there is to know, encoded.
	Data []byte
}

// Recorded is an event in a store.
type Recorded struct {
	Event
	Stream   Stream
	Version  Version
	Position Position
}

// Version numbers the events of a stream from 1, without a gap. That of a stream is that
// of its last event.
type Version int64

const (
	// NoStream is the version of a stream without events.
	NoStream Version = 0
	// Any expects no version.
	Any Version = -1
)

// Position is the place of an event among those of all streams. Positions of one store
// compare as text: one that comes later is greater. They say nothing else, and nothing
// about those of another store.
type Position string

// Start is the position before all events.
const Start Position = ""

// Appended is where an Append has put its last event.
type Appended struct {
	Version  Version
	Position Position
}

// Snapshot is the state that the events of a stream have led to.
type Snapshot struct {
	Stream  Stream
	Version Version // of the last event that it includes
	// Schema is that of the state as Data encodes it, from 1. A program that has changed
	// the state, or what events do to it, counts it up; its snapshots and those of the
	// program before it do not see each other.
	Schema      int
	ContentType string
	Time        time.Time // kept to the microsecond; zero is now
	Data        []byte
}
