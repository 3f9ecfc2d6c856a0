package deadlettertest

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// operation returns an operation in which nothing is zero.
func operation(id string) deadletter.Operation {
	return deadletter.Operation{
		ID: id, Kind: "redrive", State: deadletter.OperationPaused, By: "ada", Why: "it's <fixed>", Node: "host-7", Member: "web-1/2", Query: `sub:billing "x"`,
		CreatedAt: day, EndedAt: day.Add(time.Hour), Stopped: "12 % failed", Plan: []byte("{\"rate\":5}\x00\xff"),
	}
}

// opDifference compares all but the counts.
func opDifference(got, want deadletter.Operation) string {
	want = want.Normalize()
	got.Items, got.Total = nil, 0
	if len(got.Plan) == 0 {
		got.Plan = nil
	}
	if len(want.Plan) == 0 {
		want.Plan = nil
	}
	if reflect.DeepEqual(got, want) {
		return ""
	}
	return fmt.Sprintf("%+v, want\n%+v", got, want)
}

func (r *recorder) operation(s deadletter.Ledger, id string) deadletter.Operation {
	return must[deadletter.Operation](r, "Operation "+id)(s.Operation(background, id))
}

// items reads page after page.
func (r *recorder) items(s deadletter.Ledger, q deadletter.ItemQuery) (items []deadletter.Item, total int) {
	q.After = -1
	for {
		p := must[deadletter.ItemPage](r, fmt.Sprintf("Items(%+v)", q))(s.Items(background, q))
		items = append(items, p.Items...)
		if p.Next < 0 {
			return items, p.Total
		}
		if p.Next <= q.After || len(p.Items) == 0 {
			r.fatalf("Items(%+v) gives %d items and Next %d: paging does not advance", q, len(p.Items), p.Next)
		}
		q.After = p.Next
	}
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("letter %d", i)
	}
	return ids
}

