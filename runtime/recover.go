package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// errUnderWay keeps a letter as it is whose outcome will come.
var errUnderWay = errors.New("runtime: the redrive is under way")

// RecoverRedrives ends the redrives that a process before this one has left without an
// outcome: outcome in_doubt, the letter open again, for somebody to decide, since its
// handler may have succeeded. It returns how many there were. The runtime's own
// redrives go on.
//
// In a deadletter.Fleet it ends those of members that have died, which every member does
// by itself all the time. In another store it takes every letter that is redriving for
// one of the dead process: two runtimes that share a store that is not a fleet must not
// call it while the other one runs. The host's name would not tell them apart, and in a
// container it is another one after each start. Package ops calls it.
//
// Errors are those of the store; what has been ended until then stays so.
func (rt *Runtime) RecoverRedrives(ctx context.Context) (int, error) {
	if rt.fleet != nil {
		return rt.fleet.round(ctx)
	}
	ended := 0
	q := deadletter.Query{State: deadletter.StateRedriving, Limit: deadletter.MaxLimit}
	for {
		page, err := rt.cfg.DeadLetters.List(ctx, q)
		if err != nil {
			return ended, fmt.Errorf("runtime: recover redrives: %w", err)
		}
		for _, l := range page.Letters {
			err := rt.cfg.DeadLetters.Update(ctx, l.ID, func(l *deadletter.Letter) error {
				if rt.underWay.has(l.ID) {
					return errUnderWay
				}
				return l.EndRedrive(deadletter.OutcomeInDoubt, "the process ended before the outcome was known", time.Now())
			})
			switch {
			case err == nil:
				ended++
			case errors.Is(err, errUnderWay), errors.Is(err, deadletter.ErrNotRedriving), errors.Is(err, deadletter.ErrNotFound):
			default:
				return ended, fmt.Errorf("runtime: recover redrive of %s: %w", l.ID, err)
			}
		}
		if page.Next == "" {
			return ended, nil
		}
		q.After = page.Next
	}
}
