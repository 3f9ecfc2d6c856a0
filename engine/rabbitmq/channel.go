package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// channel is an AMQP channel of ours and how it has ended: the server closes it over
// the first thing that it does not like, and what was under way on it is undone.
type channel struct {
	*amqp.Channel

	lost chan struct{} // closed when the channel is
	err  error         // why, once it is

	// returns has what the server could not route. It has room for every message
	// without a confirm, so that the client never waits for us.
	returns  chan amqp.Return
	returned map[string]struct{} // places; belongs to the goroutine that confirms
}

func wrap(ch *amqp.Channel) *channel {
	c := &channel{Channel: ch, lost: make(chan struct{})}
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() { // ends with the channel, which ends with its connection
		defer close(c.lost)
		if e, ok := <-closes; ok && e != nil {
			c.err = told(e)
		} else {
			c.err = fmt.Errorf("channel closed: %w", engine.ErrUnavailable)
		}
	}()
	return c
}

// reason waits until the channel is closed and returns why.
func (c *channel) reason() error {
	<-c.lost
	return c.err
}

// confirming makes the server confirm what is published.
func (c *channel) confirming(window int) error {
	c.returned = map[string]struct{}{}
	c.returns = c.NotifyReturn(make(chan amqp.Return, window))
	return c.Confirm(false)
}

func (c *channel) wasReturned(place string) bool {
	for {
		select {
		case r, ok := <-c.returns:
			if !ok {
				c.returns = nil
				continue
			}
			p, _ := r.Headers[headerPlace].(string)
			c.returned[p] = struct{}{}
			continue
		default:
		}
		break
	}
	if len(c.returned) == 0 {
		return false
	}
	_, ok := c.returned[place]
	delete(c.returned, place)
	return ok
}