var operationCases = []testCase{
	{
		name:    "an operation comes back",
		promise: "an operation is kept to the byte, with its letters in their order, all of them pending",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			want := operation("op-1")
			want.CreatedAt = day.In(time.FixedZone("east", 3600))
			given := want.Clone()
			given.Items, given.Total = map[deadletter.ItemState]int{deadletter.ItemDone: 7}, 99
			ids := append(numbered(1200), "letter 1", "")
			r.try("AddOperation", s.AddOperation(background, given, ids))
			given.Plan[0] = '#'
			got := r.operation(s, "op-1")
			if d := opDifference(got, want); d != "" {
				r.errorf("Operation gives %s", d)
			}
			if got.Total != len(ids) || !reflect.DeepEqual(got.Items, map[deadletter.ItemState]int{deadletter.ItemPending: len(ids)}) {
				r.errorf("Total %d, Items %v, want %d pending", got.Total, got.Items, len(ids))
			}
			got.Plan[0] = '#'
			got.Items[deadletter.ItemPending] = 0
			if d := opDifference(r.operation(s, "op-1"), want); d != "" {
				r.errorf("after writing to what Operation gave: %s", d)
			}
			items, total := r.items(s, deadletter.ItemQuery{Operation: "op-1", Limit: 500})
			if total != len(ids) || len(items) != len(ids) {
				r.fatalf("Items gives %d and Total %d, want %d", len(items), total, len(ids))
			}
			for i, it := range items {
				if want := (deadletter.Item{Position: i, Letter: ids[i], State: deadletter.ItemPending}); it != want {
					r.fatalf("item %d is %+v, want %+v", i, it, want)
				}
			}
			r.try("AddOperation of nothing", s.AddOperation(background, deadletter.Operation{ID: "op-2"}, nil))
			if got := r.operation(s, "op-2"); got.State != deadletter.OperationRunning || got.Total != 0 || len(got.Items) != 0 {
				r.errorf("an operation of no state and no items is %+v", got)
			}
			items, total = r.items(s, deadletter.ItemQuery{Operation: "op-2"})
			if len(items) != 0 || total != 0 {
				r.errorf("it has %d items and Total %d", len(items), total)
			}
		}),
	},
	{
		name:    "an operation is added once",
		promise: "what is not valid, or has an ID that is taken, is refused and changes nothing; what is not there is ErrNotFound",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			r.try("AddOperation", s.AddOperation(background, operation("op-1"), numbered(3)))
			other := operation("op-1")
			other.Why = "another"
			r.wants("AddOperation with a taken ID", s.AddOperation(background, other, numbered(5)), deadletter.ErrOperationExists)
			r.wants("AddOperation without an ID", s.AddOperation(background, operation(""), nil), deadletter.ErrInvalidOperation)
			other = operation("op-2")
			other.State = "no such state"
			r.wants("AddOperation of an unknown state", s.AddOperation(background, other, nil), deadletter.ErrInvalidOperation)
			got := r.operation(s, "op-1")
			if d := opDifference(got, operation("op-1")); d != "" || got.Total != 3 {
				r.errorf("the operation has changed: %s, Total %d", d, got.Total)
			}
			_, err := s.Operation(background, "op-2")
			r.wants("Operation of nobody", err, deadletter.ErrNotFound)
			_, err = s.Items(background, deadletter.ItemQuery{Operation: "op-2"})
			r.wants("Items of nobody", err, deadletter.ErrNotFound)
			err = s.UpdateOperation(background, "op-2", func(*deadletter.Operation) error { r.errorf("fn called"); return nil })
			r.wants("UpdateOperation of nobody", err, deadletter.ErrNotFound)
			r.wants("UpdateItems of nobody", s.UpdateItems(background, "op-2", nil), deadletter.ErrNotFound)
		}),
	},
	{
		name:    "an operation can be updated",
		promise: "UpdateOperation stores whatever fn makes of the operation, but not its counts, and nothing if fn fails or makes it invalid",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			r.try("AddOperation", s.AddOperation(background, deadletter.Operation{ID: "op-1"}, numbered(3)))
			r.try("AddOperation", s.AddOperation(background, operation("op-2"), numbered(2)))
			mine := operation("op-1")
			var kept *deadletter.Operation
			r.try("UpdateOperation", s.UpdateOperation(background, "op-1", func(op *deadletter.Operation) error {
				if op.Total != 3 || op.Items[deadletter.ItemPending] != 3 {
					r.errorf("fn is given the counts %v of %d, want 3 pending", op.Items, op.Total)
				}
				*op, kept = mine, op
				op.Items, op.Total = map[deadletter.ItemState]int{deadletter.ItemDone: 7}, 99
				return nil
			}))
			mine.Plan[0], kept.By = '#', "#"
			check := func(when string) {
				got := r.operation(s, "op-1")
				if d := opDifference(got, operation("op-1")); d != "" {
					r.errorf("%s: %s", when, d)
				}
				if got.Total != 3 || got.Items[deadletter.ItemPending] != 3 || len(got.Items) != 1 {
					r.errorf("%s: counts %v of %d, want 3 pending", when, got.Items, got.Total)
				}
				if d := opDifference(r.operation(s, "op-2"), operation("op-2")); d != "" {
					r.errorf("%s: the other operation has changed: %s", when, d)
				}
			}
			check("after an update")
			boom := errors.New("boom")
			err := s.UpdateOperation(background, "op-1", func(op *deadletter.Operation) error { op.Plan[0] = '#'; op.By = "#"; return boom })
			r.wants("UpdateOperation with an fn that fails", err, boom)
			check("after an update that failed")
			err = s.UpdateOperation(background, "op-1", func(op *deadletter.Operation) error { op.State = "no such state"; return nil })
			r.wants("UpdateOperation to an unknown state", err, deadletter.ErrInvalidOperation)
			err = s.UpdateOperation(background, "op-1", func(op *deadletter.Operation) error { op.ID = "op-3"; return nil })
			r.wants("UpdateOperation to another ID", err, deadletter.ErrInvalidOperation)
			check("after an update that was refused")
			func() {
				defer func() { _ = recover() }()
				_ = s.UpdateOperation(background, "op-1", func(op *deadletter.Operation) error { op.By = "#"; panic("boom") })
			}()
			check("after a panic")
			r.together(4, func(int) {
				for range 10 {
					r.wants("UpdateOperation", s.UpdateOperation(background, "op-2", func(op *deadletter.Operation) error {
						runtime.Gosched()
						op.Plan = append(op.Plan, 'x')
						return nil
					}), nil)
				}
			})
			if got := len(r.operation(s, "op-2").Plan); got != len(operation("").Plan)+40 {
				r.errorf("40 concurrent updates have made %d", got-len(operation("").Plan))
			}
		}),
	},
	{
		name:    "items are updated together",
		promise: "UpdateItems replaces items in one step, or none of them; counts and pages follow",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			ids := numbered(10)
			r.try("AddOperation", s.AddOperation(background, operation("op-1"), ids))
			r.try("AddOperation", s.AddOperation(background, operation("op-2"), ids))
			want := make([]deadletter.Item, 10)
			for i := range want {
				want[i] = deadletter.Item{Position: i, Letter: ids[i], State: deadletter.ItemPending}
			}
			states := []deadletter.ItemState{deadletter.ItemIssued, deadletter.ItemDone, deadletter.ItemFailed, deadletter.ItemLeft, deadletter.ItemInDoubt}
			var changes []deadletter.Item
			for i, state := range states {
				it := deadletter.Item{Position: 9 - i, Letter: ids[9-i], State: state, Error: "it's \x00", IssuedAt: day.In(time.FixedZone("east", 3600)), EndedAt: day.Add(time.Duration(i))}
				changes = append(changes, it)
				want[it.Position] = it.Normalize()
			}
			r.try("UpdateItems", s.UpdateItems(background, "op-1", changes))
			r.try("UpdateItems of nothing", s.UpdateItems(background, "op-1", nil))
			check := func(when string) {
				got, total := r.items(s, deadletter.ItemQuery{Operation: "op-1", Limit: 3})
				if !slices.Equal(got, want) || total != 10 {
					r.errorf("%s: Items gives\n%+v, want\n%+v", when, got, want)
				}
				op := r.operation(s, "op-1")
				counts := map[deadletter.ItemState]int{deadletter.ItemPending: 5}
				for _, state := range states {
					counts[state] = 1
				}
				if !reflect.DeepEqual(op.Items, counts) || op.Total != 10 {
					r.errorf("%s: counts %v of %d, want %v", when, op.Items, op.Total, counts)
				}
				for _, state := range states {
					got, total := r.items(s, deadletter.ItemQuery{Operation: "op-1", States: []deadletter.ItemState{state}})
					if len(got) != 1 || got[0].State != state || total != 1 {
						r.errorf("%s: the items that are %s are %+v, Total %d", when, state, got, total)
					}
				}
				if got, total := r.items(s, deadletter.ItemQuery{Operation: "op-1", States: []deadletter.ItemState{deadletter.ItemPending, deadletter.ItemDone}, Limit: 2}); len(got) != 6 || total != 6 {
					r.errorf("%s: of two states there are %d items, Total %d, want 6", when, len(got), total)
				}
				if got := r.operation(s, "op-2"); got.Items[deadletter.ItemPending] != 10 {
					r.errorf("%s: the other operation has counts %v", when, got.Items)
				}
			}
			check("after an update")
			good := deadletter.Item{Position: 0, Letter: ids[0], State: deadletter.ItemDone}
			for what, bad := range map[string]struct {
				item deadletter.Item
				want error
			}{
				"a position beyond":  {deadletter.Item{Position: 10, Letter: "x", State: deadletter.ItemDone}, deadletter.ErrNotFound},
				"a position before":  {deadletter.Item{Position: -1, Letter: "x", State: deadletter.ItemDone}, deadletter.ErrNotFound},
				"another letter":     {deadletter.Item{Position: 1, Letter: ids[2], State: deadletter.ItemDone}, deadletter.ErrInvalidOperation},
				"an unknown state":   {deadletter.Item{Position: 1, Letter: ids[1], State: "no such state"}, deadletter.ErrInvalidOperation},
				"no state, no words": {deadletter.Item{Position: 1, Letter: ids[1]}, deadletter.ErrInvalidOperation},
			} {
				r.wants("UpdateItems with "+what, s.UpdateItems(background, "op-1", []deadletter.Item{good, bad.item}), bad.want)
			}
			check("after updates that were refused")
			p := must[deadletter.ItemPage](r, "Items")(s.Items(background, deadletter.ItemQuery{Operation: "op-1"}))
			if len(p.Items) != 9 || p.Items[0].Position != 1 || p.Total != 10 {
				r.errorf("the zero After gives %d items from %+v, want those behind position 0", len(p.Items), p.Items[:1])
			}
		}),
	},
	{
		name:    "operations are newest first",
		promise: "pages of operations descend by ID, filtered by state, with the counts of each",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			states := []deadletter.OperationState{deadletter.OperationRunning, deadletter.OperationPaused, deadletter.OperationStopped, deadletter.OperationDone, deadletter.OperationCancelled}
			var all []deadletter.Operation
			for _, n := range []int{7, 3, 9, 0, 12, 1, 4, 11, 5, 2, 8, 10, 6} {
				op := operation(fmt.Sprintf("op-%02d", n))
				op.State = states[n%len(states)]
				op.CreatedAt = day.Add(time.Duration(-n) * time.Hour)
				r.try("AddOperation", s.AddOperation(background, op, numbered(n)))
				all = append(all, op)
			}
			slices.SortFunc(all, func(a, b deadletter.Operation) int { return strings.Compare(b.ID, a.ID) })
			for _, only := range [][]deadletter.OperationState{nil, {deadletter.OperationDone}, {deadletter.OperationRunning, deadletter.OperationStopped}} {
				var want []deadletter.Operation
				for _, op := range all {
					if len(only) == 0 || slices.Contains(only, op.State) {
						want = append(want, op)
					}
				}
				q := deadletter.OperationQuery{States: only, Limit: 3}
				var got []deadletter.Operation
				for {
					p := must[deadletter.OperationPage](r, "Operations")(s.Operations(background, q))
					got = append(got, p.Operations...)
					if p.Total != len(want) {
						r.errorf("Total of %v = %d, want %d", only, p.Total, len(want))
					}
					if p.Next == "" || len(got) > len(all) {
						break
					}
					q.After = p.Next
				}
				if len(got) != len(want) {
					r.fatalf("Operations of %v gives %d, want %d", only, len(got), len(want))
				}
				for i := range want {
					if d := opDifference(got[i], want[i]); d != "" {
						r.errorf("Operations of %v, at %d: %s", only, i, d)
					}
					n := 0
					fmt.Sscanf(want[i].ID, "op-%d", &n)
					if got[i].Total != n || got[i].Items[deadletter.ItemPending] != n {
						r.errorf("%s has counts %v of %d, want %d", want[i].ID, got[i].Items, got[i].Total, n)
					}
				}
			}
			for _, q := range []deadletter.OperationQuery{{Limit: -1}, {Limit: deadletter.MaxLimit + 1}, {States: []deadletter.OperationState{"x"}}} {
				_, err := s.Operations(background, q)
				r.wants("Operations of a wrong query", err, deadletter.ErrInvalidQuery)
			}
			for _, q := range []deadletter.ItemQuery{{Limit: -1}, {After: -2}, {States: []deadletter.ItemState{"x"}}} {
				q.Operation = "op-01"
				_, err := s.Items(background, q)
				r.wants("Items of a wrong query", err, deadletter.ErrInvalidQuery)
			}
		}),
	},
}
