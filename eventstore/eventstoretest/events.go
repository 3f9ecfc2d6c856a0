package eventstoretest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/eventstore"
)

// account is the stream of one account.
func account(id string) eventstore.Stream {
	return eventstore.Stream{Category: "account", ID: id}
}

// small is an event with that ID.
func small(id string) eventstore.Event {
	return eventstore.Event{ID: id, Type: "counted", ContentType: "text/plain", Data: []byte(id)}
}

// smalls are n events with IDs that begin with prefix.
func smalls(prefix string, n int) []eventstore.Event {
	all := make([]eventstore.Event, n)
	for i := range all {
		all[i] = small(fmt.Sprintf("%s-%d", prefix, i))
	}
	return all
}

// full is an event with something in each field.
func full() eventstore.Event {
	data := make([]byte, 256)
	for i := range data {
		data[i] = byte(i)
	}
	return eventstore.Event{
		ID: "id with spaces, ünïcode, 100% and \"quotes\"", Type: "Some-type.v_2", SchemaVersion: 7,
		ContentType: "application/x; charset=\"ä\"",
		Time:        time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("elsewhere", 3600)),
		Metadata: map[string]string{
			"correlation-id": "a b", "Case": "Upper", "case": "lower", "empty": "", "percent": "100%41",
			"long": strings.Repeat("x", 2000), "spaces": "  both ends  ", "user": "日本 \"quoted\"",
		},
		Data: data,
	}
}

// difference says in what two events differ, "" if in nothing that is kept.
func difference(got, want eventstore.Event) string {
	var d []string
	field := func(name string, same bool, got, want any) {
		if !same {
			d = append(d, fmt.Sprintf("%s = %.80q, want %.80q", name, fmt.Sprint(got), fmt.Sprint(want)))
		}
	}
	field("ID", got.ID == want.ID, got.ID, want.ID)
	field("Type", got.Type == want.Type, got.Type, want.Type)
	field("SchemaVersion", got.SchemaVersion == max(want.SchemaVersion, 1), got.SchemaVersion, max(want.SchemaVersion, 1))
	field("ContentType", got.ContentType == want.ContentType, got.ContentType, want.ContentType)
	if at := want.Time.UTC().Truncate(time.Microsecond); !want.Time.IsZero() {
		field("Time", got.Time == at, got.Time, at)
	}
	for _, name := range slices.Sorted(maps.Keys(want.Metadata)) {
		value, ok := got.Metadata[name]
		field("Metadata "+name, ok && value == want.Metadata[name], value, want.Metadata[name])
	}
	field("len(Metadata)", len(got.Metadata) == len(want.Metadata), len(got.Metadata), len(want.Metadata))
	field("Data", bytes.Equal(got.Data, want.Data), len(got.Data), len(want.Data))
	return strings.Join(d, "\n")
}

func ids(events []eventstore.Recorded) []string {
	all := make([]string, len(events))
	for i := range events {
		all[i] = events[i].ID
	}
	return all
}

func idsOf(events []eventstore.Event) []string {
	all := make([]string, len(events))
	for i := range events {
		all[i] = events[i].ID
	}
	return all
}
