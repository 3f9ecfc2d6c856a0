package eventstoretest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/eventstore"
)

var snapshotCases = []testCase{
	{
		name:    "a snapshot comes back",
		promise: "a snapshot is loaded as it was saved, its time in UTC to the microsecond",
		run: func(r *recorder) {
			s := r.open()
			if snap, ok := r.loadSnapshot(s, account("a"), 1); ok {
				r.errorf("a stream without a snapshot has %+v", snap)
			}
			want := eventstore.Snapshot{
				Stream: account("a b/ü"), Version: 1 << 40, Schema: 3, ContentType: "application/x; v=\"1\"",
				Time: time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("elsewhere", 3600)), Data: bytes.Repeat([]byte{0, 1, 255, '\n'}, 64<<10),
			}
			r.saveSnapshot(s, want)
			got, ok := r.loadSnapshot(s, want.Stream, 3)
			if !ok || got.Stream != want.Stream || got.Version != want.Version || got.Schema != 3 || got.ContentType != want.ContentType ||
				got.Time != want.Time.UTC().Truncate(time.Microsecond) || !bytes.Equal(got.Data, want.Data) {
				r.errorf("LoadSnapshot gives %s at %d of schema %d, %s, %v, %d bytes, %v", got.Stream, got.Version, got.Schema, got.ContentType, got.Time, len(got.Data), ok)
			}
			r.saveSnapshot(s, eventstore.Snapshot{Stream: account("empty"), Version: 1, Schema: 1})
			if got, ok := r.loadSnapshot(s, account("empty"), 1); !ok || len(got.Data) != 0 || got.Time.IsZero() {
				r.errorf("a snapshot without data and time comes back as %+v, %v", got, ok)
			}
		},
	},
	{
		name:    "the newest snapshot stays",
		promise: "a snapshot takes the place of an older one, and never of a newer one",
		run: func(r *recorder) {
			s := r.open()
			for _, c := range []struct{ save, want eventstore.Version }{{5, 5}, {3, 5}, {9, 9}, {9, 9}, {8, 9}, {10, 10}} {
				r.saveSnapshot(s, eventstore.Snapshot{Stream: account("a"), Version: c.save, Schema: 1, Data: fmt.Append(nil, c.save)})
				got, ok := r.loadSnapshot(s, account("a"), 1)
				if !ok || got.Version != c.want || string(got.Data) != fmt.Sprint(c.want) {
					r.errorf("after a save at %d the snapshot is at %d with %q, %v, want %d", c.save, got.Version, got.Data, ok, c.want)
				}
			}
			if _, ok := r.loadSnapshot(s, account("A"), 1); ok {
				r.errorf("a snapshot of account/a is that of account/A")
			}
		},
	},
	{
		name:    "schemas do not see each other",
		promise: "a program gets no snapshot of a newer or older schema, and saves beside them",
		run: func(r *recorder) {
			s := r.open()
			r.saveSnapshot(s, eventstore.Snapshot{Stream: account("a"), Version: 9, Schema: 2, Data: []byte("newer")})
			if got, ok := r.loadSnapshot(s, account("a"), 1); ok {
				r.errorf("schema 1 gets the snapshot of schema %d", got.Schema)
			}
			r.saveSnapshot(s, eventstore.Snapshot{Stream: account("a"), Version: 3, Schema: 1, Data: []byte("older")})
			for schema, want := range map[int]string{1: "older", 2: "newer"} {
				if got, ok := r.loadSnapshot(s, account("a"), schema); !ok || string(got.Data) != want || got.Schema != schema {
					r.errorf("schema %d gets %q of %d, %v, want %q", schema, got.Data, got.Schema, ok, want)
				}
			}
		},
	},
	{
		name:    "concurrent saves leave the newest snapshot",
		promise: "of snapshots that are saved at once the newest stays",
		run: func(r *recorder) {
			stores := []eventstore.Store{r.open(), r.open()}
			for round := range 5 {
				stream := account(fmt.Sprint(round))
				r.together(8, func(w int) {
					for _, v := range []int{w + 1, 9 + w, 17 + 7 - w} {
						r.saveSnapshot(stores[w%2], eventstore.Snapshot{Stream: stream, Version: eventstore.Version(v), Schema: 1, Data: fmt.Append(nil, v)})
					}
				})
				if got, ok := r.loadSnapshot(stores[0], stream, 1); !ok || got.Version != 24 || string(got.Data) != "24" {
					r.errorf("the snapshot is at %d with %q, want 24", got.Version, got.Data)
				}
			}
		},
	},
}
