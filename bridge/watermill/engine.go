package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/engine"
)

// Config is a Watermill Pub/Sub and what it does.
type Config struct {
	// Name is what the system is called in logs and errors; empty is watermill.
	Name string
	// Publisher publishes. The engine closes it.
	Publisher message.Publisher
	// Subscriber makes the subscriber of a group, which the engine closes: how a
	// Pub/Sub is told its group and where it begins is different for each. If it has
	// Caps.Groups, two of the same group share its messages.
	Subscriber func(group string, from engine.Start) (message.Subscriber, error)
	// Caps is what the Pub/Sub does, as its documentation says: nobody else can tell.
	// What Watermill's interface does not carry must not be in it: DelayedNack,
	// Attempts, Lease, Lag and AtomicBatch. Nack is there always, if AtLeastOnce is.
	Caps engine.Caps
	// Envelope is the form of messages; nil is engine.CloudEvents. Its headers are
	// metadata.
	Envelope engine.Envelope
}

func (c *Config) validate() error {
	var faults []error
	for _, f := range []struct {
		wrong bool
		says  string
	}{
		{c.Publisher == nil, "Publisher: must not be nil"},
		{c.Subscriber == nil, "Subscriber: must not be nil"},
		{c.Caps.DelayedNack, "Caps.DelayedNack: a Nack of Watermill has no delay"},
		{c.Caps.Attempts, "Caps.Attempts: a message of Watermill does not say how often it was delivered"},
		{c.Caps.Lease, "Caps.Lease: Watermill has no way to extend one"},
		{c.Caps.Lag, "Caps.Lag: Watermill has no way to ask for it"},
		{c.Caps.AtomicBatch, "Caps.AtomicBatch: Watermill publishes messages one by one"},
		{c.Caps.Nack && !c.Caps.AtLeastOnce, "Caps.Nack: needs AtLeastOnce"},
		{c.Caps.Durable && !c.Caps.AtLeastOnce, "Caps.Durable: needs AtLeastOnce"},
	} {
		if f.wrong {
			faults = append(faults, errors.New(f.says))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("watermill: configuration: %w", err)
	}
	return nil
}

// Engine is a Watermill Pub/Sub as an engine. It implements engine.Engine.
type Engine struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	subs   map[*Subscription]struct{}
}

var _ engine.Engine = (*Engine)(nil)

// Open makes an engine of a Pub/Sub.
func Open(cfg Config) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name = "watermill"
	}
	if cfg.Envelope == nil {
		cfg.Envelope = engine.CloudEvents
	}
	cfg.Caps.Nack = cfg.Caps.AtLeastOnce
	return &Engine{cfg: cfg, subs: map[*Subscription]struct{}{}}, nil
}

// Name is Config.Name.
func (e *Engine) Name() string { return e.cfg.Name }

// Open returns the topic. Watermill has no way to ask for one: Pub/Subs make it, or
// fail, when it is first used.
func (e *Engine) Open(_ context.Context, name string) (engine.Topic, error) {
	if err := e.use("topic " + name); err != nil {
		return nil, err
	}
	return &Topic{e: e, name: name}, nil
}

// Ready returns nil until Close: Watermill has no way to ask.
func (e *Engine) Ready(context.Context) error { return e.use("ready") }

// Close closes the publisher and the subscribers. It returns when ctx ends, where they
// do not.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	subs := e.subs
	e.subs = nil
	e.mu.Unlock()
	var faults []error
	for s := range subs {
		faults = append(faults, s.Close(ctx))
	}
	done := make(chan error, 1)
	go func() { done <- e.cfg.Publisher.Close() }()
	select {
	case err := <-done:
		faults = append(faults, err)
	case <-ctx.Done():
		faults = append(faults, fmt.Errorf("%s: close of the publisher: %w", e.cfg.Name, context.Cause(ctx)))
	}
	return errors.Join(faults...)
}

func (e *Engine) use(what string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("%s: %s: %w", e.cfg.Name, what, engine.ErrClosed)
	}
	return nil
}

// Topic is a topic of a Pub/Sub. It implements engine.Topic.
type Topic struct {
	e    *Engine
	name string
}

// Caps is Config.Caps, with Nack where there is AtLeastOnce.
func (t *Topic) Caps() engine.Caps { return t.e.cfg.Caps }

// Publish publishes the records one by one. Watermill takes no context, so when ctx
// ends the one that is on its way goes on, and the later ones are not begun. What a
// publisher says is engine.ErrUnavailable, for there is no telling what it means.
func (t *Topic) Publish(ctx context.Context, records []engine.Record) []error {
	if len(records) == 0 {
		return nil
	}
	errs := make([]error, len(records))
	if err := t.e.use("publish to " + t.name); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	results := make(chan error) // of one record after the other
	go func() {
		defer close(results)
		for i := range records {
			err := ctx.Err()
			if err == nil {
				err = t.publish(ctx, &records[i])
			}
			select {
			case results <- err:
			case <-ctx.Done():
				return
			}
		}
	}()
	failed := false
	for i := range records {
		select {
		case err, ok := <-results:
			if !ok {
				err = context.Cause(ctx)
			}
			if err != nil {
				failed = true
				errs[i] = err
			}
		case <-ctx.Done():
			for ; i < len(errs); i++ {
				errs[i] = fmt.Errorf("%s: publish to %s: %w: %w", t.e.cfg.Name, t.name, engine.ErrUnavailable, context.Cause(ctx))
			}
			return errs
		}
	}
	if !failed {
		return nil
	}
	return errs
}

func (t *Topic) publish(ctx context.Context, r *engine.Record) error {
	m := message.NewMessage(r.ID, nil)
	m.SetContext(ctx)
	body, err := t.e.cfg.Envelope.Seal(r, m.Metadata.Set)
	if err != nil {
		return fmt.Errorf("%s: publish to %s: event %q: %w", t.e.cfg.Name, t.name, r.ID, err)
	}
	if most := t.e.cfg.Caps.MaxRecord; most > 0 && r.Size() > most {
		return fmt.Errorf("%s: publish to %s: event %q: %w: it has %d bytes and may have %d", t.e.cfg.Name, t.name, r.ID, engine.ErrTooLarge, r.Size(), most)
	}
	m.Payload = body
	if err := t.e.cfg.Publisher.Publish(t.name, m); err != nil {
		if errors.Is(err, engine.ErrTooLarge) {
			return fmt.Errorf("%s: publish to %s: event %q: %w", t.e.cfg.Name, t.name, r.ID, err)
		}
		return fmt.Errorf("%s: publish to %s: event %q: %w: %w", t.e.cfg.Name, t.name, r.ID, engine.ErrUnavailable, err)
	}
	return nil
}
