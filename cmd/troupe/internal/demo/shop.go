package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// shop is what runs:
//
//	orders.placed ──▶ payment ──▶ orders.paid ──▶ shipment ──▶ parcels.sent ──▶ tracking ─┐
//	                    │                         revenue, a read model                   │
//	                    └──────────▶ mails.requested ──▶ mailer ◀─────────────────────────┘
type shop struct {
	rt     *runtime.Runtime
	seed   uint64
	placed *topics.Topic[OrderPlaced]
	paid   *topics.Topic[OrderPaid]
	sent   *topics.Topic[ParcelSent]
	mails  *topics.Topic[Mail]

	taxes   taxes
	revenue revenue
	next    atomic.Int64 // number of the next order
}

// newShop opens topics and subscribers, from the end of the pipeline to its beginning.
func newShop(rt *runtime.Runtime, seed uint64) (*shop, error) {
	s := &shop{rt: rt, seed: seed, revenue: revenue{cents: map[string]int64{}}}
	var errs [9]error
	s.mails, errs[0] = topics.Open[Mail](rt, "mails.requested")
	s.sent, errs[1] = topics.Open[ParcelSent](rt, "parcels.sent")
	s.paid, errs[2] = topics.Open[OrderPaid](rt, "orders.paid")
	s.placed, errs[3] = topics.Open[OrderPlaced](rt, "orders.placed")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	quick := supervisor.Retry{MaxAttempts: 3, BaseDelay: 2 * time.Millisecond, MaxDelay: 10 * time.Millisecond}
	_, errs[4] = s.mails.Subscribe("mailer", s.mail, topics.SubscriberConfig{Retry: quick, Ordering: topics.Parked})
	_, errs[5] = s.sent.Subscribe("tracking", s.track, topics.SubscriberConfig{Retry: quick})
	_, errs[6] = s.paid.Subscribe("revenue", s.revenue.add, topics.SubscriberConfig{Retry: quick})
	_, errs[7] = s.paid.Subscribe("shipment", s.ship, topics.SubscriberConfig{
		Workers: 4, Timeout: 40 * time.Millisecond, Rehearsal: true,
		Retry:   supervisor.Retry{MaxAttempts: 2, BaseDelay: 2 * time.Millisecond},
		Restart: supervisor.Restart{MaxRestarts: 1000, Window: time.Minute, BaseDelay: supervisor.NoDelay},
	})
	_, errs[8] = s.placed.Subscribe("payment", s.pay, topics.SubscriberConfig{Retry: quick, Workers: 2, Timeout: 2 * time.Second})
	return s, errors.Join(errs[:]...)
}

// taxes stands for the service of another team, which is down for one country.
type taxes struct{ up atomic.Bool }

// errTaxes is what its client says.
var errTaxes = errors.New("tax service: GET https://tax.internal/v2/rates/CH: 502 Bad Gateway")

func (t *taxes) of(country string, cents int64) (int64, error) {
	if country == "CH" && !t.up.Load() {
		return 0, errTaxes
	}
	return cents * 19 / 119, nil
}

// pay takes the money.
func (s *shop) pay(ctx context.Context, o OrderPlaced) error {
	tax, err := s.taxes.of(o.Address.Country, o.TotalCents)
	if err != nil {
		return fmt.Errorf("payment of %s: %w", o.ID, err)
	}
	paid := OrderPaid{OrderPlaced: o, TaxCents: tax, PaymentID: "pay_" + strings.ToLower(o.ID)}
	if err := s.paid.Publish(ctx, paid); err != nil {
		return err
	}
	return s.mails.Publish(ctx, Mail{o.Customer.Email, "receipt", o.ID})
}

// label is what the carrier's library makes of an address. It counts on a postcode.
func label(a Address) string {
	district := a.Postcode[:2] // a panic for an address without
	return a.Country + "-" + district
}

// ship hands the parcel to the carrier. The express desk answers too late.
func (s *shop) ship(ctx context.Context, o OrderPaid) error {
	tracking := label(o.Address) + "-" + o.ID
	if o.Shipping == "express" {
		<-ctx.Done() // the carrier's express desk does not answer
		return fmt.Errorf("carrier: POST https://carrier.example/express: %w", context.Cause(ctx))
	}
	if d, ok := topics.DeliveryFrom(ctx); ok && d.Rehearsal {
		return nil
	}
	return s.sent.Publish(ctx, ParcelSent{o.ID, tracking, o.Customer})
}

// track tells the customer.
func (s *shop) track(ctx context.Context, p ParcelSent) error {
	return s.mails.Publish(ctx, Mail{p.Customer.Email, "on-its-way", p.Order})
}

// mail sends a mail. No attempt changes an address that is not there.
func (s *shop) mail(_ context.Context, m Mail) error {
	if strings.HasSuffix(m.To, "@gmial.com") {
		return supervisor.PermanentAs("mailbox_unavailable", fmt.Errorf("smtp: 550 5.1.1 <%s>: recipient address rejected", m.To))
	}
	return nil
}

// revenue is a read model: money by country.
type revenue struct {
	mu    sync.Mutex
	cents map[string]int64
}

// errCoupon is of a fix that was not one: it came back.
var errCoupon = errors.New("revenue: coupon WELCOME-100 leaves a negative total")

func (r *revenue) add(_ context.Context, o OrderPaid) error {
	if o.Coupon == "WELCOME-100" {
		return fmt.Errorf("order %s: %w", o.ID, errCoupon)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cents[o.Address.Country] += o.TotalCents
	return nil
}
