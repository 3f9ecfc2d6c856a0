package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Projection is a read model in the making. Methods are safe for concurrent use.
//
// One goroutine, the feeder, follows the store and publishes what it reads on a topic of
// the projection's own, a batch at a time, and waits for its outcome; the one subscriber
// of that topic does everything else: it applies, saves, and resets. So the projection is
// a subscriber like any other, with an account, a policy and a place in the tree, and
// nothing but one batch waits in its mailbox.
type Projection struct {
	rt    *runtime.Runtime
	store eventstore.Store
	name  string
	cfg   Config
	model model
	topic *topics.Topic[batch]
	sub   *topics.Subscription

	cancel context.CancelFunc // ends the feeder
	ended  chan struct{}      // it has ended

	mu       sync.Mutex
	follower eventstore.Follower // nil while there is none
	round    int                 // counts the followers: a batch of an older one is stale
	stale    bool                // the feeder must begin a new round
	at       eventstore.Position // of the last event that was handled
	inHand   int                 // events of the batch that are not handled
	handled  uint64
	caughtUp bool
	failures int // in a row, at the same event
	lastErr  error
	reset    *reset
	kick     chan struct{} // has one in it when the feeder must publish a batch, if it is empty
	changed  chan struct{} // closed and replaced when at or caughtUp changes
}

// batch is a message to the subscriber.
type batch struct {
	events []eventstore.Recorded
	round  int
	fault  error // why there can be no events
}

// reset is the wish of a Rebuild.
type reset struct {
	apply any // func(ctx) error, or func(ctx, Tx) error
	done  chan error
}

const subscriber = "projection"

// Open starts a projection as the subscriber of the topic projections.<name>. It goes on
// where it has come to, also in an earlier process.
//
// Errors: what is wrong with the name and the configuration; runtime.ErrNameTaken;
// runtime.ErrClosed. A store that is not there is none: the projection waits for it.
func Open(rt *runtime.Runtime, store eventstore.Store, name string, handle func(ctx context.Context, ev eventstore.Recorded) error, cfg ...Config) (*Projection, error) {
	p, err := prepare(rt, store, name, handle == nil, cfg)
	if err != nil {
		return nil, err
	}
	p.model = &plain{p: p, handle: handle}
	return p, p.start()
}

// OpenTx is [Open] for a handler that writes the read model in a transaction, in which
// the checkpoint is moved as well. Events come in batches, which are one transaction;
// after a failure, events are alone in theirs until the batch is done.
func OpenTx[Tx any](rt *runtime.Runtime, store eventstore.Store, in eventstore.Transactor[Tx], name string, handle func(ctx context.Context, tx Tx, ev eventstore.Recorded) error, cfg ...Config) (*Projection, error) {
	p, err := prepare(rt, store, name, handle == nil || in == nil, cfg)
	if err != nil {
		return nil, err
	}
	p.model = &transactional[Tx]{p: p, in: in, handle: handle}
	return p, p.start()
}

func prepare(rt *runtime.Runtime, store eventstore.Store, name string, incomplete bool, cfgs []Config) (*Projection, error) {
	var cfg Config
	if len(cfgs) > 0 {
		cfg = cfgs[0]
	}
	cfg = cfg.withDefaults(store)
	err := errors.Join(eventstore.CheckName(name), cfg.validate())
	if incomplete {
		err = errors.Join(err, errors.New("handle and transactor: must not be nil"))
	}
	if err != nil {
		return nil, fmt.Errorf("projection %q: %w", name, err)
	}
	return &Projection{
		rt: rt, store: store, name: name, cfg: cfg,
		stale: true, ended: make(chan struct{}), kick: make(chan struct{}, 1), changed: make(chan struct{}),
	}, nil
}

