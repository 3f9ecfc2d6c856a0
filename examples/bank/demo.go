package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/topics"
)

// demo shows each thing once, where there are no accounts.
func demo(ctx context.Context, at place, out io.Writer) error {
	store, err := at.open(ctx)
	if err != nil {
		return err
	}
	b, err := openBank(store)
	if err != nil {
		return err
	}
	if err := b.tour(ctx, out); err != nil {
		return errors.Join(err, b.Close(ctx))
	}
	if err := b.Close(ctx); err != nil {
		return err
	}

	fmt.Fprintln(out, "\nAnother process opens the store, and reads what has happened:")
	if store, err = at.open(ctx); err != nil {
		return err
	}
	if b, err = openBank(store); err != nil {
		return err
	}
	if err := b.View.CaughtUp(ctx); err != nil {
		return errors.Join(err, b.Close(ctx))
	}
	b.show(out)
	return b.Close(ctx)
}

func (b *Bank) tour(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "Commands, and what they lead to:")
	var last eventstore.Position
	for _, c := range []struct {
		account string
		command Command
		refused error
	}{
		{"jane", Open{"Jane"}, nil}, {"joe", Open{"Joe"}, nil}, {"joe", Open{"Joe"}, ErrOpen}, {"jim", Deposit{1}, ErrNoAccount},
		{"jane", Deposit{10000}, nil}, {"jane", Withdraw{2550}, nil}, {"joe", Deposit{2550}, nil}, {"jane", Withdraw{10000}, ErrPoor},
	} {
		done, err := b.Accounts.Execute(ctx, c.account, c.command)
		switch {
		case err == nil:
			fmt.Fprintf(out, "  %-4s %T%+v: version %d\n", c.account, c.command, c.command, done.Version)
			last = done.Position
		case c.refused != nil && errors.Is(err, c.refused):
			fmt.Fprintf(out, "  %-4s %T%+v: refused: %v\n", c.account, c.command, c.command, err)
		default:
			return err
		}
	}

	fmt.Fprintln(out, "\nThe read model has seen what we have done:")
	if err := b.View.Wait(ctx, last); err != nil {
		return err
	}
	b.show(out)

	fmt.Fprintln(out, "\nTwo decide on the same state: one gets a conflict, reads what has happened and decides again.")
	_, version, err := b.Accounts.Load(ctx, "joe")
	if err != nil {
		return err
	}
	if _, err := b.Accounts.Execute(ctx, "joe", Withdraw{50}); err != nil {
		return err
	}
	late, err := b.Schema.Encode(Withdrawn{2550})
	if err != nil {
		return err
	}
	_, err = b.store.Append(ctx, b.stream("joe"), version, late)
	fmt.Fprintf(out, "  %v\n", err)
	if !errors.Is(err, eventstore.ErrConflict) {
		return fmt.Errorf("a late decision was stored: %w", err)
	}

	fmt.Fprintln(out, "\nA command that comes twice, by its ID, counts once:")
	for range 2 {
		done, err := b.Accounts.Execute(ctx, "joe", Deposit{100}, topics.Meta{ID: "click-1"})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  joe  version %d, repeated: %v\n", done.Version, done.Repeated)
	}

	fmt.Fprintln(out, "\nAn event of the first version of the program, in euros, is read as one of today's:")
	old, err := b.store.Append(ctx, b.stream("jane"), eventstore.Any,
		eventstore.Event{Type: "deposited", SchemaVersion: 1, ContentType: "application/json", Data: []byte(`{"Euros":5}`)})
	if err != nil {
		return err
	}
	if err := b.View.Wait(ctx, old.Position); err != nil {
		return err
	}
	b.show(out)

	fmt.Fprintln(out, "\nThe read model is made anew, of all that has happened:")
	if err := projection.RebuildTx(ctx, b.View, empty); err != nil {
		return err
	}
	if err := b.View.CaughtUp(ctx); err != nil {
		return err
	}
	b.show(out)
	return nil
}

func (b *Bank) show(out io.Writer) {
	for _, id := range b.Balances.IDs() {
		fmt.Fprintf(out, "  %-4s %s\n", id, euros(b.Balances.Of(id)))
	}
	fmt.Fprintf(out, "  all  %s\n", euros(b.Balances.Sum()))
}
