package deadlettertest

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/troupe-go/troupe/deadletter"
)

var deleteCases = []testCase{
	{
		name:    "Delete counts what was there",
		promise: "Delete removes the letters named and no other, returns how many of them were there, and does not mind the rest",
		run: func(r *recorder, s deadletter.Store) {
			batch := smalls(0, 6)
			r.add(s, batch...)
			for _, tc := range []struct {
				ids  []string
				want int
			}{
				{nil, 0},
				{[]string{"no such letter", ""}, 0},
				{[]string{batch[1].ID, "no such letter", batch[3].ID}, 2},
				{[]string{batch[1].ID, batch[3].ID}, 0},
				{[]string{batch[5].ID, batch[5].ID}, 1},
			} {
				if got := r.delete(s, tc.ids...); got != tc.want {
					r.errorf("Delete(%q) = %d, want %d", tc.ids, got, tc.want)
				}
			}
			want := []string{batch[4].ID, batch[2].ID, batch[0].ID}
			if got := r.all(s, deadletter.Query{}); !slices.Equal(got, want) {
				r.errorf("List gives %q, want %q", got, want)
			}
			if got := r.list(s, deadletter.Query{}).Total; got != 3 {
				r.errorf("Total = %d, want 3", got)
			}
			if _, err := s.Get(context.Background(), batch[1].ID); !errors.Is(err, deadletter.ErrNotFound) {
				r.errorf("Get of a deleted letter = %v, want ErrNotFound", err)
			}
		},
	},
	{
		name:    "a deleted letter can be added again",
		promise: "deleting forgets the ID as well: an export can be imported after its letters were deleted",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, full("a"))
			r.delete(s, "a")
			again := small(1)
			again.ID = "a"
			r.add(s, again)
			if d := difference(r.get(s, "a"), again); d != "" {
				r.errorf("%s", d)
			}
		},
	},
	{
		name:    "a closed store says so",
		promise: "if the store has a Close method, it may be called twice, and after it every method gives ErrClosed",
		run: func(r *recorder, s deadletter.Store) {
			c, ok := s.(io.Closer)
			if !ok {
				return
			}
			r.add(s, small(1))
			for range 2 {
				if err := c.Close(); err != nil {
					r.errorf("Close = %v", err)
				}
			}
			for name, call := range calls(r, s, small(1).ID) {
				if err := call(context.Background()); !errors.Is(err, deadletter.ErrClosed) {
					r.errorf("%s = %v, want ErrClosed", name, err)
				}
			}
		},
	},
}
