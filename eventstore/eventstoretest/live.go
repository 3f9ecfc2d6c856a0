package eventstoretest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/eventstore"
)

var liveCases = []testCase{
	{
		name:    "from what is there to what comes",
		promise: "a follower that begins while others append gets each event once, in the order of positions, without a gap",
		run: func(r *recorder) {
			const writers, each, followers = 4, 60, 4
			stores := []eventstore.Store{r.open(), r.open()}
			const total = writers * each * 2 // appends of 1, 2 and 3 events
			var positions sync.Map           // where appends have put their last events
			got := make([][]eventstore.Recorded, followers)
			// Half way through all followers begin, each at another place.
			half := make(chan struct{})
			var once sync.Once
			r.together(writers+followers, func(w int) {
				if w < writers {
					for i := range each {
						stream := eventstore.Stream{Category: []string{"account", "order"}[w%2], ID: fmt.Sprint(w, i%5)}
						events := smalls(fmt.Sprint(w, "-", i), 1+i%3)
						done := r.append(stores[w%2], stream, eventstore.Any, events...)
						positions.Store(events[len(events)-1].ID, done.Position)
						if w == 0 && i == each/2 {
							once.Do(func() { close(half) })
						}
					}
					return
				}
				n := w - writers
				s := stores[n%2]
				if n > 0 {
					<-half
				}
				// From the start, then again from any event that has come.
				first := r.next(r.follow(s, eventstore.Start), 1+n*7)
				at := first[len(first)-1].Position
				got[n] = append(first, r.next(r.follow(s, at), total-len(first))...)
			})
			want := r.next(r.follow(stores[0], eventstore.Start), total)
			if len(r.failures()) > 0 {
				return
			}
			at := map[string]eventstore.Position{}
			versions := map[eventstore.Stream]eventstore.Version{}
			for i, ev := range want {
				if i > 0 && ev.Position <= want[i-1].Position {
					r.errorf("position %q comes after %q", ev.Position, want[i-1].Position)
				}
				if versions[ev.Stream]++; ev.Version != versions[ev.Stream] {
					r.errorf("version %d of %s comes when %d is to come", ev.Version, ev.Stream, versions[ev.Stream])
				}
				at[ev.ID] = ev.Position
			}
			if len(at) != total {
				r.errorf("a follower gets %d events of %d, some of them again", len(at), total)
			}
			positions.Range(func(id, p any) bool {
				if at[id.(string)] != p {
					r.errorf("event %s is at %q, and Append has said %q", id, at[id.(string)], p)
				}
				return true
			})
			for n := range got {
				if !slices.Equal(ids(got[n]), ids(want)) {
					r.errorf("follower %d, which began while others appended, gets other events, or in another order: %s", n, firstDifference(got[n], want))
				}
			}
		},
	},
	{
		name:    "a category live",
		promise: "a follower of a category that has caught up gets what is appended to it, whatever is appended elsewhere",
		run: func(r *recorder) {
			a, b := r.open(), r.open()
			f := r.follow(a, eventstore.Start, "account")
			for i := range 60 {
				s := []eventstore.Store{a, b}[i%2]
				for range i % 4 {
					r.append(s, eventstore.Stream{Category: "order", ID: "o"}, eventstore.Any, small("elsewhere"))
				}
				r.append(s, account(fmt.Sprint(i%3)), eventstore.Any, small(fmt.Sprint(i)))
				if ev := r.next(f, 1)[0]; ev.ID != fmt.Sprint(i) {
					r.fatalf("event %d of the follower is %s of %s", i, ev.ID, ev.Stream)
				}
			}
		},
	},
	{
		name:    "an append is followed in one piece",
		promise: "the events of one Append follow each other without those of another in between",
		run: func(r *recorder) {
			stores := []eventstore.Store{r.open(), r.open()}
			r.together(4, func(w int) {
				for i := range 20 {
					r.append(stores[w%2], account(fmt.Sprint(w)), eventstore.Any, smalls(fmt.Sprint(w, "-", i), 3)...)
				}
			})
			all := r.next(r.follow(stores[0], eventstore.Start), 4*20*3)
			for i := 0; i < len(all); i += 3 {
				if all[i].Stream != all[i+1].Stream || all[i].Stream != all[i+2].Stream {
					r.fatalf("events %d to %d are %q", i, i+2, ids(all[i:i+3]))
				}
			}
		},
	},
}

func firstDifference(got, want []eventstore.Recorded) string {
	for i := range min(len(got), len(want)) {
		if got[i].ID != want[i].ID {
			return fmt.Sprintf("event %d is %s at %q, want %s at %q", i, got[i].ID, got[i].Position, want[i].ID, want[i].Position)
		}
	}
	return fmt.Sprintf("%d events, want %d (%d)", len(got), len(want), cmp.Compare(len(got), len(want)))
}
