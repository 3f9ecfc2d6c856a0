package runtime

import (
	"context"
	"fmt"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

// UntilDone ends the subscription when ctx ends, as Unsubscribe with rest does.
// It does not block, and holds no goroutine: what it costs ends with the
// subscription or with ctx, whichever is first.
func (s *Subscription) UntilDone(ctx context.Context, rest actors.Rest) error {
	if rest > Discard {
		return fmt.Errorf("runtime: %s/%s until done: rest %d: must be Drain, DeadLetterRest or Discard", s.topic, s.name, rest)
	}
	stop := context.AfterFunc(ctx, func() { s.cell.Stop(rest, supervisor.ReasonUnsubscribed) })
	s.cell.AfterDone(func() { stop() })
	return nil
}
