package watermill

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/engine"
)

// channel is one Subscribe: a consumer whose deliveries go to a channel.
type channel struct {
	cfg    *SubscriberConfig
	sub    engine.Subscription
	delays bool // the engine does
	out    chan *message.Message
	fields watermill.LogFields

	ctx    context.Context // of the messages; its end is that of the channel
	cancel context.CancelFunc

	mu        sync.Mutex
	unsettled map[*engine.Delivery]struct{}
}

// run hands out messages until the channel ends. The engine's Fetch waits while
// InFlight of them are not acknowledged.
func (c *channel) run() {
	defer c.cancel()
	var work sync.WaitGroup
	work.Go(c.extend)
	pause := newPause()
	for {
		deliveries, err := c.sub.Fetch(c.ctx, c.cfg.InFlight)
		if c.ctx.Err() != nil || errors.Is(err, engine.ErrClosed) {
			break
		}
		if err != nil {
			c.cfg.Log.Error("fetch, tried again", err, c.fields)
			pause.wait(c.ctx)
			continue
		}
		pause = newPause()
		for _, d := range deliveries {
			c.hand(d, &work)
		}
	}
	c.cancel()
	close(c.out)
	work.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.cfg.Timeout)
	defer cancel()
	if err := c.sub.Close(ctx); err != nil {
		c.cfg.Log.Error("close of a consumer: what it had comes again later", err, c.fields)
	}
}

// hand gives a delivery to who reads the channel, and settles it when he has said what
// has become of it.
func (c *channel) hand(d *engine.Delivery, work *sync.WaitGroup) {
	m := messageOf(d)
	ctx, done := context.WithCancel(c.ctx)
	m.SetContext(ctx)
	c.mu.Lock()
	c.unsettled[d] = struct{}{}
	c.mu.Unlock()
	select {
	case c.out <- m:
	case <-c.ctx.Done():
		done()
		return
	}
	work.Go(func() {
		defer done()
		select {
		case <-m.Acked():
			c.settle(d, engine.Ack)
		case <-m.Nacked():
			c.settle(d, engine.Nack)
		case <-c.ctx.Done():
			select { // said at the last moment
			case <-m.Acked():
				c.settle(d, engine.Ack)
			default:
			}
		}
	})
}

// settle tells the engine, again and again while that fails and the channel is open.
func (c *channel) settle(d *engine.Delivery, verdict engine.Verdict) {
	if verdict == engine.Nack && !c.delays && c.cfg.NackDelay > 0 {
		timer := time.NewTimer(c.cfg.NackDelay)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
		}
	}
	settlement := []engine.Settlement{{Delivery: d, Verdict: verdict, Delay: c.cfg.NackDelay}}
	for pause := newPause(); ; {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.cfg.Timeout)
		late, err := c.sub.Settle(ctx, settlement)
		cancel()
		if late > 0 {
			c.cfg.Log.Info("acknowledged too late: it comes again", c.fields.Add(watermill.LogFields{"message_uuid": d.Record.ID}))
		}
		if err == nil || errors.Is(err, engine.ErrClosed) {
			break
		}
		c.cfg.Log.Error("settle, tried again", err, c.fields)
		if !pause.wait(c.ctx) {
			break
		}
	}
	c.mu.Lock()
	delete(c.unsettled, d)
	c.mu.Unlock()
}

// extend keeps the leases of what is not acknowledged.
func (c *channel) extend() {
	tick := time.NewTicker(c.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		all := make([]*engine.Delivery, 0, len(c.unsettled))
		for d := range c.unsettled {
			all = append(all, d)
		}
		c.mu.Unlock()
		if len(all) == 0 {
			continue
		}
		if err := c.sub.Extend(c.ctx, all); err != nil && c.ctx.Err() == nil {
			c.cfg.Log.Error("extend of leases, tried again", err, c.fields)
		}
	}
}

// pause is between tries, longer each time, to a second.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{10 * time.Millisecond} }

// wait returns false if ctx ends first.
func (p *pause) wait(ctx context.Context) bool {
	timer := time.NewTimer(p.next/2 + rand.N(p.next))
	defer timer.Stop()
	p.next = min(2*p.next, time.Second)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
