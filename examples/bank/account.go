package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/aggregate"
)

// What happens to accounts.
type (
	Event     interface{ happened() }
	Opened    struct{ Owner string }
	Deposited struct{ Cents int64 }
	Withdrawn struct{ Cents int64 }
)

func (Opened) happened()    {}
func (Deposited) happened() {}
func (Withdrawn) happened() {}

// What can be asked of them.
type (
	Command  interface{ asked() }
	Open     struct{ Owner string }
	Deposit  struct{ Cents int64 }
	Withdraw struct{ Cents int64 }
)

func (Open) asked()     {}
func (Deposit) asked()  {}
func (Withdraw) asked() {}

// Account is what decisions are made on.
type Account struct {
	Owner string
	Cents int64
}

var (
	ErrNoAccount = errors.New("there is no such account")
	ErrOpen      = errors.New("the account is open already")
	ErrPoor      = errors.New("the account does not hold so much")
)

func decide(_ context.Context, a Account, c Command) ([]Event, error) {
	if _, opens := c.(Open); !opens && a.Owner == "" {
		return nil, ErrNoAccount
	}
	switch c := c.(type) {
	case Open:
		if a.Owner != "" {
			return nil, ErrOpen
		}
		return []Event{Opened(c)}, nil
	case Deposit:
		return []Event{Deposited(c)}, nil
	case Withdraw:
		if c.Cents > a.Cents {
			return nil, fmt.Errorf("withdraw %s of %s: %w", euros(c.Cents), euros(a.Cents), ErrPoor)
		}
		return []Event{Withdrawn(c)}, nil
	}
	return nil, fmt.Errorf("unknown command %T", c)
}

func evolve(a Account, ev Event) Account {
	switch ev := ev.(type) {
	case Opened:
		a.Owner = ev.Owner
	case Deposited:
		a.Cents += ev.Cents
	case Withdrawn:
		a.Cents -= ev.Cents
	}
	return a
}

func euros(cents int64) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }

// depositedV1 is what the first version of the program wrote: whole euros.
type depositedV1 struct{ Euros int64 }

func events() (*eventstore.Schema[Event], error) {
	return eventstore.NewSchema[Event](nil,
		eventstore.TypeOf[Opened]("opened"),
		eventstore.TypeOf[Deposited]("deposited", eventstore.UpcastJSON(func(old depositedV1) (Deposited, error) {
			return Deposited{Cents: 100 * old.Euros}, nil
		})),
		eventstore.TypeOf[Withdrawn]("withdrawn"))
}

func accounts(schema *eventstore.Schema[Event]) (aggregate.Config[Account, Command, Event], error) {
	commands, err := eventstore.NewSchema[Command](nil,
		eventstore.TypeOf[Open]("open"), eventstore.TypeOf[Deposit]("deposit"), eventstore.TypeOf[Withdraw]("withdraw"))
	return aggregate.Config[Account, Command, Event]{
		Category: "account", Schema: schema, Commands: commands, Decide: decide, Evolve: evolve,
		Snapshots: aggregate.Snapshots{Every: 100},
	}, err
}
