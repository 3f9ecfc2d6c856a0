// Orders is a day of a shop, as a pipeline of events: orders are placed, paid and
// shipped, customers get mails, and a read model counts the money. The payment
// gateway is flaky, the carrier's library panics, the mail server is down in the
// morning, and an item is missing in the catalog. In the end each order is paid and
// shipped once, and the account adds up. Start reading at shop.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	s, err := newShop(1)
	if err != nil {
		return err
	}
	return s.run(ctx, out)
}

// run opens the shop for a day. If ctx ends before, what has been accepted is
// finished all the same.
func (s *shop) run(ctx context.Context, out io.Writer) error {
	day := s.day(ctx, out)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	report, err := s.rt.Shutdown(end)
	return errors.Join(day, err, report.Err(), s.account(out, report.Snapshot))
}

// day is the story.
func (s *shop) day(ctx context.Context, out io.Writer) error {
	orders := sample(40)
	for _, order := range orders {
		if err := s.place(ctx, order); err != nil {
			return err
		}
	}
	if err := s.rt.Idle(ctx); err != nil { // each event has its outcome
		return err
	}
	letters, err := s.unpaid(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "morning: %d orders placed, %d paid and shipped, %d are dead letters\n",
		len(orders), len(s.gateway.charges()), len(letters))
	fmt.Fprintf(out, "  payment    %d attempts failed\n", s.failures("orders.placed", "payment"))
	fmt.Fprintf(out, "  shipment   %d panics of the carrier's library\n", s.failures("orders.paid", "shipment"))
	fmt.Fprintf(out, "  mailer     %d mails sent after %d calls that failed; the circuit opened %d time\n",
		s.mailer.sent.Load(), outage, s.mailer.opened.Load())
	for _, u := range letters {
		fmt.Fprintf(out, "  %s %-6s %d attempts, %s: %s\n",
			u.order.ID, u.order.Customer, u.letter.AttemptCount, u.letter.Reason, u.letter.Error)
	}

	select {
	case <-time.After(payWithin):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.rt.Idle(ctx); err != nil {
		return err
	}
	overdue, _ := s.rt.Snapshot().Topic("orders.overdue")
	fmt.Fprintf(out, "noon:    %d orders overdue, their customers are reminded\n", overdue.Accepted)

	s.gateway.repair()
	s.catalog.add("samovar", 199_00)
	if err := s.redrive(ctx, letters); err != nil {
		return err
	}
	if err := s.rt.Idle(ctx); err != nil {
		return err
	}
	left, err := s.unpaid(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "night:   gateway and catalog repaired, %d letters sent back, %d left\n", len(letters), len(left))
	fmt.Fprintf(out, "  %d orders paid, %d vouchers, %d mails sent\n",
		len(s.gateway.charges()), s.loyalty.count(), s.mailer.sent.Load())
	return nil
}

// failures is how many attempts of a subscriber have failed.
func (s *shop) failures(topic, subscriber string) uint64 {
	t, _ := s.rt.Snapshot().Topic(topic)
	sub, _ := t.Subscriber(subscriber)
	return sub.Counts.Failures
}

// sample returns n orders. Two of the first 40 are of an item that the catalog
// does not have.
func sample(n int) []OrderPlaced {
	customers := []string{"ann", "ben", "cleo", "dan", "eve", "finn", "gwen", "hugo"}
	items := []string{"tea", "kettle", "teapot"}
	orders := make([]OrderPlaced, n)
	for i := range orders {
		orders[i] = OrderPlaced{
			ID:       fmt.Sprintf("o-%02d", i+1),
			Customer: customers[i%len(customers)],
			Item:     items[i%len(items)],
			Quantity: i%4 + 1,
		}
		if i%20 == 12 {
			orders[i].Item = "samovar"
		}
	}
	return orders
}
