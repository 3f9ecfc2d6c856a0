package actors_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/actors"
)

func TestBehaviorsAreAStackAndARestartBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var got tape[string]
		var handle func(name string) func(context.Context, string) error
		handle = func(name string) func(context.Context, string) error {
			return func(ctx context.Context, m string) error {
				got.add(name + " " + m)
				switch m {
				case "pop":
					if !actors.Unbecome(ctx) {
						got.add("at the bottom")
					}
				case "boom":
					panic("boom")
				case "x", "y":
					return actors.Become(ctx, handle(m))
				case "X", "Y":
					return actors.BecomeStacked(ctx, handle(m))
				}
				return nil
			}
		}
		ref := actorOf(w, "a", actors.Config{Policy: once}, func() actors.Behavior[string] {
			return actors.Behavior[string]{Receive: handle("first")}
		})
		for _, m := range []string{"1", "x", "2", "y", "X", "Y", "3", "pop", "4", "pop", "pop", "pop", "X", "boom", "5"} {
			_ = ref.Tell(t.Context(), m)
		}
		synctest.Wait()
		want(t, "handled", got.all(), []string{
			"first 1", "first x", "x 2", "x y", "y X", "X Y", "Y 3", "Y pop", "X 4", "X pop", "y pop", "first pop", "at the bottom",
			"first X", "X boom", "first 5",
		})
	})
}

func TestBecomeInStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var got tape[string]
		ref := actorOf(w, "a", actors.Config{Policy: once}, func() actors.Behavior[string] {
			return actors.Behavior[string]{
				Start: func(ctx context.Context) error {
					return actors.Become(ctx, func(ctx context.Context, m string) error {
						got.add("started " + m)
						actors.Unbecome(ctx)
						return nil
					})
				},
				Receive: func(_ context.Context, m string) error { got.add(m); return nil },
			}
		})
		_, _ = ref.Tell(t.Context(), "1"), ref.Tell(t.Context(), "2")
		synctest.Wait()
		want(t, "handled", got.all(), []string{"started 1", "2"})
	})
}

func TestBecomeRefuses(t *testing.T) {
	handle := func(context.Context, int) error { return nil }
	wantErr(t, "outside", actors.Become(t.Context(), handle), actors.ErrNoActor)
	if actors.Unbecome(t.Context()) {
		t.Error("Unbecome outside: true")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tell(t, doer(w, "a", actors.Config{}), func(ctx context.Context) error {
			wantErr(t, "type", actors.Become(ctx, handle), actors.ErrTypeMismatch)
			if actors.Become[do](ctx, nil) == nil {
				t.Error("nil: no error")
			}
			return nil
		})
	})
}
