package rabbitmq

import (
	"context"
	"fmt"
	"maps"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// Claim gives a group the records of the topic that were published when it had no
// group at all, and that are kept since (Config.MaxUnclaimed), in their order and
// behind what the group's queue has by then. It returns how many. The group must be
// there: subscribe first.
//
// Each record is in the group's queue, confirmed, before it is taken from where it was.
// An error leaves the rest there, and may leave a record in both places; call it again.
//
// Errors: engine.ErrNoTopic if there is no such group, and those of Topic.Publish.
func (e *Engine) Claim(ctx context.Context, topic, group string) (int, error) {
	names, err := e.names(topic)
	if err != nil {
		return 0, err
	}
	queue, err := names.group(group)
	if err != nil {
		return 0, err
	}
	conn, err := e.publish.now()
	if err != nil {
		return 0, fmt.Errorf("rabbitmq: topic %s: %w", topic, err)
	}
	ctx, cancel := e.publish.unblocked(ctx)
	defer cancel()
	claimed := make(chan int, 1)
	err = await(ctx, fmt.Sprintf("rabbitmq: topic %s: claim for group %s", topic, group), func() error {
		raw, err := conn.Channel()
		if err != nil {
			claimed <- 0
			return err
		}
		defer raw.Close()
		n, err := e.move(ctx, wrap(raw), names.unclaimed, queue)
		claimed <- n
		return err
	})
	select {
	case n := <-claimed:
		return n, err
	default: // ctx has ended and the last record is under way
		return 0, err
	}
}

// move takes what a queue has, a window at a time.
func (e *Engine) move(ctx context.Context, ch *channel, from, to string) (moved int, err error) {
	if err := ch.confirming(e.cfg.Window); err != nil {
		return 0, err
	}
	if _, err := ch.QueueDeclarePassive(to, true, false, false, false, nil); err != nil {
		return 0, err
	}
	type pending struct {
		tag uint64
		p   string
		dc  *amqp.DeferredConfirmation
	}
	for {
		var window []pending
		for len(window) < e.cfg.Window && ctx.Err() == nil {
			d, ok, err := ch.Get(from, false)
			if err != nil {
				return moved, err
			}
			if !ok {
				break
			}
			place := placeOf(&d)
			message := again(&engine.Delivery{Place: place}, &Message{Delivery: d})
			message.Headers = maps.Clone(message.Headers)
			delete(message.Headers, headerAttempts)
			dc, err := ch.PublishWithDeferredConfirm("", to, true, false, message)
			if err != nil {
				return moved, err
			}
			window = append(window, pending{d.DeliveryTag, place, dc})
		}
		for _, p := range window {
			acked, err := p.dc.WaitContext(ctx)
			switch {
			case err != nil:
				return moved, err
			case acked && ch.wasReturned(p.p):
				return moved, fmt.Errorf("queue %s: is gone: %w", to, engine.ErrNoTopic)
			case !acked && ch.IsClosed():
				return moved, ch.reason()
			case !acked:
				return moved, fmt.Errorf("queue %s: %w", to, engine.ErrFull)
			}
			if err := ch.Ack(p.tag, false); err != nil {
				return moved, err
			}
			moved++
		}
		if ctx.Err() != nil {
			return moved, context.Cause(ctx)
		}
		if len(window) == 0 {
			return moved, nil
		}
	}
}
