package ops

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// tally counts the outcomes of a step, from position from on.
type tally struct {
	step, from   int
	done, failed int
}

// count counts an outcome of the step.
func (t *tally) count(it deadletter.Item, ends []int) {
	if t.step < 0 || it.Position < t.from || it.Position >= ends[t.step] {
		return
	}
	switch it.State {
	case deadletter.ItemDone:
		t.done++
	case deadletter.ItemFailed:
		t.failed++
	}
}

// judge looks at the outcomes of the step: too many have failed, it is complete, or all
// is done.
func (r *runner) judge() error {
	state, flying := r.stand()
	if state != deadletter.OperationRunning {
		r.tally.step = -1 // counted again when it goes on
		return nil
	}
	if r.tally.step < 0 {
		if err := r.recount(); err != nil {
			return err
		}
	}
	t := &r.tally
	for {
		complete := flying == 0 && (r.pending == 0 || r.cursor+1 >= r.ends[t.step])
		if text := r.tooMany(complete); text != "" && r.pending > 0 {
			return r.stop(text)
		}
		if !complete {
			r.tell(false)
			return nil
		}
		if r.pending == 0 {
			return r.done()
		}
		if t.step == len(r.ends)-1 { // some have gone back to pending
			r.cursor = -1
			return nil
		}
		*t = tally{step: t.step + 1, from: r.ends[t.step]}
	}
}

// tooMany says that too many of the step have failed, if so.
func (r *runner) tooMany(complete bool) string {
	if r.plan.Redrive == nil {
		return ""
	}
	limit, t := r.plan.Redrive.maxFailures(), r.tally
	all := t.done + t.failed
	if limit < 0 || t.failed == 0 || !complete && all < judgedFrom || float64(t.failed)*100 <= limit*float64(all) {
		return ""
	}
	return fmt.Sprintf("%d of %d in step %d of %d failed, more than %v %%", t.failed, all, t.step+1, len(r.ends), limit)
}

// recount finds out how the current step stands.
func (r *runner) recount() error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	first := r.op.Total - 1
	page, err := r.d.ledger.Items(ctx, deadletter.ItemQuery{Operation: r.op.ID, After: -1, Limit: 1,
		States: []deadletter.ItemState{deadletter.ItemPending, deadletter.ItemIssued}})
	if err != nil {
		return err
	}
	if len(page.Items) > 0 {
		first = page.Items[0].Position
	}
	t := tally{step: stepOf(r.ends, first)}
	if t.step > 0 {
		t.from = r.ends[t.step-1]
	}
	r.mu.Lock()
	t.from = max(t.from, r.since)
	r.mu.Unlock()
	if r.plan.Redrive != nil && r.plan.Redrive.maxFailures() >= 0 {
		q := deadletter.ItemQuery{Operation: r.op.ID, After: t.from - 1, Limit: deadletter.MaxLimit,
			States: []deadletter.ItemState{deadletter.ItemDone, deadletter.ItemFailed}}
		for more := true; more; more = q.After >= 0 && q.After < r.ends[t.step] {
			page, err := r.d.ledger.Items(ctx, q)
			if err != nil {
				return err
			}
			for _, it := range page.Items {
				t.count(it, r.ends)
			}
			q.After = page.Next
		}
	}
	r.tally, r.cursor = t, -1
	return nil
}

// tell says how it stands, not too often.
func (r *runner) tell(now bool) {
	if !now && time.Since(r.news) < newsPeriod {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	op, err := r.d.ledger.Operation(ctx, r.op.ID)
	if err != nil {
		return // an event less
	}
	r.news = time.Now()
	r.d.ring.add(Event{Kind: EventOperation, Object: op.ID, Text: progress(op.State, op.Items, op.Total)})
}

// progress says how an operation stands.
func progress(state deadletter.OperationState, items map[deadletter.ItemState]int, total int) string {
	text := fmt.Sprintf("%s: %d of %d done", state, items[deadletter.ItemDone], total)
	for _, s := range []deadletter.ItemState{deadletter.ItemFailed, deadletter.ItemLeft, deadletter.ItemInDoubt} {
		if n := items[s]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, s)
		}
	}
	return text
}
