package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/deadletter"
)

// AddOperation implements [deadletter.Ledger]. It is one transaction, whatever
// the number of letters; others wait for it.
func (s *Store) AddOperation(ctx context.Context, op deadletter.Operation, ids []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := op.Validate(); err != nil {
		return err
	}
	op = op.Normalize()
	return s.do(ctx, len(ids), func(_ *job, t *tx) error {
		n, err := t.exec("INSERT OR IGNORE INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", operationValues(&op, len(ids))...)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %q", deadletter.ErrOperationExists, op.ID)
		}
		if len(ids) > 0 {
			if err := t.do("INSERT INTO item_counts VALUES (?, 'pending', ?)", op.ID, len(ids)); err != nil {
				return err
			}
		}
		args := make([]any, 0, 64*7)
		for i, id := range ids {
			if args = append(args, op.ID, i, id, string(deadletter.ItemPending), "", nil, nil); len(args) == cap(args) {
				if err := t.rows("items", 7, args); err != nil {
					return err
				}
				args = args[:0]
			}
		}
		return t.rows("items", 7, args)
	})
}

func operationValues(op *deadletter.Operation, total int) []any {
	var plan any
	if len(op.Plan) > 0 {
		plan = op.Plan
	}
	return []any{op.ID, op.Kind, string(op.State), op.By, op.Why, op.Node, op.Query, stamp(op.CreatedAt), stamp(op.EndedAt), op.Stopped, plan, total, op.Member}
}

const selectOperation = "SELECT id, kind, state, by, why, node, query, created_at, ended_at, stopped, plan, total, member FROM operations "

func scanOperation(v []any) deadletter.Operation {
	op := deadletter.Operation{
		ID: text(v[0]), Kind: text(v[1]), State: deadletter.OperationState(text(v[2])), By: text(v[3]), Why: text(v[4]), Node: text(v[5]),
		Query: text(v[6]), CreatedAt: timeOf(v[7]), EndedAt: timeOf(v[8]), Stopped: text(v[9]), Total: number(v[11]), Member: text(v[12]),
		Items: map[deadletter.ItemState]int{},
	}
	op.Plan, _ = v[10].([]byte)
	return op
}

// readOperation reads an operation with its counts.
func readOperation(ctx context.Context, c *conn, id string) (op deadletter.Operation, found bool, err error) {
	err = c.query(ctx, selectOperation+"WHERE id = ?", []any{id}, func(v []any) error {
		op, found = scanOperation(v), true
		return nil
	})
	if err == nil && found {
		err = countItems(ctx, c, &op)
	}
	return op, found, err
}

func countItems(ctx context.Context, c *conn, op *deadletter.Operation) error {
	return c.query(ctx, "SELECT state, n FROM item_counts WHERE operation = ? AND n > 0", []any{op.ID}, func(v []any) error {
		op.Items[deadletter.ItemState(text(v[0]))] = number(v[1])
		return nil
	})
}

func noOperation(id string) error {
	return fmt.Errorf("%w: operation %q", deadletter.ErrNotFound, id)
}

// Operation implements [deadletter.Ledger].
func (s *Store) Operation(ctx context.Context, id string) (op deadletter.Operation, err error) {
	err = s.read(ctx, func(c *conn) error {
		var found bool
		if op, found, err = readOperation(ctx, c, id); err == nil && !found {
			err = noOperation(id)
		}
		return err
	})
	return op, err
}

