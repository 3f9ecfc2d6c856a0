package rabbitmq

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// outgoing is a message on its way.
type outgoing struct {
	exchange, key string
	message       amqp.Publishing
}

// batch is the messages of one call and what has become of them.
type batch struct {
	out []outgoing

	mu   sync.Mutex
	errs []error // nil until one is not nil
	open []bool  // has no result yet
	left int
	over bool // the caller is gone with what there was
	done chan struct{}
}

func newBatch(n int) *batch {
	return &batch{out: make([]outgoing, n), open: make([]bool, n), done: make(chan struct{})}
}

// add puts message i of the batch on its way.
func (b *batch) add(i int, o outgoing) {
	b.out[i], b.open[i] = o, true
	b.left++
}

func (b *batch) settle(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settleLocked(i, err)
}

func (b *batch) settleLocked(i int, err error) {
	if b.over || !b.open[i] {
		return
	}
	b.open[i] = false
	if err != nil {
		b.failed(i, err)
	}
	if b.left--; b.left == 0 {
		b.over = true
		close(b.done)
	}
}

// failed is called before the batch is on its way, or with mu.
func (b *batch) failed(i int, err error) {
	if b.errs == nil {
		b.errs = make([]error, len(b.out))
	}
	b.errs[i] = err
}

// rest gives all that have no result yet the same.
func (b *batch) rest(err error) { b.from(0, err) }

// from does so from message i on.
func (b *batch) from(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ; i < len(b.open); i++ {
		b.settleLocked(i, err)
	}
}

// publisher is what publishes the records of one topic, and what is put off of it. One
// goroutine, run, has the channel and writes, so that the order of calls is the order
// in the queues and a socket that takes no more holds up no caller; another, confirm,
// waits for the server's confirms in the order of publishing.
type publisher struct {
	t  *Topic
	in chan *batch

	nonce string // with seq, the place of a message
	seq   atomic.Uint64

	mu   sync.Mutex
	err  error         // why it does not publish now
	down chan struct{} // closed when it begins not to

	stop chan struct{}
	done chan struct{}
}