func (p *Projection) start() error {
	var err error
	p.topic, err = topics.Open[batch](p.rt, "projections."+p.name, topics.Config{
		// The events are in the store; and a batch that is given back later must not be
		// handled again.
		Payload: runtime.PayloadPolicy{Keep: runtime.KeepNothing},
	})
	if err != nil {
		return fmt.Errorf("projection %s: %w", p.name, err)
	}
	retry := p.cfg.Retry
	retry.MaxAttempts = supervisor.Unlimited // decide counts those of an event
	p.sub, err = p.topic.SubscribeFactory(subscriber, func() topics.Behavior[batch] {
		return topics.Behavior[batch]{Receive: p.receive, Stop: p.model.save}
	}, topics.SubscriberConfig{
		Retry: retry, Decide: p.decide, Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited},
		Timeout: p.cfg.Timeout, Grace: p.cfg.Grace, Middleware: p.cfg.Middleware,
	})
	if err != nil {
		return fmt.Errorf("projection %s: %w", p.name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.sub.Subscriber().AfterDone(cancel)
	go p.feed(ctx)
	return nil
}

// receive is the subscriber.
func (p *Projection) receive(ctx context.Context, b batch) error {
	if r := p.takeReset(); r != nil {
		r.done <- p.doReset(ctx, r)
		return nil
	}
	if p.isStale(b.round) {
		return nil
	}
	if b.fault != nil {
		if d, ok := topics.DeliveryFrom(ctx); ok && d.Attempt > 1 {
			return nil // somebody has resumed: the feeder shall try again
		}
		return p.failed(supervisor.Permanent(b.fault))
	}
	rest := p.rest(b.events)
	err := p.model.apply(ctx, rest)
	if conflict, ok := errors.AsType[*eventstore.CheckpointError](err); ok {
		p.restart()
		p.model.conflict(conflict)
		return nil
	}
	return p.failed(err)
}

// decide pauses the projection where another subscriber would give up the event.
func (p *Projection) decide(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
	if d.Fate == supervisor.FateRetry && f.Cause != supervisor.CauseHung {
		p.mu.Lock()
		if _, ok := errors.AsType[*supervisor.PanicError](f.Err); ok || f.Cause == supervisor.CauseGoexit {
			// receive has not returned.
			p.failures++
			p.lastErr = f.Err
		}
		n, rebuild := p.failures, p.reset != nil
		p.mu.Unlock()
		if rebuild {
			d.Delay = supervisor.NoDelay
			return d
		}
		if engine.Temporary(f.Err) || p.cfg.Retry.MaxAttempts == supervisor.Unlimited || n < p.cfg.Retry.MaxAttempts {
			return d
		}
	}
	return supervisor.Decision{Fate: supervisor.FateRetry, Delay: supervisor.NoDelay, Directive: supervisor.DirectiveEscalate}
}

// failed notes the outcome of a batch.
func (p *Projection) failed(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastErr = err
	if err != nil {
		p.failures++
	}
	return err
}

// rest returns the events that are not handled yet.
func (p *Projection) rest(events []eventstore.Recorded) []eventstore.Recorded {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(events) > 0 && events[0].Position <= p.at {
		events = events[1:]
	}
	p.inHand = len(events)
	return events
}

// advance notes that n more events are handled, the last of them at a position.
func (p *Projection) advance(n int, to eventstore.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.failures = to, 0
	p.handled += uint64(n)
	p.inHand -= min(n, p.inHand)
	p.tell()
}

// tell wakes those who wait for p.changed. p.mu is held.
func (p *Projection) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Projection) position() eventstore.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

func (p *Projection) isStale(round int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stale || round != p.round
}

// restart has the feeder begin again where the checkpoint is.
func (p *Projection) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale = true
}

// fault tells the observer what is no failure of an event.
func (p *Projection) fault(err error) {
	actors.Notify(p.rt.Observer().Fault, actors.Event{Topic: p.topic.Name(), Subscriber: subscriber, Err: err})
}

// Name returns the name of the projection.
func (p *Projection) Name() string { return p.name }

// Subscription is that of the projection: to pause and resume it, and for its account.
func (p *Projection) Subscription() *topics.Subscription { return p.sub }

// Close ends the projection when it has handled the batch in hand, and saves its
// checkpoint; one that is paused ends as it is. If ctx ends first it returns the cause, and
// the projection ends in its own time. The end of the runtime is that of the projection,
// too.
func (p *Projection) Close(ctx context.Context) error {
	p.cancel()
	err := p.sub.Unsubscribe(ctx, runtime.Discard)
	select {
	case <-p.ended:
	case <-ctx.Done():
		err = errors.Join(err, context.Cause(ctx))
	}
	return err
}

// pauseAfter is how long the feeder waits after an error of the store, growing.
func pauseAfter(errs int) time.Duration {
	return supervisor.Retry{BaseDelay: 50 * time.Millisecond, MaxDelay: 5 * time.Second, Jitter: supervisor.NoJitter}.Delay(errs, 0)
}
