package idempotent

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Store remembers which events have had their effect, in the user's database. [SQL] is
// one for PostgreSQL and SQLite.
type Store[Tx any] interface {
	// Mark notes, as part of tx, that a subscriber handles an event, and returns false
	// if that is noted already. While another transaction that has noted it is open,
	// Mark waits for its end, or returns an error; it does not return true.
	Mark(ctx context.Context, tx Tx, subscriber, event string) (fresh bool, err error)
}

// InTx calls apply in a transaction, which it commits if apply returns nil and rolls back
// if apply returns an error or panics. [SQLTx] is one; with pgx it is
//
//	func(ctx context.Context, apply func(context.Context, pgx.Tx) error) error {
//		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return apply(ctx, tx) })
//	}
type InTx[Tx any] func(ctx context.Context, apply func(ctx context.Context, tx Tx) error) error

// ErrMixed is returned, as a permanent failure, for a batch of which some events have had
// their effect and others not. The subscriber takes it apart, and each part comes again.
var ErrMixed = errors.New("idempotent: some of the batch have had their effect")

// errRehearsed rolls a rehearsal back.
var errRehearsed = errors.New("idempotent: rehearsed")

// Handler makes a handler whose effect on the database counts once for each event. An
// event that has had its effect is done without a call of handle. A rehearsal is rolled
// back, and so shows what the handler would do.
//
// An error of handle, or of the commit, is a failure of the attempt as it is with any
// handler; nothing has happened then, or, when only the answer to the commit was lost,
// the next attempt finds that it has.
func Handler[T, Tx any](in InTx[Tx], store Store[Tx], handle func(ctx context.Context, tx Tx, ev T) error) topics.Handler[T] {
	return func(ctx context.Context, ev T) error {
		return once(ctx, in, store, func(ctx context.Context, tx Tx) error { return handle(ctx, tx, ev) })
	}
}

// Middleware is [Handler] for what is subscribed otherwise: the handler finds the
// transaction with [TxFrom]. A handler of batches has one transaction for a batch, of
// which each event is noted: a topics.BatchError is a failure of all of it.
func Middleware[Tx any](in InTx[Tx], store Store[Tx]) runtime.Middleware {
	return func(next runtime.Next) runtime.Next {
		return func(ctx context.Context, ev any) error {
			return once(ctx, in, store, func(ctx context.Context, tx Tx) error {
				return next(context.WithValue(ctx, txKey[Tx]{}, tx), ev)
			})
		}
	}
}

type txKey[Tx any] struct{}

// TxFrom returns the transaction that [Middleware] has begun, false without it.
func TxFrom[Tx any](ctx context.Context) (Tx, bool) {
	tx, ok := ctx.Value(txKey[Tx]{}).(Tx)
	return tx, ok
}

func once[Tx any](ctx context.Context, in InTx[Tx], store Store[Tx], handle func(context.Context, Tx) error) error {
	all := topics.DeliveriesFrom(ctx)
	if len(all) == 0 {
		return supervisor.Permanent(errors.New("idempotent: not in the handler of a subscriber"))
	}
	d := all[0]
	subscriber := d.Topic + "/" + d.Subscriber
	err := in(ctx, func(ctx context.Context, tx Tx) error {
		marked := 0
		for _, one := range all {
			fresh, err := store.Mark(ctx, tx, subscriber, one.ID())
			if err != nil {
				return fmt.Errorf("idempotent: mark event %s of %s: %w", one.ID(), subscriber, err)
			}
			if fresh {
				marked++
			}
		}
		if marked != 0 && marked != len(all) {
			return supervisor.Permanent(ErrMixed)
		}
		if marked > 0 || d.Rehearsal {
			if err := handle(ctx, tx); err != nil {
				if _, some := errors.AsType[*topics.BatchError](err); some {
					// Those that it does not name would count as done.
					err = fmt.Errorf("idempotent: the batch has one transaction, and is rolled back: %v", err)
				}
				return err
			}
		}
		if d.Rehearsal {
			return errRehearsed
		}
		return nil
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}
