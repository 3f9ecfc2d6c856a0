// Package browsertest drives the console's pages in a real Chromium. It is a
// module of its own, so that who uses the console does not get a browser's
// protocol in go.mod.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Order is an event of the shop.
type Order struct {
	ID       uint64            `json:"id"` // larger than what a float64 holds exactly
	Customer string            `json:"customer"`
	Amount   string            `json:"amount"`
	Items    []Item            `json:"items"`
	Notes    map[string]string `json:"notes,omitempty"`
}

// Item is a part of an order.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Shop is a small shop whose handlers fail in several ways.
type Shop struct {
	Runtime *runtime.Runtime
	Desk    *ops.Desk
	Console *console.Console
	Store   *deadletter.Memory
	Placed  *topics.Topic[Order]
	// Broken is what billing answers, Slow how long it takes.
	Broken atomic.Bool
	Slow   atomic.Int64
	Billed atomic.Int64
}

// NewShop opens the shop, with a console by that configuration.
func NewShop(cfg console.Config) (*Shop, error) {
	s := &Shop{}
	s.Broken.Store(true)
	var err error
	if s.Store, err = deadletter.NewMemory(deadletter.MemoryConfig{}); err != nil {
		return nil, err
	}
	if s.Runtime, err = runtime.New(runtime.Config{Name: "shop", DeadLetters: s.Store}); err != nil {
		return nil, err
	}
	s.Desk, err = ops.New(s.Runtime, ops.Config{Fixes: []ops.Fix{{
		Name: "currency", About: "writes amounts with a currency",
		Do: func(_ context.Context, l deadletter.Letter) ([]byte, error) {
			return l.Payload, errors.New("no amount")
		},
	}}})
	if err != nil {
		return nil, err
	}
	if s.Placed, err = topics.Open[Order](s.Runtime, "orders.placed"); err != nil {
		return nil, err
	}
	quick := topics.SubscriberConfig{Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}, Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}}
	if _, err = s.Placed.Subscribe("billing", s.bill, quick); err != nil {
		return nil, err
	}
	if _, err = s.Placed.Subscribe("shipping", s.ship, quick); err != nil {
		return nil, err
	}
	if _, err = s.Placed.Subscribe("analytics", func(context.Context, Order) error { return nil }); err != nil {
		return nil, err
	}
	cfg.Desk = s.Desk
	if s.Console, err = console.New(s.Runtime, cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// ErrGateway is the chain that billing's errors end in.
var ErrGateway = errors.New("gateway: connection refused")

func (s *Shop) bill(ctx context.Context, o Order) error {
	if d := time.Duration(s.Slow.Load()); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.Broken.Load() && o.Amount != "12.50 EUR" {
		return fmt.Errorf("charge order %d: %w", o.ID, ErrGateway)
	}
	s.Billed.Add(1)
	return nil
}

func (s *Shop) ship(_ context.Context, o Order) error {
	if o.Customer == "gwen" {
		var shelves []int
		_ = shelves[o.Items[0].Quantity] // the carrier's library panics
	}
	return nil
}

// Place places n orders.
func (s *Shop) Place(ctx context.Context, n int) error {
	customers := []string{"ann", "ben", "cleo", "dan", "eve", "finn", "gwen", "hugo"}
	for i := range n {
		o := Order{
			ID: 9007199254740993 + uint64(i), Customer: customers[i%len(customers)], Amount: fmt.Sprintf("%d.90", 10+i%50),
			Items: []Item{{"tea-7", 1 + i%3}, {"kettle", 1}}, Notes: map[string]string{"gift": "no", "greeting": "Grüße, żółw <b>bold</b>"},
		}
		if err := s.Placed.Publish(ctx, o); err != nil {
			return err
		}
	}
	return s.Runtime.Idle(ctx)
}

// Close closes everything.
func (s *Shop) Close(ctx context.Context) error {
	_, err := s.Runtime.Shutdown(ctx)
	return errors.Join(s.Console.Close(ctx), s.Desk.Close(ctx), err)
}