// Operations implements [deadletter.Ledger].
func (s *Store) Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error) {
	if err := ctx.Err(); err != nil {
		return deadletter.OperationPage{}, err
	}
	if err := q.Validate(); err != nil {
		return deadletter.OperationPage{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.OperationPage{Operations: []deadletter.Operation{}}
	err := s.read(ctx, func(c *conn) error {
		where, args := "WHERE 1", []any{}
		if len(q.States) > 0 {
			where = "WHERE state IN (" + marks(len(q.States)) + ")"
			for _, st := range q.States {
				args = append(args, string(st))
			}
		}
		n, err := c.number(ctx, "SELECT count(*) FROM operations "+where, args...)
		if err != nil {
			return err
		}
		page.Total = int(n)
		if q.After != "" {
			where, args = where+" AND id < ?", append(args, q.After)
		}
		err = c.query(ctx, selectOperation+where+" ORDER BY id DESC LIMIT ?", append(args, limit+1), func(v []any) error {
			page.Operations = append(page.Operations, scanOperation(v))
			return nil
		})
		if err != nil {
			return err
		}
		if len(page.Operations) > limit {
			page.Operations = page.Operations[:limit]
			page.Next = page.Operations[limit-1].ID
		}
		for i := range page.Operations {
			if err := countItems(ctx, c, &page.Operations[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return deadletter.OperationPage{}, err
	}
	return page, nil
}

// UpdateOperation implements [deadletter.Ledger].
func (s *Store) UpdateOperation(ctx context.Context, id string, fn func(*deadletter.Operation) error) error {
	return s.do(ctx, 1, func(j *job, t *tx) error {
		op, found, err := readOperation(context.Background(), t.c, id)
		if err != nil {
			t.broken = err
			return err
		}
		if !found {
			return noOperation(id)
		}
		total := op.Total
		var refused error
		if err := j.call(func() { refused = fn(&op) }); err != nil {
			return err
		}
		if refused != nil {
			return fmt.Errorf("sqlite: update of operation %q: %w", id, refused)
		}
		if op.ID != id {
			return fmt.Errorf("%w: Operation.ID %q: must not change from %q", deadletter.ErrInvalidOperation, op.ID, id)
		}
		if err := op.Validate(); err != nil {
			return err
		}
		op = op.Normalize()
		return t.do("INSERT OR REPLACE INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", operationValues(&op, total)...)
	})
}

const selectItem = "SELECT position, letter, state, error, issued_at, ended_at FROM items "

func scanItem(v []any) deadletter.Item {
	return deadletter.Item{
		Position: number(v[0]), Letter: text(v[1]), State: deadletter.ItemState(text(v[2])), Error: text(v[3]),
		IssuedAt: timeOf(v[4]), EndedAt: timeOf(v[5]),
	}
}

// Items implements [deadletter.Ledger].
func (s *Store) Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error) {
	if err := ctx.Err(); err != nil {
		return deadletter.ItemPage{}, err
	}
	if err := q.Validate(); err != nil {
		return deadletter.ItemPage{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.ItemPage{Items: []deadletter.Item{}, Next: -1}
	err := s.read(ctx, func(c *conn) error {
		op, found, err := readOperation(ctx, c, q.Operation)
		if err != nil {
			return err
		}
		if !found {
			return noOperation(q.Operation)
		}
		where, args := "WHERE operation = ? AND position > ?", []any{q.Operation, q.After}
		page.Total = op.Total
		if len(q.States) > 0 {
			page.Total = 0
			states := slices.Compact(slices.Sorted(slices.Values(q.States)))
			for _, st := range states {
				page.Total += op.Items[st]
				args = append(args, string(st))
			}
			// Along the positions, in which what is pending lies at the end.
			where += " AND +state IN (" + marks(len(states)) + ")"
			if !slices.Contains(states, deadletter.ItemPending) {
				where = "INDEXED BY items_state " + where + " AND state <> 'pending'"
			}
		}
		err = c.query(ctx, selectItem+where+" ORDER BY position LIMIT ?", append(args, limit+1), func(v []any) error {
			page.Items = append(page.Items, scanItem(v))
			return nil
		})
		if err == nil && len(page.Items) > limit {
			page.Items = page.Items[:limit]
			page.Next = page.Items[limit-1].Position
		}
		return err
	})
	if err != nil {
		return deadletter.ItemPage{}, err
	}
	return page, nil
}

// UpdateItems implements [deadletter.Ledger].
func (s *Store) UpdateItems(ctx context.Context, operation string, items []deadletter.Item) error {
	return s.do(ctx, len(items), func(_ *job, t *tx) error {
		op, found, err := readOperation(context.Background(), t.c, operation)
		if err != nil {
			t.broken = err
			return err
		}
		if !found {
			return noOperation(operation)
		}
		stored := map[int]deadletter.Item{}
		var faults []error
		for _, it := range items {
			if it.Position < 0 || it.Position >= op.Total {
				return fmt.Errorf("%w: position %d of operation %q, which has %d items", deadletter.ErrNotFound, it.Position, operation, op.Total)
			}
			err := t.query(selectItem+"WHERE operation = ? AND position = ?", []any{operation, it.Position}, func(v []any) error {
				stored[it.Position] = scanItem(v)
				return nil
			})
			if err != nil {
				return err
			}
			faults = append(faults, it.Validate(stored[it.Position]))
		}
		if err := errors.Join(faults...); err != nil {
			return err
		}
		moved := map[deadletter.ItemState]int{}
		for _, it := range items {
			it = it.Normalize()
			moved[stored[it.Position].State]--
			moved[it.State]++
			stored[it.Position] = it
			err := t.do("UPDATE items SET state = ?, error = ?, issued_at = ?, ended_at = ? WHERE operation = ? AND position = ?",
				string(it.State), it.Error, stamp(it.IssuedAt), stamp(it.EndedAt), operation, it.Position)
			if err != nil {
				return err
			}
		}
		for state, n := range moved {
			if n == 0 {
				continue
			}
			err := t.do("INSERT INTO item_counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n", operation, string(state), n)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