func newPublisher(t *Topic) *publisher {
	down := make(chan struct{})
	close(down)
	return &publisher{
		t: t, in: make(chan *batch), nonce: rand.Text()[:12],
		err: fmt.Errorf("rabbitmq: topic %s: %w: not connected yet", t.name, engine.ErrUnavailable), down: down,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// publish returns when every message of the batch has a result, or ctx ends.
func (p *publisher) publish(ctx context.Context, b *batch) {
	p.mu.Lock()
	err, down := p.err, p.down
	p.mu.Unlock()
	if err == nil {
		err = p.t.blocked()
	}
	if err != nil {
		b.rest(err)
		return
	}
	select {
	case p.in <- b:
	case <-down:
		p.mu.Lock()
		err = p.err
		p.mu.Unlock()
		if err == nil { // it is back already
			err = fmt.Errorf("rabbitmq: topic %s: connection lost: %w", p.t.name, engine.ErrUnavailable)
		}
		b.rest(err)
		return
	case <-p.stop:
		b.rest(p.t.closed())
		return
	case <-ctx.Done():
		b.rest(ended(ctx, "rabbitmq: topic "+p.t.name+": waiting to publish"))
		return
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		b.rest(ended(ctx, "rabbitmq: topic "+p.t.name+": waiting for the server to confirm"))
	}
}

// run has a channel, and another after that, until the topic is closed.
func (p *publisher) run(first *channel) {
	defer close(p.done)
	ch := first
	for {
		if ch != nil {
			p.state(nil)
			p.serve(ch)
			_ = ch.Close() // it is closed, or the topic is
		}
		select {
		case <-p.stop:
			p.state(p.t.closed())
			return
		default:
		}
		p.state(p.why(ch))
		var err error
		if ch, err = p.t.openChannel(p.stop); err != nil {
			p.state(err)
			pause(p.stop)
		}
	}
}

func (p *publisher) why(ch *channel) error {
	if ch == nil {
		return fmt.Errorf("rabbitmq: topic %s: %w: not connected", p.t.name, engine.ErrUnavailable)
	}
	reason := ch.reason()
	if serverLimit(reason) > 0 { // that was one record, and this is about others
		return fmt.Errorf("rabbitmq: topic %s: beginning anew after a record that was too large: %w", p.t.name, engine.ErrUnavailable)
	}
	return fmt.Errorf("rabbitmq: topic %s: %w", p.t.name, reason)
}

func (p *publisher) state(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && err != nil {
		close(p.down)
	}
	if p.err != nil && err == nil {
		p.down = make(chan struct{})
	}
	p.err = err
}

// sent is a message that the server has and has not confirmed.
type sent struct {
	b  *batch
	i  int
	dc *amqp.DeferredConfirmation
}

// serve publishes until the channel or the topic is closed, and returns when every
// message has a result.
func (p *publisher) serve(ch *channel) {
	window := make(chan struct{}, p.t.e.cfg.Window)
	unconfirmed := make(chan sent, p.t.e.cfg.Window)
	confirmed := make(chan struct{})
	go func() {
		defer close(confirmed)
		for s := range unconfirmed {
			p.confirm(ch, s)
			<-window
		}
	}()
	defer func() {
		close(unconfirmed)
		<-confirmed
	}()
	for {
		select {
		case b := <-p.in:
			for i := range b.out {
				if !p.send(ch, b, i, window, unconfirmed) {
					break
				}
			}
		case <-ch.lost:
			return
		case <-p.stop:
			return
		}
	}
}

// send reports whether the rest of the batch may follow.
func (p *publisher) send(ch *channel, b *batch, i int, window chan struct{}, unconfirmed chan<- sent) bool {
	o := &b.out[i]
	if o.message.Headers == nil {
		return true // it was refused before
	}
	if err := p.t.blocked(); err != nil {
		b.from(i, err)
		return false
	}
	select {
	case window <- struct{}{}:
	case <-ch.lost:
		b.from(i, p.lost(ch, o))
		return false
	case <-p.stop:
		b.from(i, p.t.closed())
		return false
	case <-b.done: // its caller is gone
		return false
	}
	dc, err := ch.PublishWithDeferredConfirm(o.exchange, o.key, true, false, o.message)
	if err != nil {
		<-window
		b.from(i, p.lost(ch, o))
		return false
	}
	unconfirmed <- sent{b, i, dc}
	return true
}

// confirm waits for what the server says to a message. What it returns as unroutable it
// has sent before that, and the client has put it into returns before.
func (p *publisher) confirm(ch *channel, s sent) {
	<-s.dc.Done()
	o := &s.b.out[s.i]
	switch {
	case s.dc.Acked():
		if ch.wasReturned(o.message.Headers[headerPlace].(string)) {
			s.b.settle(s.i, p.t.unroutable(o))
			return
		}
		s.b.settle(s.i, nil)
	case ch.IsClosed():
		s.b.settle(s.i, p.lost(ch, o))
	default:
		s.b.settle(s.i, fmt.Errorf("rabbitmq: topic %s: the server refuses it: a group's queue or %s//unclaimed is at its limit, or has failed: %w",
			p.t.name, p.t.names.exchange, engine.ErrFull))
	}
}

// lost is the result of a message whose channel closed before it was confirmed. The
// server closes it over one message that it finds too large, and the others go down
// with that one.
func (p *publisher) lost(ch *channel, o *outgoing) error {
	reason := ch.reason()
	if limit := serverLimit(reason); limit > 0 {
		if int64(limit) < p.t.maxRecord.Load() {
			p.t.maxRecord.Store(int64(limit))
		}
		if len(o.message.Body) > limit {
			return fmt.Errorf("rabbitmq: topic %s: record %s: the server's max_message_size is %d: %w",
				p.t.name, o.message.MessageId, limit, reason)
		}
		return fmt.Errorf("rabbitmq: topic %s: not confirmed: another record of the topic was too large: %w", p.t.name, engine.ErrUnavailable)
	}
	return fmt.Errorf("rabbitmq: topic %s: not confirmed: %w", p.t.name, reason)
}
