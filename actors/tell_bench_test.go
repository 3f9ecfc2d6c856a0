package actors_test

import (
	"context"
	"sync/atomic"
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
	var n atomic.Int64
	handled := 0
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
		n.Add(1)
	}
	_ = ref.Stop(ctx, actors.Drain)
	if handled != int(n.Load()) {
		b.Fatalf("handled %d of %d", handled, n.Load())
	}
}
