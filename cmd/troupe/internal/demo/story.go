package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// How many orders go wrong in which way before anybody looks.
const (
	goodOrders      = 120
	swissOrders     = 100
	postcodeOrders  = 14
	expressOrders   = 6
	typoOrders      = 21
	negativeOrders  = 5
	trafficInterval = 200 * time.Millisecond
)

// mix says what is wrong with the nth order of the history: nil is nothing.
func mix() []func(*OrderPlaced) {
	left := []struct {
		n     int
		wrong func(*OrderPlaced)
	}{{goodOrders, nil}, {swissOrders, swiss}, {postcodeOrders, noPostcode}, {expressOrders, express}, {typoOrders, typo}, {negativeOrders, negative}}
	total := 0
	for _, l := range left {
		total += l.n
	}
	// Spread evenly, so that all kinds are everywhere.
	all := make([]func(*OrderPlaced), total)
	taken := make([]bool, total)
	for i := len(left) - 1; i >= 0; i-- {
		for k := range left[i].n {
			at := (2*k + 1) * total / (2 * left[i].n)
			for taken[at%total] {
				at++
			}
			taken[at%total], all[at%total] = true, left[i].wrong
		}
	}
	return all
}

// place publishes the next order.
func (s *shop) place(ctx context.Context, wrong func(*OrderPlaced)) error {
	o := s.order(int(s.next.Add(1)), time.Now())
	if wrong != nil {
		wrong(&o)
	}
	return s.placed.Publish(ctx, o)
}

// history is what has happened before the operator is woken.
func (s *shop) history(ctx context.Context, desk *ops.Desk) error {
	for _, wrong := range mix() {
		if err := s.place(ctx, wrong); err != nil {
			return err
		}
	}
	if err := s.rt.Idle(ctx); err != nil {
		return err
	}
	// The day before, somebody thought that the coupon was fixed.
	op, err := desk.Redrive(ctx, ops.By{Name: "lena", Why: "coupon fixed in 2.3.1"}, ops.Redrive{
		Scope: ops.Scope{Query: `sub:revenue err:"coupon"`}, Budget: 1,
	})
	if err != nil {
		return err
	}
	if err := finished(ctx, desk, op.ID); err != nil {
		return err
	}
	// And somebody knows of the mails.
	page, err := desk.Groups(ctx, "sub:mailer", deadletter.GroupQuery{Limit: 1})
	if err != nil || len(page.Groups) == 0 {
		return errors.Join(err, ctx.Err())
	}
	yes, note, owner := true, "typos at the check-out, SHOP-1412; troupe fix mail-typos repairs them", "front end"
	_, err = desk.ChangeGroup(ctx, ops.By{Name: "sam"}, page.Groups[0].Fingerprint, ops.GroupChange{Note: &note, Owner: &owner, Acknowledged: &yes})
	return err
}

// finished waits for the end of an operation.
func finished(ctx context.Context, desk *ops.Desk, id string) error {
	for {
		op, err := desk.Operation(ctx, id)
		if err != nil || op.State.Ended() {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// traffic places orders until ctx ends, of which now and then one goes wrong.
func (s *shop) traffic(ctx context.Context) {
	tick := time.NewTicker(trafficInterval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var wrong func(*OrderPlaced)
		switch {
		case n%9 == 0:
			wrong = swiss
		case n%83 == 0:
			wrong = noPostcode
		case n%101 == 0:
			wrong = typo
		case n%151 == 0:
			wrong = express
		}
		if err := s.place(ctx, wrong); err != nil {
			return // the shop closes
		}
	}
}

// fixes are what the shop can repair in bulk.
func fixes() []ops.Fix {
	return []ops.Fix{{
		Name: "mail-typos", About: "writes gmail.com where a mail goes to gmial.com",
		Do: func(_ context.Context, l deadletter.Letter) ([]byte, error) {
			var m Mail
			if err := json.Unmarshal(l.Payload, &m); err != nil {
				return nil, err
			}
			name, typo := strings.CutSuffix(m.To, "@gmial.com")
			if !typo {
				return nil, fmt.Errorf("%s is no address at gmial.com", m.To)
			}
			m.To = name + "@gmail.com"
			return json.Marshal(m)
		},
	}}
}

// welcome says what there is and what to try.
func (s *shop) welcome(ctx context.Context, out io.Writer, desk *ops.Desk, address, socket, store string) error {
	groups, err := desk.Groups(ctx, "state:open", deadletter.GroupQuery{})
	if err != nil {
		return err
	}
	total := 0
	for _, g := range groups.Groups {
		total += g.Counts[deadletter.StateOpen]
	}
	payment, err := desk.Groups(ctx, "state:open sub:payment", deadletter.GroupQuery{Limit: 1})
	if err != nil || len(payment.Groups) == 0 {
		return errors.Join(err, ctx.Err())
	}
	shipment, err := desk.Letters(ctx, "state:open sub:shipment cause:panic", "", 1)
	if err != nil || len(shipment.Letters) == 0 {
		return errors.Join(err, ctx.Err())
	}
	fmt.Fprintf(out, `It is three in the morning. The shop has %d dead letters in %d groups, and more come.

  browser   %s
  socket    unix://%s
  store     %s

In another terminal (troupe is: go run ./cmd/troupe):

  export TROUPE_SERVER=%s

  troupe groups                                    what fails, since when
  troupe groups show %s
  troupe pause orders.placed/payment --why "looking at the tax service"
  troupe ls sub:payment -l 5
  troupe edit %s --set address.postcode='"D02 X285"' --yes
  troupe resume payment
  troupe redrive --group %s --canary --yes
                                                   it stops: nothing is repaired yet
  troupe demo repair                               or press Enter here
  troupe ops --state stopped
  troupe ops resume OPERATION --watch
  troupe fix mail-typos --query 'sub:mailer state:open' --yes
  troupe gotest %s
  troupe audit
  troupe top                                       live; Ctrl-C ends it

Ctrl-C ends the shop.
`, total, groups.Total, address, socket, store, address, payment.Groups[0].Fingerprint, shipment.Letters[0].ID, payment.Groups[0].Fingerprint, shipment.Letters[0].ID)
	return nil
}
