package eventstoretest

import (
	"context"
	"slices"

	"github.com/troupe-go/troupe/eventstore"
)

var readCases = []testCase{
	{
		name:    "Read begins after a version",
		promise: "Read gives the events after a version, and none if there is nothing after it",
		run: func(r *recorder) {
			s := r.open()
			r.append(s, account("b"), 0, small("between"))
			events := smalls("a", 1200) // more than a page of any store, one would think
			for from := 0; from < len(events); from += 400 {
				r.append(s, account("a"), eventstore.Version(from), events[from:from+400]...)
				r.append(s, account("b"), eventstore.Any, small("between"))
			}
			for _, after := range []int{0, 1, 399, 400, 1000, 1199, 1200, 1201, 5000} {
				got, want := ids(r.read(s, account("a"), eventstore.Version(after))), idsOf(events[min(after, 1200):])
				if !slices.Equal(got, want) {
					r.errorf("Read after %d gives %d events, or in another order, want %d", after, len(got), len(want))
				}
			}
			if got := r.read(s, account("nobody"), 0); len(got) != 0 {
				r.errorf("Read of a stream that is not there gives %q", ids(got))
			}
		},
	},
	{
		name:    "Read can be left",
		promise: "a loop over Read can be left at any event, and another begun",
		run: func(r *recorder) {
			s := r.open()
			events := smalls("a", 400)
			r.append(s, account("a"), 0, events...)
			for n := range 40 {
				i := 0
				for ev, err := range s.Read(context.Background(), account("a"), 0) {
					if err != nil || ev.ID != events[i].ID {
						r.fatalf("event %d is %q, %v", i, ev.ID, err)
					}
					if i++; i > n {
						break
					}
				}
			}
		},
	},
	{
		name:    "Read sees what was appended before",
		promise: "an event is there for every Read that begins after its Append has returned, also of another process",
		run: func(r *recorder) {
			stores := []eventstore.Store{r.open(), r.open()}
			r.together(4, func(w int) {
				stream := account([]string{"a", "b", "c", "d"}[w])
				for i := range 20 {
					r.append(stores[i%2], stream, eventstore.Version(i), small("x"))
					if got := len(r.read(stores[(i+1)%2], stream, 0)); got != i+1 {
						r.fatalf("Read gives %d events after the Append of number %d", got, i+1)
					}
				}
			})
		},
	},
	{
		name:    "nothing is shared",
		promise: "who changes an event that he has appended, read or followed changes it for nobody else",
		run: func(r *recorder) {
			s := r.open()
			want, given := full(), full()
			r.append(s, account("a"), 0, given)
			spoil(&given)
			read := r.read(s, account("a"), 0)
			spoil(&read[0].Event)
			f, g := r.follow(s, eventstore.Start), r.follow(s, eventstore.Start)
			followed := r.next(f, 1)
			spoil(&followed[0].Event)
			for by, ev := range map[string]eventstore.Recorded{"read": r.read(s, account("a"), 0)[0], "followed": r.next(g, 1)[0]} {
				if d := difference(ev.Event, want); d != "" {
					r.errorf("the event as it is %s after others have changed theirs:\n%s", by, d)
				}
			}
			snap := eventstore.Snapshot{Stream: account("a"), Version: 1, Schema: 1, Data: []byte("state")}
			r.saveSnapshot(s, snap)
			snap.Data[0] = 'X'
			got, _ := r.loadSnapshot(s, account("a"), 1)
			got.Data[1] = 'X'
			if got, _ := r.loadSnapshot(s, account("a"), 1); string(got.Data) != "state" {
				r.errorf("the snapshot is %q after others have changed theirs", got.Data)
			}
		},
	},
	{
		name:    "a store serves many at once",
		promise: "methods are safe for concurrent use",
		run: func(r *recorder) {
			s := r.open()
			r.together(8, func(w int) {
				stream := account([]string{"a", "b", "c", "d"}[w/2])
				for i := range 10 {
					if w%2 == 0 {
						r.append(s, stream, eventstore.Version(i), small("x"))
						r.saveSnapshot(s, eventstore.Snapshot{Stream: stream, Version: eventstore.Version(i + 1), Schema: 1, Data: []byte("s")})
						r.saveCheckpoint(s, stream.ID, r.checkpoint(s, stream.ID), eventstore.Position(stream.ID))
						continue
					}
					r.read(s, stream, 0)
					r.loadSnapshot(s, stream, 1)
					r.checkpoint(s, stream.ID)
				}
			})
			for _, id := range []string{"a", "b", "c", "d"} {
				if got := len(r.read(s, account(id), 0)); got != 10 {
					r.errorf("Read of %s gives %d events, want 10", id, got)
				}
			}
		},
	},
}

// spoil changes what an event points to.
func spoil(ev *eventstore.Event) {
	for i := range ev.Data {
		ev.Data[i] = 'X'
	}
	for name := range ev.Metadata {
		ev.Metadata[name] = "X"
	}
}
