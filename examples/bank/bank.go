package main

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/aggregate"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/runtime"
)

// Bank is the program: a store, the accounts in it, and a read model of them.
type Bank struct {
	rt       *runtime.Runtime
	store    eventstore.Store
	Schema   *eventstore.Schema[Event]
	Accounts *aggregate.Aggregates[Account, Command, Event]
	Balances *Balances
	View     *projection.Projection
}

// openBank starts a bank on the store, and closes the store if it cannot.
func openBank(store eventstore.Store) (*Bank, error) {
	b := &Bank{store: store, Balances: newBalances()}
	if err := b.start(); err != nil {
		return nil, errors.Join(err, b.Close(context.Background()))
	}
	return b, nil
}

func (b *Bank) start() (err error) {
	if b.Schema, err = events(); err != nil {
		return err
	}
	cfg, err := accounts(b.Schema)
	if err != nil {
		return err
	}
	if b.rt, err = runtime.New(runtime.Config{Name: "bank"}); err != nil {
		return err
	}
	if b.Accounts, err = aggregate.Open(b.rt, b.store, cfg); err != nil {
		return err
	}
	b.View, err = projection.OpenTx(b.rt, b.store, b.Balances, "balances", projected(b.Schema), projection.Config{Categories: []string{cfg.Category}})
	return err
}

// Close ends what runs, then the store.
func (b *Bank) Close(ctx context.Context) error {
	var err error
	if b.rt != nil {
		report, failed := b.rt.Shutdown(ctx)
		err = errors.Join(failed, report.Err())
	}
	return errors.Join(err, b.store.Close(ctx))
}

func (b *Bank) stream(account string) eventstore.Stream {
	return eventstore.Stream{Category: "account", ID: account}
}
