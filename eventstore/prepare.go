package eventstore

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/troupe-go/troupe/engine"
)

// MaxAppend is how many events an Append takes. Every store takes so many.
const MaxAppend = 500

// Prepare is how the Append of every store begins: it reports every fault of the
// arguments, and returns the events as they are to be stored, with what their fields are
// when they are zero. It shares their Data and Metadata.
//
// Errors: [ErrInvalid]; engine.ErrTooLarge for more than [MaxAppend] events.
func Prepare(stream Stream, expected Version, events []Event) ([]Event, error) {
	var faults []error
	if err := stream.Validate(); err != nil {
		faults = append(faults, err)
	}
	if expected < Any {
		faults = append(faults, fmt.Errorf("expected version %d: must not be negative, but for Any", expected))
	}
	if len(events) == 0 {
		faults = append(faults, errors.New("events: must not be none"))
	}
	if len(events) > MaxAppend {
		return nil, fmt.Errorf("eventstore: append of %d events to %s: at most %d at a time: %w", len(events), stream, MaxAppend, engine.ErrTooLarge)
	}
	ready := make([]Event, len(events))
	now := time.Now()
	seen := make(map[string]int, len(events))
	for i, ev := range events {
		if err := ev.check(); err != nil {
			faults = append(faults, fmt.Errorf("event %d: %w", i, err))
		}
		if first, twice := seen[ev.ID]; twice && ev.ID != "" {
			faults = append(faults, fmt.Errorf("event %d: ID %q: is that of event %d, too", i, ev.ID, first))
		}
		seen[ev.ID] = i
		if ev.ID == "" {
			ev.ID = newID(now)
		}
		if ev.Time.IsZero() {
			ev.Time = now
		}
		ev.Time = ev.Time.UTC().Truncate(time.Microsecond)
		ev.SchemaVersion = max(ev.SchemaVersion, 1)
		ready[i] = ev
	}
	if len(faults) > 0 {
		return nil, invalid(faults)
	}
	return ready, nil
}

func (ev *Event) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(ev.ID) > maxID || !printable(ev.ID) {
		fault("ID %.40q: must be at most %d bytes of UTF-8 without control characters", ev.ID, maxID)
	}
	if !named(ev.Type, "-_.") {
		fault("Type %.40q: must be 1 to %d letters, digits, '-', '_' and '.'", ev.Type, maxName)
	}
	if ev.SchemaVersion < 0 {
		fault("SchemaVersion %d: must not be negative", ev.SchemaVersion)
	}
	if !printable(ev.ContentType) {
		fault("ContentType %.40q: must be UTF-8 without control characters", ev.ContentType)
	}
	for name, value := range ev.Metadata {
		if !named(name, "-_.") || !printable(value) {
			fault("Metadata[%.40q]: must have a name of letters, digits, '-', '_' and '.', and a value of UTF-8 without control characters", name)
		}
	}
	return errors.Join(faults...)
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Prepare is how SaveSnapshot of every store begins: it reports every fault and returns
// the snapshot as it is to be kept. Errors: [ErrInvalid].
func (s Snapshot) Prepare() (Snapshot, error) {
	var faults []error
	if err := s.Stream.Validate(); err != nil {
		faults = append(faults, err)
	}
	if s.Version < 1 {
		faults = append(faults, fmt.Errorf("Version %d: must be 1 or more", s.Version))
	}
	if s.Schema < 1 {
		faults = append(faults, fmt.Errorf("Schema %d: must be 1 or more", s.Schema))
	}
	if s.Time.IsZero() {
		s.Time = time.Now()
	}
	s.Time = s.Time.UTC().Truncate(time.Microsecond)
	return s, invalid(faults)
}

// newID makes a UUID of version 7: it sorts by the time to the millisecond. Source: RFC
// 9562, §5.7.
func newID(at time.Time) string {
	var u [16]byte
	// It never fails: the program ends if the system has no randomness.
	rand.Read(u[:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(u[:6], ms[2:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
