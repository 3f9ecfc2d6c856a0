package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/troupe-go/troupe/deadletter"
)

// AddOperation implements [deadletter.Ledger]. It is one transaction, whatever the
// number of letters.
func (s *Store) AddOperation(ctx context.Context, op deadletter.Operation, ids []string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := op.Validate(); err != nil {
		return err
	}
	op = op.Normalize()
	return s.write(ctx, false, func(t *tx) error {
		_, err := t.Exec(ctx, "INSERT INTO operations VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)", operationValues(&op, len(ids))...)
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == "23505" {
			return fmt.Errorf("%w: %q", deadletter.ErrOperationExists, op.ID)
		}
		if err != nil {
			return err
		}
		_, err = t.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"operation", "position", "letter", "state", "error"},
			pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) {
				return []any{raw(op.ID), int64(i), raw(ids[i]), string(deadletter.ItemPending), []byte{}}, nil
			}))
		return err
	})
}

func operationValues(op *deadletter.Operation, total int) []any {
	var plan any
	if len(op.Plan) > 0 {
		plan = op.Plan
	}
	return []any{
		raw(op.ID), raw(op.Kind), string(op.State), raw(op.By), raw(op.Why), raw(op.Node), raw(op.Query),
		stamp(op.CreatedAt), stamp(op.EndedAt), raw(op.Stopped), plan, int64(total), raw(op.Member),
	}
}

const selectOperation = "SELECT id, kind, state, by, why, node, query, created_at, ended_at, stopped, plan, total, member FROM operations "

func scanOperation(row pgx.CollectableRow) (deadletter.Operation, error) {
	var id, kind, by, why, node, query, stopped, plan, member []byte
	var state string
	var created, ended *int64
	var total int
	err := row.Scan(&id, &kind, &state, &by, &why, &node, &query, &created, &ended, &stopped, &plan, &total, &member)
	return deadletter.Operation{
		ID: string(id), Kind: string(kind), State: deadletter.OperationState(state), By: string(by), Why: string(why), Node: string(node),
		Query: string(query), CreatedAt: timeOf(created), EndedAt: timeOf(ended), Stopped: string(stopped), Plan: plan, Total: total, Member: string(member),
		Items: map[deadletter.ItemState]int{},
	}, err
}

// readOperation reads an operation with its counts.
func readOperation(ctx context.Context, tx pgx.Tx, id, lock string) (deadletter.Operation, error) {
	rows, err := tx.Query(ctx, selectOperation+"WHERE id = $1"+lock, raw(id))
	if err != nil {
		return deadletter.Operation{}, err
	}
	op, err := pgx.CollectExactlyOneRow(rows, scanOperation)
	if noRows(err) {
		return op, fmt.Errorf("%w: operation %q", deadletter.ErrNotFound, id)
	}
	if err != nil {
		return op, err
	}
	return op, countItems(ctx, tx, &op)
}

func countItems(ctx context.Context, tx pgx.Tx, op *deadletter.Operation) error {
	rows, err := tx.Query(ctx, "SELECT state, count(*) FROM items WHERE operation = $1 GROUP BY state", raw(op.ID))
	if err != nil {
		return err
	}
	var state string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		op.Items[deadletter.ItemState(state)] = n
		return nil
	})
	return err
}

// Operation implements [deadletter.Ledger].
func (s *Store) Operation(ctx context.Context, id string) (op deadletter.Operation, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		op, err = readOperation(ctx, tx, id, "")
		return err
	})
	if err != nil {
		return deadletter.Operation{}, err
	}
	return op, nil
}

