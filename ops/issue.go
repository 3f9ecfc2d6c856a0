package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// advance does the next part of the work, if anything may be done now.
func (r *runner) advance(ctx context.Context) error {
	n := min(batch, r.ends[r.tally.step]-r.cursor-1)
	r.mu.Lock()
	n = min(n, r.window()-len(r.inFlight))
	limiter := r.limiter
	r.mu.Unlock()
	if limiter != nil {
		n = min(n, int(limiter.Tokens()))
	}
	if n <= 0 {
		return nil
	}
	read, cancel := context.WithTimeout(ctx, writeTimeout)
	page, err := r.d.ledger.Items(read, deadletter.ItemQuery{
		Operation: r.op.ID, States: []deadletter.ItemState{deadletter.ItemPending}, After: r.cursor, Limit: n})
	cancel()
	if err != nil {
		return err
	}
	items := page.Items
	for i, it := range items {
		if it.Position >= r.ends[r.tally.step] {
			items = items[:i]
			break
		}
	}
	if len(items) == 0 {
		r.cursor = r.ends[r.tally.step] - 1 // none is left in this step
		r.nudge()
		return nil
	}
	if r.plan.Change != nil {
		return r.changeSome(ctx, items)
	}
	return r.issue(ctx, items, func(k int) {
		if limiter != nil {
			limiter.AllowN(time.Now(), k)
		}
	})
}

// issue sends letters back: those for which there is room.
func (r *runner) issue(ctx context.Context, items []deadletter.Item, charge func(int)) error {
	var send []deadletter.Item
	var letters []deadletter.Letter
	rooms := map[runtime.Destination]int{}
	blocked := -1 // the first that has to wait for room
	leave := func(it deadletter.Item, why string) {
		r.pending--
		r.finish(it, deadletter.ItemLeft, why)
	}
	to := r.plan.Redrive.To.destination()
	last := r.cursor
	for _, it := range items {
		last = it.Position
		get, cancel := context.WithTimeout(ctx, writeTimeout)
		l, err := r.d.ledger.Get(get, it.Letter)
		cancel()
		switch {
		case errors.Is(err, deadletter.ErrNotFound):
			leave(it, "the letter is gone")
			continue
		case err != nil:
			return err
		case l.State != deadletter.StateOpen && l.State != "" && !r.plan.Redrive.Rehearse:
			leave(it, "the letter is "+closedAs(l))
			continue
		}
		room, at, err := r.d.rt.RedriveRoom(l, to)
		if err != nil && r.closing() {
			return nil // and not because the subscriber is gone
		}
		if err != nil {
			leave(it, err.Error())
			continue
		}
		if _, known := rooms[at]; !known {
			rooms[at] = room
		}
		if rooms[at] <= 0 {
			if blocked < 0 {
				blocked = it.Position
			}
			continue
		}
		rooms[at]--
		it.State, it.IssuedAt = deadletter.ItemIssued, time.Now()
		send, letters = append(send, it), append(letters, l)
	}
	if len(send) > 0 {
		if err := r.send(ctx, send, letters); err != nil {
			return err
		}
		charge(len(send))
	}
	r.cursor = last
	switch {
	case blocked < 0:
		r.pause = 0
		return nil
	case len(send) > 0:
		r.pause = minPause
	default:
		r.pause = min(max(minPause, 2*r.pause), maxPause)
	}
	r.cursor = blocked - 1 // it is looked at again; those behind it that were sent are not pending
	return nil
}

// closing reports whether the runtime takes nothing any more, and has the runner leave
// the rest to the next desk. Subscribers stop after that only.
func (r *runner) closing() bool {
	r.quiet = r.quiet || r.d.rt.State() != runtime.StateRunning
	return r.quiet
}

// closedAs says for people what has become of a letter.
func closedAs(l deadletter.Letter) string {
	if l.Closed == nil {
		return string(l.State)
	}
	text := string(l.State) + ": " + l.Closed.As
	if l.Closed.By != "" {
		text += " by " + l.Closed.By
	}
	return text
}

// send marks items as issued and gives their letters to the runtime.
func (r *runner) send(ctx context.Context, items []deadletter.Item, letters []deadletter.Letter) error {
	mark, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	err := r.d.ledger.UpdateItems(mark, r.op.ID, items)
	cancel()
	r.pending -= len(items)
	if err != nil { // what was done of it is taken back
		for _, it := range items {
			r.finish(it, deadletter.ItemPending, "")
		}
		return err
	}
	byLetter := make(map[string]deadletter.Item, len(items))
	give, interrupt := context.WithCancel(ctx)
	defer interrupt()
	r.mu.Lock()
	for _, it := range items {
		byLetter[it.Letter] = it
		r.inFlight[it.Position] = it
	}
	if r.state != deadletter.OperationRunning {
		interrupt() // in between
	}
	r.interrupt = interrupt
	r.mu.Unlock()
	p := r.plan.Redrive
	cfg := runtime.RedriveConfig{
		By: r.op.By, Why: r.op.Why, Operation: r.op.ID, Budget: p.Budget, To: p.To.destination(), Rehearse: p.Rehearse,
		Ended: func(e runtime.Redriven) { r.outcome(byLetter[e.Letter], e) },
	}
	if p.Fix != "" {
		fix := r.d.fixes(p.Fix)
		if fix == nil {
			cfg.Edit = func(deadletter.Letter) (runtime.Edited, error) {
				return runtime.Edited{}, fmt.Errorf("fix %q is not registered in this program", p.Fix)
			}
		} else {
			cfg.Edit = func(l deadletter.Letter) (runtime.Edited, error) {
				payload, err := fix.run(give, l)
				return runtime.Edited{Payload: payload, As: deadletter.ClosedByFix}, err
			}
		}
	}
	errs := r.d.rt.RedriveLetters(give, letters, cfg)
	r.mu.Lock()
	r.interrupt = nil
	r.mu.Unlock()
	var failed error
	for i, err := range errs {
		if err == nil {
			continue
		}
		switch {
		case errors.Is(err, runtime.ErrClosed), r.closing():
			r.quiet = true
			r.finish(items[i], deadletter.ItemPending, "")
		case give.Err() != nil, errors.Is(err, mailbox.ErrFull):
			r.finish(items[i], deadletter.ItemPending, "")
		case errors.Is(err, runtime.ErrStoreFailed):
			r.finish(items[i], deadletter.ItemPending, "")
			failed = err
		default:
			r.finish(items[i], deadletter.ItemLeft, err.Error())
		}
	}
	return failed
}

// outcome is told how a redrive has ended.
func (r *runner) outcome(it deadletter.Item, e runtime.Redriven) {
	switch {
	case e.Unsaved != nil:
		// The next desk looks it up. Here it is issued for good.
	case e.NewLetter != "":
		r.finish(it, deadletter.ItemFailed, e.Error+" (the new event is letter "+e.NewLetter+")")
	case e.Outcome == deadletter.OutcomeDone:
		r.finish(it, deadletter.ItemDone, "")
	case e.Outcome == deadletter.OutcomeSkipped:
		r.finish(it, deadletter.ItemDone, "skipped: "+e.Error)
	case e.Outcome == deadletter.OutcomeFailed:
		r.finish(it, deadletter.ItemFailed, e.Error)
	case e.Error == supervisor.ReasonShutdown:
		r.finish(it, deadletter.ItemPending, "") // it was not attempted: the next desk goes on with it
	default:
		r.finish(it, deadletter.ItemLeft, "given back: "+e.Error)
	}
}
