package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/troupetest"
)

const want = `morning: 40 orders placed, 36 paid and shipped, 4 are dead letters
  payment    28 attempts failed
  shipment   4 panics of the carrier's library
  mailer     72 mails sent after 6 calls that failed; the circuit opened 1 time
  o-12 dan    3 attempts, attempts_exhausted: payment gateway: connection reset
  o-13 eve    1 attempts, unknown_item: no price for "samovar"
  o-33 ann    1 attempts, unknown_item: no price for "samovar"
  o-38 finn   3 attempts, attempts_exhausted: payment gateway: connection reset
noon:    4 orders overdue, their customers are reminded
night:   gateway and catalog repaired, 4 letters sent back, 0 left
  40 orders paid, 18 vouchers, 84 mails sent

topic            subscriber deliveries = done + filtered + dropped + dead letters
mails.requested  mailer             84     84          0         0              0
orders.>         audit             124    124          0         0              0
orders.overdue   reminder            4      4          0         0              0
orders.paid      revenue            40     40          0         0              0
orders.paid      loyalty            40     18         22         0              0
orders.paid      deadlines          40     40          0         0              0
orders.paid      shipment           40     40          0         0              0
orders.placed    payment            44     40          0         0              4
orders.shipped   tracking           40     40          0         0              0
prices.asked     catalog            68     68          0         0              0
all                                524    498         22         0              4

kettle     1248.00
samovar     398.00
tea         153.00
teapot     1680.00
revenue    3479.00, as the gateway says
`

// newTestShop opens the shop as the program does.
func newTestShop(t *testing.T) *shop {
	t.Helper()
	s, err := newShop(1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheDayAndItsAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), &out); err != nil {
			t.Error(err)
		}
		if got := out.String(); got != want {
			t.Errorf("output:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestEachOrderIsPaidShippedAndCountedOnce(t *testing.T) {
	for seed := range uint64(20) { // other payments fail, with the same result
		synctest.Test(t, func(t *testing.T) {
			s, err := newShop(seed)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := s.run(t.Context(), &out); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, &out)
			}
			troupetest.CheckAccount(t, s.rt.Snapshot())
			times := map[string]int{}
			for _, p := range s.gateway.charges() {
				times[p.Order.ID]++
			}
			for _, order := range sample(40) {
				if n := times[order.ID]; n != 1 {
					t.Errorf("seed %d: %s is charged %d times, want once", seed, order.ID, n)
				}
				if p, ok := s.revenue.paid[order.ID]; !ok || p.Order != order {
					t.Errorf("seed %d: revenue has %v for %s", seed, p, order.ID)
				}
			}
			for topic, want := range map[string]int{"orders.placed": 40, "orders.paid": 40, "orders.shipped": 40} {
				if got := s.audit.seen[topic]; got != want {
					t.Errorf("seed %d: audit has seen %d events of %s, want %d", seed, got, topic, want)
				}
			}
			if n := len(s.deadlines.pending); n > 0 {
				t.Errorf("seed %d: %d deadlines are left", seed, n)
			}
		})
	}
}

func TestTheOrdersOfACustomerAreChargedInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestShop(t)
		defer s.rt.Shutdown(context.Background())
		for _, order := range sample(40) {
			if err := s.place(t.Context(), order); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.rt.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := map[string]string{}
		for _, p := range s.gateway.charges() { // the letters are not sent back yet
			if before := last[p.Order.Customer]; before > p.Order.ID {
				t.Errorf("%s: %s is charged after %s", p.Order.Customer, p.Order.ID, before)
			}
			last[p.Order.Customer] = p.Order.ID
		}
		if len(last) != 8 {
			t.Errorf("customers = %d, want 8", len(last))
		}
	})
}

func TestAnInterruptedDayFinishesWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestShop(t)
		ctx, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(payWithin/2, interrupt) // between morning and noon
		var out bytes.Buffer
		err := s.run(ctx, &out)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, runtime.ErrUnclean) {
			t.Errorf("run = %v, want that it was interrupted, with deadlines left", err)
		}
		// The deadlines of the four unpaid orders are dead letters, to be redriven.
		if !strings.Contains(err.Error(), "orders.overdue, scheduled: 4 events") {
			t.Errorf("run = %v, want the four deadlines in it", err)
		}
		snap := s.rt.Snapshot()
		troupetest.CheckAccount(t, snap)
		if got := len(s.gateway.charges()); got != 36 || s.audit.seen["orders.shipped"] != 36 {
			t.Errorf("%d orders are charged, %d shipped, want 36", got, s.audit.seen["orders.shipped"])
		}
	})
}

func TestAClosedShopTakesNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestShop(t)
		if _, err := s.rt.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.place(t.Context(), sample(1)[0]); !errors.Is(err, runtime.ErrClosed) {
			t.Errorf("place = %v, want %v", err, runtime.ErrClosed)
		}
	})
}
