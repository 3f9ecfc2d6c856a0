package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// mixed appends n events to streams of three categories in turn, and returns them as a
// follower of all gets them.
func mixed(r *recorder, s eventstore.Store, n int) []eventstore.Recorded {
	for i := range n {
		stream := eventstore.Stream{Category: []string{"account", "order", "user"}[i%3], ID: fmt.Sprint(i % 7)}
		r.append(s, stream, eventstore.Any, small(fmt.Sprint("e", i)))
	}
	all := r.next(r.follow(s, eventstore.Start), n)
	for i := range all {
		if all[i].ID != fmt.Sprint("e", i) {
			r.fatalf("event %d of a follower is %s, of events that were appended one after the other", i, all[i].ID)
		}
	}
	return all
}

var followCases = []testCase{
	{
		name:    "a follower begins after a position",
		promise: "Follow gives what comes after the position of any event, and all after Start",
		run: func(r *recorder) {
			s := r.open()
			all := mixed(r, s, 40)
			for i := range all[:len(all)-1] {
				f := r.follow(s, all[i].Position)
				if got, want := ids(r.next(f, len(all)-i-1)), ids(all[i+1:]); !slices.Equal(got, want) {
					r.errorf("a follower after event %d gets %q, want %q", i, got, want)
				}
				if err := f.Close(); err != nil {
					r.errorf("Close of a follower: %v", err)
				}
			}
		},
	},
	{
		name:    "a follower of categories",
		promise: "Follow gives the events of its categories and no others, after a position that may be of another category",
		run: func(r *recorder) {
			s := r.open()
			all := mixed(r, s, 42)
			for _, categories := range [][]string{{"account"}, {"order", "user"}, {"user", "user", "account"}, {"order", "nothing"}} {
				for _, from := range []int{0, 1, 2, 3, 20} {
					var want []eventstore.Recorded
					for _, ev := range all[from:] {
						if slices.Contains(categories, ev.Stream.Category) {
							want = append(want, ev)
						}
					}
					after := eventstore.Start
					if from > 0 {
						after = all[from-1].Position
					}
					f := r.follow(s, after, categories...)
					if got := ids(r.next(f, len(want))); !slices.Equal(got, ids(want)) {
						r.errorf("a follower of %q after event %d gets %q, want %q", categories, from, got, ids(want))
					}
					if n := r.lag(f); n != 0 {
						r.errorf("Lag = %d after all events of %q, want 0", n, categories)
					}
					f.Close()
				}
			}
		},
	},
	{
		name:    "Next gives no more than it is asked for",
		promise: "Next returns between 1 and max events, the next ones",
		run: func(r *recorder) {
			s := r.open()
			all := mixed(r, s, 30)
			f := r.follow(s, eventstore.Start)
			var got []eventstore.Recorded
			for most := 1; len(got) < len(all); most = most%5 + 1 {
				some, err := f.Next(context.Background(), most)
				if err != nil || len(some) == 0 || len(some) > most {
					r.fatalf("Next(%d) gives %d events, %v", most, len(some), err)
				}
				got = append(got, some...)
				if n := int(r.lag(f)); n != len(all)-len(got) {
					r.errorf("Lag = %d after %d of %d events", n, len(got), len(all))
				}
			}
			if !slices.Equal(ids(got), ids(all)) {
				r.errorf("got %q", ids(got))
			}
		},
	},
	{
		name:    "lag counts what is to come",
		promise: "Lag counts the events of the categories after the last that Next has returned, as they are appended",
		run: func(r *recorder) {
			s := r.open()
			f, g := r.follow(s, eventstore.Start, "account"), r.follow(s, eventstore.Start)
			for i := range 6 {
				if a, b := r.lag(f), r.lag(g); a != uint64(i) || b != uint64(2*i) {
					r.errorf("Lag = %d of one category and %d of all, want %d and %d", a, b, i, 2*i)
				}
				r.append(s, account("a"), eventstore.Any, small("x"))
				r.append(s, eventstore.Stream{Category: "order", ID: "a"}, eventstore.Any, small("x"))
			}
			r.next(f, 2)
			r.next(g, 5)
			if a, b := r.lag(f), r.lag(g); a != 4 || b != 7 {
				r.errorf("Lag = %d and %d after 2 of 6 and 5 of 12, want 4 and 7", a, b)
			}
		},
	},
	{
		name:    "a call that is given up takes nothing",
		promise: "a Next whose ctx ends returns its cause soon, and the next call goes on where it would have",
		run: func(r *recorder) {
			s := r.open()
			f := r.follow(s, eventstore.Start)
			cause := errors.New("given up")
			for i := range 12 {
				ctx, cancel := context.WithTimeoutCause(context.Background(), time.Duration(i)*time.Millisecond, cause)
				if _, err := f.Next(ctx, 10); !errors.Is(err, cause) {
					r.errorf("Next without an event = %v, want the cause of its ctx", err)
				}
				cancel()
			}
			var got []eventstore.Recorded
			appended := make(chan struct{})
			go func() {
				defer close(appended)
				for i := range 50 {
					r.guard(func() { r.append(s, account("a"), eventstore.Version(i), small(fmt.Sprint(i))) })
				}
			}()
			for len(got) < 50 {
				ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, cause)
				some, err := f.Next(ctx, 3)
				cancel()
				if err != nil && (!errors.Is(err, cause) || len(some) > 0) {
					r.fatalf("Next = %d events, %v", len(some), err)
				}
				got = append(got, some...)
			}
			<-appended
			for i, ev := range got {
				if ev.ID != fmt.Sprint(i) {
					r.fatalf("event %d is %s", i, ev.ID)
				}
			}
			ended, cancel := context.WithCancelCause(context.Background())
			cancel(cause)
			if _, err := f.Next(ended, 1); !errors.Is(err, cause) {
				r.errorf("Next with an ended ctx = %v, want its cause", err)
			}
		},
	},
	{
		name:    "the ctx of Follow ends nothing",
		promise: "ctx bounds the call of Follow only",
		run: func(r *recorder) {
			s := r.open()
			ctx, cancel := context.WithCancel(context.Background())
			f, err := s.Follow(ctx, eventstore.Start)
			cancel()
			if err != nil {
				r.fatalf("Follow: %v", err)
			}
			r.append(s, account("a"), 0, small("x"))
			r.next(f, 1)
		},
	},
	{
		name:    "closing a follower",
		promise: "Close ends a Next that waits and all that follow with engine.ErrClosed, can be called again, and concerns no other follower",
		run: func(r *recorder) {
			s := r.open()
			f, other := r.follow(s, eventstore.Start), r.follow(s, eventstore.Start)
			ended := make(chan error, 1)
			go func() {
				_, err := f.Next(context.Background(), 1)
				ended <- err
			}()
			// Before or after Next has begun to wait: it must not matter.
			for range 2 {
				if err := f.Close(); err != nil {
					r.errorf("Close: %v", err)
				}
			}
			if err := <-ended; !errors.Is(err, engine.ErrClosed) {
				r.errorf("Next that waits when its follower is closed = %v, want ErrClosed", err)
			}
			r.append(s, account("a"), 0, small("x"))
			if _, err := f.Next(context.Background(), 1); !errors.Is(err, engine.ErrClosed) {
				r.errorf("Next of a closed follower = %v, want ErrClosed", err)
			}
			r.next(other, 1)
		},
	},
	{
		name:    "a position that is none",
		promise: "Follow refuses what is no position of a store with engine.ErrMismatch",
		run: func(r *recorder) {
			s := r.open()
			r.append(s, account("a"), 0, small("x"))
			for _, p := range []eventstore.Position{"x", "-1", "no position at all", "0"} {
				if f, err := s.Follow(context.Background(), p); !errors.Is(err, engine.ErrMismatch) {
					r.errorf("Follow after %q = %v, %v, want ErrMismatch", p, f, err)
				}
			}
		},
	},
}
