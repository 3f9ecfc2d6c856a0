package actors_test

import (
	"context"
	"testing"

	"github.com/troupe-go/troupe/actors"
)

// BenchmarkTell is a message to an actor and its handling.
func BenchmarkTell(b *testing.B) {
	sys, err := actors.NewSystem(actors.SystemConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer sys.Close()
	n, handled := 0, 0
	ref, err := actors.Spawn(sys, "a", func() actors.Behavior[int] {
		return actors.Behavior[int]{Receive: func(context.Context, int) error { handled++; return nil }}
	}, actors.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := ref.Tell(ctx, 1); err != nil {
			b.Fatal(err)
		}
		n++
	}
	_ = ref.Stop(ctx, actors.Drain)
	if handled != n {
		b.Fatalf("handled %d of %d", handled, n)
	}
}

// BenchmarkRouter is BenchmarkTell by way of a router to eight actors.
func BenchmarkRouter(b *testing.B) {
	for _, routing := range []actors.Routing[int]{
		actors.RoundRobin[int](), actors.LeastBusy[int](),
		actors.ConsistentHash(func(m int) string { return "key"[:m%3] }), actors.Broadcast[int](),
	} {
		b.Run(routing.String(), func(b *testing.B) {
			sys, err := actors.NewSystem(actors.SystemConfig{})
			if err != nil {
				b.Fatal(err)
			}
			defer sys.Close()
			r, err := actors.NewRouter(routing)
			if err != nil {
				b.Fatal(err)
			}
			for i := range 8 {
				ref, err := actors.Spawn(sys, string(rune('a'+i)), func() actors.Behavior[int] {
					return actors.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
				}, actors.Config{})
				if err != nil {
					b.Fatal(err)
				}
				r.Add(ref)
			}
			refs := r.Refs()
			ctx, n := context.Background(), 0
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Tell(ctx, n); err != nil {
					b.Fatal(err)
				}
				n++
			}
			handled := 0
			for _, ref := range refs {
				_ = ref.Stop(ctx, actors.Drain)
				handled += int(ref.Cell().Counts().Done)
			}
			if routing.String() == "broadcast" {
				n *= len(refs)
			}
			if handled != n {
				b.Fatalf("handled %d of %d", handled, n)
			}
		})
	}
}