// Operations implements [deadletter.Ledger].
func (s *Store) Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error) {
	if err := s.ready(ctx); err != nil {
		return deadletter.OperationPage{}, err
	}
	if err := q.Validate(); err != nil {
		return deadletter.OperationPage{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.OperationPage{Operations: []deadletter.Operation{}}
	err := s.read(ctx, func(tx pgx.Tx) error {
		where, args := "WHERE true", []any{}
		if len(q.States) > 0 {
			where, args = "WHERE state = ANY($1)", []any{texts(q.States)}
		}
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM operations "+where, args...).Scan(&page.Total); err != nil {
			return err
		}
		if q.After != "" {
			args = append(args, raw(q.After))
			where += fmt.Sprintf(" AND id < $%d", len(args))
		}
		rows, err := tx.Query(ctx, selectOperation+where+fmt.Sprintf(" ORDER BY id DESC LIMIT %d", limit+1), args...)
		if err != nil {
			return err
		}
		ops, err := pgx.CollectRows(rows, scanOperation)
		if err != nil {
			return err
		}
		page.Operations = append(page.Operations, ops...)
		if len(page.Operations) > limit {
			page.Operations = page.Operations[:limit]
			page.Next = page.Operations[limit-1].ID
		}
		for i := range page.Operations {
			if err := countItems(ctx, tx, &page.Operations[i]); err != nil {
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

func texts[T ~string](all []T) []string {
	list := make([]string, len(all))
	for i, s := range all {
		list[i] = string(s)
	}
	return list
}

// UpdateOperation implements [deadletter.Ledger].
func (s *Store) UpdateOperation(ctx context.Context, id string, fn func(*deadletter.Operation) error) error {
	return s.write(ctx, true, func(t *tx) error {
		op, err := readOperation(ctx, t, id, " FOR UPDATE")
		if err != nil {
			return err
		}
		total := op.Total
		if err := fn(&op); err != nil {
			return &callersError{fmt.Errorf("postgres: update of operation %q: %w", id, err)}
		}
		if op.ID != id {
			return fmt.Errorf("%w: Operation.ID %q: must not change from %q", deadletter.ErrInvalidOperation, op.ID, id)
		}
		if err := op.Validate(); err != nil {
			return err
		}
		op = op.Normalize()
		_, err = t.Exec(ctx, `UPDATE operations SET kind = $2, state = $3, by = $4, why = $5, node = $6, query = $7,
			created_at = $8, ended_at = $9, stopped = $10, plan = $11, total = $12, member = $13 WHERE id = $1`, operationValues(&op, total)...)
		return err
	})
}

const selectItem = "SELECT position, letter, state, error, issued_at, ended_at FROM items "

func scanItem(row pgx.CollectableRow) (it deadletter.Item, err error) {
	var letter, message []byte
	var state string
	var issued, ended *int64
	err = row.Scan(&it.Position, &letter, &state, &message, &issued, &ended)
	it.Letter, it.State, it.Error = string(letter), deadletter.ItemState(state), string(message)
	it.IssuedAt, it.EndedAt = timeOf(issued), timeOf(ended)
	return it, err
}

// Items implements [deadletter.Ledger].
func (s *Store) Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error) {
	if err := s.ready(ctx); err != nil {
		return deadletter.ItemPage{}, err
	}
	if err := q.Validate(); err != nil {
		return deadletter.ItemPage{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.ItemPage{Items: []deadletter.Item{}, Next: -1}
	err := s.read(ctx, func(tx pgx.Tx) error {
		op, err := readOperation(ctx, tx, q.Operation, "")
		if err != nil {
			return err
		}
		where, args := "WHERE operation = $1 AND position > $2", []any{raw(q.Operation), int64(q.After)}
		page.Total = op.Total
		if len(q.States) > 0 {
			page.Total = 0
			states := slices.Compact(slices.Sorted(slices.Values(q.States)))
			for _, st := range states {
				page.Total += op.Items[st]
			}
			where, args = where+" AND state = ANY($3)", append(args, texts(states))
		}
		rows, err := tx.Query(ctx, selectItem+where+fmt.Sprintf(" ORDER BY position LIMIT %d", limit+1), args...)
		if err != nil {
			return err
		}
		items, err := pgx.CollectRows(rows, scanItem)
		page.Items = append(page.Items, items...)
		return err
	})
	if err != nil {
		return deadletter.ItemPage{}, err
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = page.Items[limit-1].Position
	}
	return page, nil
}

// UpdateItems implements [deadletter.Ledger].
func (s *Store) UpdateItems(ctx context.Context, operation string, items []deadletter.Item) error {
	return s.write(ctx, false, func(t *tx) error {
		// The operation is locked, so that updates of items come one after the other.
		op, err := readOperation(ctx, t, operation, " FOR UPDATE")
		if err != nil {
			return err
		}
		positions := make([]int64, len(items))
		for i, it := range items {
			if it.Position < 0 || it.Position >= op.Total {
				return fmt.Errorf("%w: position %d of operation %q, which has %d items", deadletter.ErrNotFound, it.Position, operation, op.Total)
			}
			positions[i] = int64(it.Position)
		}
		rows, err := t.Query(ctx, selectItem+"WHERE operation = $1 AND position = ANY($2)", raw(operation), positions)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, scanItem)
		if err != nil {
			return err
		}
		stored := make(map[int]deadletter.Item, len(found))
		for _, it := range found {
			stored[it.Position] = it
		}
		var faults []error
		var b pgx.Batch
		for _, it := range items {
			faults = append(faults, it.Validate(stored[it.Position]))
			it = it.Normalize()
			b.Queue("UPDATE items SET state = $3, error = $4, issued_at = $5, ended_at = $6 WHERE operation = $1 AND position = $2",
				raw(operation), int64(it.Position), string(it.State), raw(it.Error), stamp(it.IssuedAt), stamp(it.EndedAt))
		}
		if err := errors.Join(faults...); err != nil || b.Len() == 0 {
			return err
		}
		return t.SendBatch(ctx, &b).Close()
	})
}
