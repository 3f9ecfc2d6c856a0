package deadletter

import (
	"context"
	"iter"
	"time"
)

// All returns the letters that q selects, page after page, until they end, ctx
// ends or the store fails; then the last pair holds the error. The order and
// what is seen of changes meanwhile are those of [Store].List; ages are as of
// q.Now, or of the moment when reading begins.
func All(ctx context.Context, store Store, q Query) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		q := q
		if q.Now.IsZero() {
			q.Now = time.Now()
		}
		for {
			page, err := store.List(ctx, q)
			if err != nil {
				yield(Letter{}, err)
				return
			}
			for _, l := range page.Letters {
				if !yield(l, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.After = page.Next
		}
	}
}
