package main

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// shop is what the program runs:
//
//	place ─┬─orders.placed──▶ payment ──prices.asked──▶ catalog, which answers
//	       │                    ├─orders.paid──▶ shipment ──orders.shipped──▶ tracking ─┐
//	       │                    │                revenue, loyalty, deadlines            │
//	       │                    ├───────────────mails.requested──▶ mailer ◀─────────────┤
//	       │                    └──▶ dead letters                                       │
//	       └─PublishAfter──orders.overdue──▶ reminder ──────────────────────────────────┘
//
//	orders.> ──▶ audit
type shop struct {
	rt     *runtime.Runtime
	placed *topics.Topic[OrderPlaced]

	catalog   *catalog
	gateway   *gateway
	deadlines *deadlines
	mailer    *mailer
	revenue   *revenue
	loyalty   *loyalty
	audit     *audit
}

// newShop opens the shop. The seed says which payments fail.
func newShop(seed uint64) (*shop, error) {
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		return nil, err
	}
	s := &shop{
		rt:        rt,
		catalog:   newCatalog(),
		gateway:   newGateway(seed),
		deadlines: &deadlines{pending: map[string]topics.Scheduled{}},
		mailer:    &mailer{},
		revenue:   &revenue{paid: map[string]OrderPaid{}},
		loyalty:   &loyalty{vouchers: map[string]string{}},
		audit:     &audit{seen: map[string]int{}},
	}
	if err := s.subscribe(); err != nil {
		_, closed := rt.Shutdown(context.Background())
		return nil, errors.Join(err, closed)
	}
	return s, nil
}

// subscribe builds the pipeline from its end to its beginning, because a shutdown
// stops subscribers in reverse order.
func (s *shop) subscribe() error {
	var faults []error
	prices := open[PriceAsked](s.rt, "prices.asked", &faults)
	mails := open[Mail](s.rt, "mails.requested", &faults)
	shipped := open[OrderShipped](s.rt, "orders.shipped", &faults)
	paid := open[OrderPaid](s.rt, "orders.paid", &faults)
	overdue := open[OrderOverdue](s.rt, "orders.overdue", &faults)
	s.placed = open[OrderPlaced](s.rt, "orders.placed", &faults)
	if err := errors.Join(faults...); err != nil {
		return err
	}
	s.deadlines.overdue, s.deadlines.mails = overdue, mails
	payment := &payment{s.gateway, prices, paid, mails}
	shipment := &shipment{shipped}

	add := func(_ *topics.Subscription, err error) { faults = append(faults, err) }
	add(topics.SubscribePattern(s.rt, "orders.>", "audit", s.audit.handle))
	add(mails.Subscribe("mailer", s.mailer.handle, s.mailer.config()))
	add(shipped.Subscribe("tracking", func(ctx context.Context, o OrderShipped) error {
		return mails.Publish(ctx, Mail{o.Customer, o.ID + " is on its way"})
	}))
	add(paid.SubscribeBatch("revenue", s.revenue.handle, s.revenue.config()))
	add(paid.Subscribe("loyalty", s.loyalty.handle, s.loyalty.config()))
	add(paid.Subscribe("deadlines", s.deadlines.handlePaid))
	add(paid.Subscribe("shipment", shipment.handle, shipment.config()))
	add(overdue.Subscribe("reminder", s.deadlines.handleOverdue))
	add(topics.Respond(prices, "catalog", s.catalog.respond))
	add(s.placed.Subscribe("payment", topics.Transactional(s.rt, payment.handle), payment.config()))
	return errors.Join(faults...)
}

// open opens a topic, or adds to the faults.
func open[T any](rt *runtime.Runtime, name string, faults *[]error) *topics.Topic[T] {
	t, err := topics.Open[T](rt, name)
	*faults = append(*faults, err)
	return t
}

// place takes an order. After an error there is none.
func (s *shop) place(ctx context.Context, order OrderPlaced) error {
	if err := s.deadlines.begin(ctx, order); err != nil {
		return err
	}
	if err := s.placed.Publish(ctx, order); err != nil {
		s.deadlines.end(order.ID)
		return err
	}
	return nil
}
