package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// memoryOperations holds operations in ascending order of their IDs.
type memoryOperations struct {
	byID   map[string]*memoryOperation
	sorted []*memoryOperation
}

type memoryOperation struct {
	op     Operation // without counts
	items  []Item
	counts map[ItemState]int
}

func (o *memoryOperation) with() Operation {
	op := o.op.Clone()
	op.Total, op.Items = len(o.items), map[ItemState]int{}
	for s, n := range o.counts {
		if n > 0 {
			op.Items[s] = n
		}
	}
	return op
}

// forget bounds the operations that have ended.
func (os *memoryOperations) forget(cfg MemoryConfig) {
	ended, items := 0, 0
	for i := len(os.sorted) - 1; i >= 0; i-- {
		o := os.sorted[i]
		if !o.op.State.Ended() {
			continue
		}
		ended++
		items += len(o.items)
		if ended == 1 || ended <= cfg.MaxOperations && items <= cfg.MaxItems {
			continue
		}
		delete(os.byID, o.op.ID)
		os.sorted = slices.Delete(os.sorted, i, i+1)
	}
}

func (os *memoryOperations) seek(id string) (int, bool) {
	return slices.BinarySearchFunc(os.sorted, id, func(o *memoryOperation, id string) int { return strings.Compare(o.op.ID, id) })
}

// AddOperation implements [Ledger].
func (m *Memory) AddOperation(ctx context.Context, op Operation, ids []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := op.Validate(); err != nil {
		return err
	}
	o := &memoryOperation{op: op.Normalize(), items: make([]Item, len(ids)), counts: map[ItemState]int{ItemPending: len(ids)}}
	for i, id := range ids {
		o.items[i] = Item{Position: i, Letter: id, State: ItemPending}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	at, found := m.ops.seek(op.ID)
	if found {
		return fmt.Errorf("%w: %q", ErrOperationExists, op.ID)
	}
	m.ops.byID[op.ID] = o
	m.ops.sorted = slices.Insert(m.ops.sorted, at, o)
	m.ops.forget(m.cfg)
	return nil
}

// operation is called with mu held.
func (m *Memory) operation(id string) (*memoryOperation, error) {
	if m.closed {
		return nil, ErrClosed
	}
	o := m.ops.byID[id]
	if o == nil {
		return nil, fmt.Errorf("%w: operation %q", ErrNotFound, id)
	}
	return o, nil
}

// Operation implements [Ledger].
func (m *Memory) Operation(ctx context.Context, id string) (Operation, error) {
	if err := ctx.Err(); err != nil {
		return Operation{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	o, err := m.operation(id)
	if err != nil {
		return Operation{}, err
	}
	return o.with(), nil
}

// Operations implements [Ledger].
func (m *Memory) Operations(ctx context.Context, q OperationQuery) (OperationPage, error) {
	if err := ctx.Err(); err != nil {
		return OperationPage{}, err
	}
	if err := q.Validate(); err != nil {
		return OperationPage{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return OperationPage{}, ErrClosed
	}
	found, next, total := pageOf(m.ops.sorted, q.After, limitOr(q.Limit),
		func(o *memoryOperation) string { return o.op.ID }, func(o *memoryOperation) bool { return q.Matches(&o.op) })
	page := OperationPage{Operations: make([]Operation, len(found)), Next: next, Total: total}
	for i, o := range found {
		page.Operations[i] = o.with()
	}
	return page, nil
}

// UpdateOperation implements [Ledger].
func (m *Memory) UpdateOperation(ctx context.Context, id string, fn func(*Operation) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := acquire(ctx, m.revising); err != nil {
		return err
	}
	defer func() { <-m.revising }()
	op, err := m.Operation(ctx, id)
	if err != nil {
		return err
	}
	if err := fn(&op); err != nil {
		return fmt.Errorf("deadletter: update of operation %q: %w", id, err)
	}
	if op.ID != id {
		return invalidOperation(fmt.Errorf("Operation.ID %q: must not change from %q", op.ID, id))
	}
	if err := op.Validate(); err != nil {
		return err
	}
	op = op.Normalize()
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.operation(id)
	if err != nil {
		return err
	}
	o.op = op
	m.ops.forget(m.cfg)
	return nil
}

// Items implements [Ledger].
func (m *Memory) Items(ctx context.Context, q ItemQuery) (ItemPage, error) {
	if err := ctx.Err(); err != nil {
		return ItemPage{}, err
	}
	if err := q.Validate(); err != nil {
		return ItemPage{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	o, err := m.operation(q.Operation)
	if err != nil {
		return ItemPage{}, err
	}
	page := ItemPage{Items: []Item{}, Next: -1}
	limit := limitOr(q.Limit)
	for i := range o.items {
		it := &o.items[i]
		if !q.Matches(it) {
			continue
		}
		page.Total++
		if it.Position <= q.After {
			continue
		}
		if len(page.Items) == limit {
			page.Next = page.Items[limit-1].Position
			continue
		}
		page.Items = append(page.Items, *it)
	}
	return page, nil
}

// UpdateItems implements [Ledger].
func (m *Memory) UpdateItems(ctx context.Context, operation string, items []Item) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.operation(operation)
	if err != nil {
		return err
	}
	var faults []error
	for _, it := range items {
		if it.Position < 0 || it.Position >= len(o.items) {
			return fmt.Errorf("%w: position %d of operation %q, which has %d items", ErrNotFound, it.Position, operation, len(o.items))
		}
		faults = append(faults, it.Validate(o.items[it.Position]))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for _, it := range items {
		stored := &o.items[it.Position]
		o.counts[stored.State]--
		*stored = it.Normalize()
		o.counts[stored.State]++
	}
	return nil
}

// pageOf returns a page, newest first, of what is sorted in ascending order of
// IDs.
func pageOf[T any](sorted []T, after string, limit int, id func(T) string, matches func(T) bool) (found []T, next string, total int) {
	for _, v := range slices.Backward(sorted) {
		if !matches(v) {
			continue
		}
		total++
		switch {
		case after != "" && id(v) >= after:
		case len(found) < limit:
			found = append(found, v)
		default:
			next = id(found[limit-1])
		}
	}
	return found, next, total
}
