package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// streamIDs are of texts that a store might take for something else.
var streamIDs = []string{
	"a", "A", "a.b", "a.", ".a", ".", "*", "a.*", ">", "a b", " a", "a/b", "a%2Eb", "a%b", "a_b", "a_", "a*", "ä", "日本", "'", "\"", "0", "00",
	"a\tb", "a\\b", "$a", "-", "_", strings.Repeat("x", 200), strings.Repeat("é", 100),
}

var appendCases = []testCase{
	{
		name:    "every field comes back",
		promise: "an event is read as it was appended, its time in UTC to the microsecond",
		run: func(r *recorder) {
			s := r.open()
			want := []eventstore.Event{full(), {Type: "t"}, {ID: "large", Type: "t", Data: make([]byte, 256<<10)}}
			r.append(s, account("a"), eventstore.NoStream, want[0])
			r.append(s, account("a"), 1, want[1])
			r.append(s, account("a"), 2, want[2])
			got := r.read(s, account("a"), 0)
			if len(got) != 3 {
				r.fatalf("Read gives %d events, want 3", len(got))
			}
			if got[1].ID == "" || got[1].Time.IsZero() {
				r.errorf("an event without ID and time has ID %q and time %v, want some", got[1].ID, got[1].Time)
			}
			want[1].ID = got[1].ID
			f := r.follow(s, eventstore.Start)
			for i, ev := range r.next(f, 3) {
				if d := difference(got[i].Event, want[i]); d != "" {
					r.errorf("event %d as it is read:\n%s", i, d)
				}
				if d := difference(ev.Event, want[i]); d != "" {
					r.errorf("event %d as it is followed:\n%s", i, d)
				}
				for _, at := range []eventstore.Recorded{got[i], ev} {
					if at.Stream != account("a") || at.Version != eventstore.Version(i+1) || at.Position != ev.Position || at.Position == eventstore.Start {
						r.errorf("event %d is %s, version %d at %q, want account/a, %d, %q", i, at.Stream, at.Version, at.Position, i+1, ev.Position)
					}
				}
			}
		},
	},
	{
		name:    "versions count the events of a stream",
		promise: "versions begin with 1 and have no gap, Append returns the last one and its position, and positions grow",
		run: func(r *recorder) {
			s := r.open()
			first := r.append(s, account("a"), eventstore.NoStream, smalls("a", 3)...)
			other := r.append(s, account("b"), eventstore.NoStream, small("b"))
			second := r.append(s, account("a"), 3, smalls("c", 2)...)
			if first.Version != 3 || other.Version != 1 || second.Version != 5 {
				r.errorf("Append returns versions %d, %d and %d, want 3, 1 and 5", first.Version, other.Version, second.Version)
			}
			if !(first.Position < other.Position && other.Position < second.Position) {
				r.errorf("Append returns positions %q, %q, %q, want them to grow", first.Position, other.Position, second.Position)
			}
			got := r.read(s, account("a"), 0)
			for i, ev := range got {
				if ev.Version != eventstore.Version(i+1) || i > 0 && ev.Position <= got[i-1].Position {
					r.errorf("event %d has version %d and position %q after %q", i, ev.Version, ev.Position, got[max(i-1, 0)].Position)
				}
			}
			if len(got) != 5 || got[2].Position != first.Position || got[4].Position != second.Position {
				r.errorf("Read gives %d events, which do not lie where Append has said", len(got))
			}
		},
	},
	{
		name:    "streams do not mix",
		promise: "the ID of a stream is any text, and no two are the same stream",
		run: func(r *recorder) {
			s := r.open()
			categories := []string{"account", "Account", "a-b", "a_b"}
			for _, c := range categories {
				for i, id := range streamIDs {
					r.append(s, eventstore.Stream{Category: c, ID: id}, eventstore.NoStream, small(fmt.Sprint(c, i)))
				}
			}
			for _, c := range categories {
				for _, id := range streamIDs {
					stream := eventstore.Stream{Category: c, ID: id}
					if got := r.read(s, stream, 0); len(got) != 1 || got[0].Stream != stream {
						r.errorf("Read of %s gives %q, want the one event", stream, ids(got))
					}
				}
			}
			f := r.follow(s, eventstore.Start, "Account")
			for i, ev := range r.next(f, len(streamIDs)) {
				if want := (eventstore.Stream{Category: "Account", ID: streamIDs[i]}); ev.Stream != want {
					r.errorf("the follower's event %d is of %s, want %s", i, ev.Stream, want)
				}
			}
		},
	},
	{
		name:    "a conflict stores nothing",
		promise: "Append at another version is a *ConflictError that says which it is, and stores nothing",
		run: func(r *recorder) {
			s := r.open()
			r.append(s, account("a"), eventstore.NoStream, smalls("a", 3)...)
			for _, c := range []struct {
				stream           string
				expected, actual eventstore.Version
				n                int
			}{{"a", 0, 3, 1}, {"a", 2, 3, 1}, {"a", 4, 3, 1}, {"a", 1, 3, 2}, {"a", 2, 3, 40}, {"b", 1, 0, 1}, {"b", 7, 0, 2}} {
				_, err := s.Append(context.Background(), account(c.stream), c.expected, smalls("x", c.n)...)
				conflict, ok := errors.AsType[*eventstore.ConflictError](err)
				if !ok || !errors.Is(err, eventstore.ErrConflict) {
					r.errorf("Append of %d to %s, expecting %d = %v, want a *ConflictError", c.n, c.stream, c.expected, err)
				} else if want := (eventstore.ConflictError{Stream: account(c.stream), Expected: c.expected, Actual: c.actual}); *conflict != want {
					r.errorf("Append of %d to %s, expecting %d = %+v, want %+v", c.n, c.stream, c.expected, *conflict, want)
				}
			}
			if got := ids(r.read(s, account("a"), 0)); !slices.Equal(got, []string{"a-0", "a-1", "a-2"}) {
				r.errorf("Read gives %q after conflicts", got)
			}
			r.append(s, account("a"), 3, small("next"))
			r.append(s, account("b"), eventstore.NoStream, small("first"))
			if got := ids(r.next(r.follow(s, eventstore.Start), 5)); !slices.Equal(got, []string{"a-0", "a-1", "a-2", "next", "first"}) {
				r.errorf("a follower gets %q after conflicts", got)
			}
		},
	},
	{
		name:    "Any appends whatever is there",
		promise: "Append under Any finds no conflict, and every event has a version of its own",
		run: func(r *recorder) {
			a, b := r.open(), r.open()
			r.together(4, func(w int) {
				for i := range 10 {
					r.append([]eventstore.Store{a, b}[w%2], account("a"), eventstore.Any, smalls(fmt.Sprint(w, "-", i), 1+i%2)...)
				}
			})
			got := r.read(a, account("a"), 0)
			for i, ev := range got {
				if ev.Version != eventstore.Version(i+1) {
					r.errorf("event %d has version %d", i, ev.Version)
				}
			}
			if len(got) != 60 {
				r.errorf("Read gives %d events, want 60", len(got))
			}
		},
	},
	{
		name:    "an append can be repeated",
		promise: "an Append whose events are there already, where they were to go, is done: its answer was lost",
		run: func(r *recorder) {
			s := r.open()
			stream, events := account("a"), smalls("a", 3)
			first := r.append(s, stream, eventstore.NoStream, events...)
			if again := r.append(s, stream, eventstore.NoStream, events...); again != first {
				r.errorf("the same Append again = %+v, want %+v", again, first)
			}
			one := r.append(s, stream, 3, small("one"))
			r.append(s, stream, 4, smalls("later", 2)...)
			if again := r.append(s, stream, eventstore.NoStream, events...); again != first {
				r.errorf("the same Append again after others = %+v, want %+v", again, first)
			}
			if again := r.append(s, stream, 3, small("one")); again != one {
				r.errorf("the same Append of one again = %+v, want %+v", again, one)
			}
			for _, c := range []struct {
				expected eventstore.Version
				events   []eventstore.Event
			}{
				{0, events[1:]}, {0, append(slices.Clone(events[:2]), small("other"))}, {1, events}, {0, []eventstore.Event{events[1], events[0]}},
				{4, smalls("later", 3)}, {0, append(slices.Clone(events), small("more"))},
			} {
				if _, err := s.Append(context.Background(), stream, c.expected, c.events...); !errors.Is(err, eventstore.ErrConflict) {
					r.errorf("Append of %q, expecting %d = %v, want a conflict: these are not the events that are there", idsOf(c.events), c.expected, err)
				}
			}
			if got := len(r.read(s, stream, 0)); got != 6 {
				r.errorf("Read gives %d events, want 6", got)
			}
		},
	},
	{
		name:    "an append is seen whole",
		promise: "whoever reads, or appends, while others append several events at once finds all of them or none",
		run: func(r *recorder) {
			a, b := r.open(), r.open()
			var done atomic.Bool
			var writers sync.WaitGroup
			for w := range 2 {
				writers.Go(func() {
					for i := range 15 {
						r.guard(func() { r.append(a, account("a"), eventstore.Any, smalls(fmt.Sprint(w, "-", i), 4)...) })
					}
				})
			}
			go func() { writers.Wait(); done.Store(true) }()
			for last := false; !last; {
				last = done.Load()
				if n := len(r.read(b, account("a"), 0)); n%4 != 0 {
					r.fatalf("Read gives %d events while others append 4 at a time", n)
				}
				runtime.Gosched()
			}
			if n := len(r.read(b, account("a"), 0)); n != 120 {
				r.errorf("Read gives %d events, want 120", n)
			}
		},
	},
	{
		name:    "an append of many",
		promise: "Append takes MaxAppend events, and refuses more of them with engine.ErrTooLarge",
		run: func(r *recorder) {
			s := r.open()
			many := smalls("m", eventstore.MaxAppend+1)
			if _, err := s.Append(context.Background(), account("a"), 0, many...); !errors.Is(err, engine.ErrTooLarge) {
				r.errorf("Append of %d = %v, want ErrTooLarge", len(many), err)
			}
			r.append(s, account("a"), 0, many[1:]...)
			if got := ids(r.read(s, account("a"), 0)); !slices.Equal(got, idsOf(many[1:])) {
				r.errorf("Read gives %d events, or in another order, of %d", len(got), len(many)-1)
			}
		},
	},
	{
		name:    "concurrent appenders do not overwrite each other",
		promise: "of those who append at the same version at once, one succeeds",
		run: func(r *recorder) {
			stores := []eventstore.Store{r.open(), r.open()}
			const workers, each = 6, 8
			var winners sync.Map // the first event of each Append by the version that it expected
			var wins atomic.Int32
			r.together(workers, func(w int) {
				s := stores[w%2]
				for i := range each {
					for {
						at := eventstore.Version(len(r.read(s, account("a"), 0)))
						events := smalls(fmt.Sprint(w, "-", i), 1+i%3)
						done, err := s.Append(context.Background(), account("a"), at, events...)
						if err == nil {
							wins.Add(1)
							if want := at + eventstore.Version(len(events)); done.Version != want {
								r.errorf("Append of %d, expecting %d, returns version %d, want %d", len(events), at, done.Version, want)
							}
							if _, twice := winners.LoadOrStore(at, events[0].ID); twice {
								r.errorf("two have appended at version %d", at)
							}
							break
						}
						conflict, ok := errors.AsType[*eventstore.ConflictError](err)
						if !ok || conflict.Actual <= at {
							r.fatalf("Append, expecting %d = %v, want a *ConflictError with a higher version", at, err)
						}
					}
				}
			})
			got := r.read(stores[1], account("a"), 0)
			seen := map[string]bool{}
			for i, ev := range got {
				if ev.Version != eventstore.Version(i+1) || seen[ev.ID] {
					r.errorf("event %d has version %d and ID %s, which is there twice: %v", i, ev.Version, ev.ID, seen[ev.ID])
				}
				seen[ev.ID] = true
				if first, ok := winners.Load(ev.Version - 1); ok && first != ev.ID {
					r.errorf("version %d is %s, and the one who expected %d has appended %s", ev.Version, ev.ID, ev.Version-1, first)
				}
			}
			if n := wins.Load(); n != workers*each {
				r.errorf("%d of %d have succeeded", n, workers*each)
			}
			if want := workers * (1 + 2 + 3 + 1 + 2 + 3 + 1 + 2); len(got) != want {
				r.errorf("Read gives %d events, want %d", len(got), want)
			}
		},
	},
	{
		name:    "what can not be right is refused",
		promise: "bad arguments are an ErrInvalid, and store nothing",
		run: func(r *recorder) {
			s := r.open()
			good := account("a")
			for name, call := range map[string]func() error{
				"no category":      func() error { return appended(s, eventstore.Stream{ID: "a"}, 0, small("x")) },
				"category of dots": func() error { return appended(s, eventstore.Stream{Category: "a.b", ID: "a"}, 0, small("x")) },
				"no ID":            func() error { return appended(s, eventstore.Stream{Category: "a"}, 0, small("x")) },
				"long ID":          func() error { return appended(s, account(strings.Repeat("x", 201)), 0, small("x")) },
				"ID of bytes":      func() error { return appended(s, account("\xff"), 0, small("x")) },
				"no events":        func() error { return appended(s, good, 0) },
				"an ID twice":      func() error { return appended(s, good, 0, small("x"), small("x")) },
				"negative version": func() error { return appended(s, good, -2, small("x")) },
				"no type":          func() error { return appended(s, good, 0, small("y"), eventstore.Event{}) },
				"metadata": func() error {
					return appended(s, good, 0, eventstore.Event{Type: "t", Metadata: map[string]string{"a b": ""}})
				},
				"metadata of lines": func() error {
					return appended(s, good, 0, eventstore.Event{Type: "t", Metadata: map[string]string{"a": "b\r\nc"}})
				},
				"read":   func() error { return readErr(s, eventstore.Stream{}) },
				"follow": func() error { _, err := s.Follow(context.Background(), eventstore.Start, "a b"); return err },
				"snapshot": func() error {
					return s.SaveSnapshot(context.Background(), eventstore.Snapshot{Stream: good, Version: 0, Schema: 1})
				},
				"snapshot of schema": func() error {
					return s.SaveSnapshot(context.Background(), eventstore.Snapshot{Stream: good, Version: 1})
				},
				"load snapshot":   func() error { _, _, err := s.LoadSnapshot(context.Background(), eventstore.Stream{}, 1); return err },
				"checkpoint":      func() error { _, err := s.LoadCheckpoint(context.Background(), ""); return err },
				"save checkpoint": func() error { return s.SaveCheckpoint(context.Background(), "a b", "", "") },
			} {
				if err := call(); !errors.Is(err, eventstore.ErrInvalid) {
					r.errorf("%s = %v, want ErrInvalid", name, err)
				}
			}
			r.append(s, good, 0, small("good"))
			if got := ids(r.next(r.follow(s, eventstore.Start), 1)); got[0] != "good" {
				r.errorf("the first event is %q, want the good one", got[0])
			}
		},
	},
}

func appended(s eventstore.Store, stream eventstore.Stream, expected eventstore.Version, events ...eventstore.Event) error {
	_, err := s.Append(context.Background(), stream, expected, events...)
	return err
}

// readErr is the error of reading a stream, nil if there is none.
func readErr(s eventstore.Store, stream eventstore.Stream) error {
	for _, err := range s.Read(context.Background(), stream, 0) {
		return err
	}
	return nil
}
