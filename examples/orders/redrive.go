package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// unpaid is a dead letter of payment, with its order.
type unpaid struct {
	letter deadletter.Letter
	order  OrderPlaced
}

// unpaid returns the open letters by order.
func (s *shop) unpaid(ctx context.Context) ([]unpaid, error) {
	var found []unpaid
	open := deadletter.Query{Subscriber: "payment", State: deadletter.StateOpen}
	for letter, err := range deadletter.All(ctx, s.rt.DeadLetters(), open) {
		if err != nil {
			return nil, err
		}
		order, err := s.placed.Decode(letter)
		if err != nil {
			return nil, err
		}
		found = append(found, unpaid{letter, order})
	}
	slices.SortFunc(found, func(a, b unpaid) int { return cmp.Compare(a.order.ID, b.order.ID) })
	return found, nil
}

// redrive sends letters back to the subscriber that has failed.
func (s *shop) redrive(ctx context.Context, letters []unpaid) error {
	for _, u := range letters {
		if err := s.rt.Redrive(ctx, u.letter.ID, runtime.RedriveConfig{By: "the night shift"}); err != nil {
			return err
		}
	}
	return nil
}
