package deadlettertest

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var contextCases = []testCase{
	{
		name:    "an ended context stops every call",
		promise: "a call whose ctx has ended returns ctx's error and has done nothing",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, full("a"))
			canceled, cancel := context.WithCancel(context.Background())
			cancel()
			expired, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
			defer cancel()
			for _, ctx := range []context.Context{canceled, expired} {
				for name, call := range calls(r, s, "a") {
					if err := call(ctx); !errors.Is(err, ctx.Err()) {
						r.errorf("%s = %v, want %v", name, err, ctx.Err())
					}
				}
			}
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("the letter has changed:\n%s", d)
			}
			if got := r.list(s, deadletter.Query{}).Total; got != 1 {
				r.errorf("Total = %d, want 1", got)
			}
		},
	},
}

// calls returns every method as a call that would succeed on an open store
// that holds the letter, but must not be carried out.
func calls(r *recorder, s deadletter.Store, id string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Add":          func(ctx context.Context) error { return s.Add(ctx, smalls(1000, 1002)) },
		"Add(nothing)": func(ctx context.Context) error { return s.Add(ctx, nil) },
		"Get":          func(ctx context.Context) error { _, err := s.Get(ctx, id); return err },
		"List":         func(ctx context.Context) error { _, err := s.List(ctx, deadletter.Query{}); return err },
		"Update": func(ctx context.Context) error {
			return s.Update(ctx, id, func(l *deadletter.Letter) error {
				r.errorf("Update called fn")
				l.Error = "changed"
				return nil
			})
		},
		"Delete": func(ctx context.Context) error {
			n, err := s.Delete(ctx, id)
			if n != 0 {
				r.errorf("Delete = %d letters", n)
			}
			return err
		},
	}
}
