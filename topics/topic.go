package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Unrouted says what becomes of an event that finds no subscriber.
type Unrouted uint8

const (
	// CountUnrouted accepts and counts it; it is gone.
	CountUnrouted Unrouted = iota
	// RejectUnrouted makes Publish return [ErrNoSubscriber].
	RejectUnrouted
	// DeadLetterUnrouted accepts it as a dead letter, to be published again.
	DeadLetterUnrouted
)

// Config describes a topic. The zero value works.
type Config struct {
	// Unrouted is what becomes of events without a subscriber.
	Unrouted Unrouted
	// Codec is how events are kept in dead letters. Nil is JSON, which honors
	// the MarshalJSON and UnmarshalJSON methods of a type.
	Codec Codec
	// Version is that of the events' type as Codec encodes it, from 1. Dead
	// letters carry it. Zero is 1, which a letter without a version has, too.
	Version int
	// Upcasts bring what older versions have encoded up to Version, one version
	// at a time. They have no gap below Version.
	Upcasts Upcasts
	// Correlate makes Publish and PublishBatch, when they are called with the
	// context of a handler, do what [Topic.PublishWith] does, at its price: the
	// event says which one it follows from. Other publications pay a branch.
	Correlate bool
	// Replay is what is kept of the topic for subscribers to come.
	Replay Replay
	// Unpublished is what becomes of scheduled events at shutdown.
	Unpublished Unpublished
	// Payload is what dead letters keep of the events. The zero value is all.
	Payload runtime.PayloadPolicy
	// Engine keeps and carries the events beyond this process: they survive its end,
	// and subscribers may be in others. Nil is the memory of this process. Publish
	// returns when the engine has acknowledged the event, and its ID is what the
	// engine tells a repetition by. Subscribers join groups of their names; see
	// [ConsumeConfig]. An event may be handled more than once, by the same ID, as
	// when a process dies with it in hand. It must be closed after the runtime.
	Engine engine.Engine
	// Key is an event's key on Engine: what puts it into order and in a partition.
	Key Key
	// Outage is what publications do while Engine is unavailable.
	Outage Outage
}

func (c Config) withDefaults() Config {
	if c.Codec == nil {
		c.Codec = jsonCodec{}
	}
	if c.Version == 0 {
		c.Version = 1
	}
	c.Upcasts = maps.Clone(c.Upcasts)
	return c
}

func (c Config) validate(typ reflect.Type) error {
	var faults []error
	if c.Unrouted > DeadLetterUnrouted {
		faults = append(faults, fmt.Errorf("Unrouted %d: must be CountUnrouted, RejectUnrouted or DeadLetterUnrouted", c.Unrouted))
	}
	if c.Unpublished > DiscardUnpublished {
		faults = append(faults, fmt.Errorf("Unpublished %d: must be DeadLetterUnpublished or DiscardUnpublished", c.Unpublished))
	}
	if c.Replay.set() && c.Unrouted != CountUnrouted {
		faults = append(faults, fmt.Errorf("Unrouted %d: must be CountUnrouted with a Replay, which keeps events without subscribers", c.Unrouted))
	}
	if err := c.Payload.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("Payload: %w", err))
	}
	faults = append(faults, c.validateEngine(), c.Upcasts.validate(c.Version), checkType(c.Codec, typ))
	return errors.Join(faults...)
}

// Topic is a named stream of events of type T. It is safe for concurrent use.
//
// It is generic down to the mailbox because an event that passes through an
// interface is copied to the heap: one allocation for each publication, about
// twice the price of all the rest of it.
type Topic[T any] struct {
	log      *mailbox.Log[T]
	around   actors.Publishing   // nil if nothing is
	accepted func(runtime.Event) // the observer's, nil if nobody listens
	special  bool                // Publish has to look at more than the log

	correlate bool // Config.Correlate

	out *outside[T] // of a topic on an engine, else nil

	rt      *runtime.Runtime
	obs     runtime.Observer
	name    string
	cfg     Config
	keeper  *mailbox.Keeper[T]
	account *actors.Account // of events that became dead letters without a subscriber
	later   later[T]

	gate   sync.RWMutex
	closed bool // guarded by gate

	mu       sync.Mutex
	rejected map[string]uint64
	unrouted uint64
}

// Open returns the topic of that name on rt, which it makes if there is none.
// It is idempotent: every call returns the same topic, and the configuration is
// that of the call that made it.
//
// Errors: what is wrong with the configuration, all at once, also that its codec
// cannot encode T; the name is not valid (parts of letters, digits, '-' and '_', joined
// by dots, such as orders.order.placed); [ErrTypeMismatch]; runtime.ErrClosed.
func Open[T any](rt *runtime.Runtime, name string, cfg ...Config) (*Topic[T], error) {
	c := optional(cfg).withDefaults()
	if err := c.validate(reflect.TypeFor[T]()); err != nil {
		return nil, fmt.Errorf("topics: open %q: %w", name, err)
	}
	if c.Replay.set() {
		if _, err := keyOfReplay[T](c.Replay); err != nil {
			return nil, fmt.Errorf("topics: open %q: %w", name, err)
		}
	}
	around := rt.Actors().Publishing(name) // unlocked: the function is the user's
	t, err := rt.Register(name, reflect.TypeFor[T](), func() (runtime.Topic, error) {
		t := &Topic[T]{
			log: mailbox.NewLog[T](rt.Actors().Guard()), rt: rt, obs: rt.Observer(), name: name, cfg: c, around: around,
			account: actors.NewAccount(rt.Actors()), rejected: map[string]uint64{},
		}
		t.accepted, t.correlate = t.obs.Accepted, c.Correlate
		t.special = t.correlate || around != nil
		t.later.t = t
		if c.Replay.set() {
			_ = t.keep(c.Replay) // which has been checked, and the log is new
		}
		if c.Engine != nil {
			if err := t.onEngine(); err != nil {
				return nil, err
			}
		}
		return side[T]{t}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("topics: open %q: %w", name, err)
	}
	s, ok := t.(side[T])
	if !ok {
		return nil, fmt.Errorf("topics: open %q: %w: by an actor", name, runtime.ErrNameTaken)
	}
	return s.t, nil
}

// Name returns the topic's name.
func (t *Topic[T]) Name() string { return t.name }

// Publish hands ev to every subscriber of the topic, or to none. A nil error
// means accepted: each of them will handle it, or account for it otherwise.
//
// Publish waits only while the mailbox of a subscriber with policy Block is
// full, until there is room or ctx ends; ctx bounds nothing that comes later.
// ev is shared by the subscribers: none may change what it points to.
//
// Errors: the cause of ctx; a *mailbox.FullError, which names the subscriber;
// runtime.ErrClosed; [ErrNoSubscriber]; [ErrWouldDeadlock] for a handler that
// would wait for itself. After an error nobody gets the event.
//
// Price: no allocation, two atomic writes whatever the number of subscribers
// (see bench/RESULTS.md). Several publishers at once hand cache lines around; see
// [Topic.PublishBatch].
func (t *Topic[T]) Publish(ctx context.Context, ev T) error {
	if t.special && (t.out != nil || t.around != nil || actors.InHandler(ctx)) {
		return t.publishSpecial(ctx, ev)
	}
	if err := t.log.Append(ctx, ev); err != nil {
		return t.refused(ev, nil, err)
	}
	if t.accepted != nil {
		actors.Notify(t.accepted, runtime.Event{Topic: t.name})
	}
	return nil
}

// PublishBatch is Publish for each of evs, in their order. Of batches of 64 an event
// costs its publisher less than half as much (bench/RESULTS.md); what it costs to
// be handled is the same. Up to 64 at a time follow each other without an event of another
// publisher in between; a mailbox may have room for some of evs only, so they are
// not accepted or refused together.
//
// It returns how many were accepted. An error is about the one that follows them,
// and the rest of evs was not tried.
func (t *Topic[T]) PublishBatch(ctx context.Context, evs []T) (n int, err error) {
	switch {
	case t.correlate && actors.InHandler(ctx):
		for ; n < len(evs); n++ {
			if err := t.PublishWith(ctx, evs[n], Meta{}); err != nil {
				return n, err
			}
		}
		return n, nil
	case t.around != nil:
		return t.publishBatchAround(ctx, evs)
	}
	return t.publishBatch(ctx, evs)
}

func (t *Topic[T]) publishBatch(ctx context.Context, evs []T) (n int, err error) {
	if t.out != nil {
		return t.publishOutside(ctx, evs, func(int) *Meta { return &Meta{} })
	}
	for n < len(evs) {
		k, err := t.log.AppendBatch(ctx, evs[n:])
		n += k
		if t.accepted != nil {
			for range k {
				actors.Notify(t.accepted, runtime.Event{Topic: t.name})
			}
		}
		if err != nil {
			if err = t.refused(evs[n], nil, err); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// PublishWith is Publish with headers, a publish time or an ID of the caller's, at
// the price of a few allocations. It takes a copy of the headers.
//
// With the context of a handler the event also says what it follows from: the
// headers [HeaderCorrelation] and [HeaderCausation] are set to what the event in
// hand belongs to and to its ID, unless m has them, be it empty. So do not call it
// with that context when the handler has returned.
func (t *Topic[T]) PublishWith(ctx context.Context, ev T, m Meta) error {
	m.Headers = inherit(ctx, m.Headers)
	if t.around != nil {
		return t.publishAround(ctx, ev, m)
	}
	return t.publishMeta(ctx, ev, m)
}

// publishSpecial is Publish where that is more than to append.
func (t *Topic[T]) publishSpecial(ctx context.Context, ev T) error {
	if t.correlate && actors.InHandler(ctx) {
		return t.PublishWith(ctx, ev, Meta{})
	}
	if t.around != nil {
		return t.publishAround(ctx, ev, Meta{})
	}
	return t.publishMeta(ctx, ev, Meta{})
}

// publishOutside gives events to the topic's engine.
func (t *Topic[T]) publishOutside(ctx context.Context, evs []T, meta func(int) *Meta) (int, error) {
	n, err := t.out.publish(ctx, evs, meta)
	if t.accepted != nil {
		for range n {
			actors.Notify(t.accepted, runtime.Event{Topic: t.name})
		}
	}
	if err != nil {
		return n, t.reject(err)
	}
	return n, nil
}

// publishMeta publishes with m as it is.
func (t *Topic[T]) publishMeta(ctx context.Context, ev T, m Meta) error {
	if t.out != nil {
		_, err := t.publishOutside(ctx, []T{ev}, func(int) *Meta { return &m })
		return err
	}
	if err := t.log.AppendMeta(ctx, ev, &m); err != nil {
		return t.refused(ev, &m, err)
	}
	if t.accepted != nil {
		actors.Notify(t.accepted, runtime.Event{Topic: t.name})
	}
	return nil
}

// refused answers a publication that the log did not take.
func (t *Topic[T]) refused(ev T, m *Meta, err error) error {
	if errors.Is(err, mailbox.ErrNoSubscriber) && t.cfg.Unrouted != RejectUnrouted {
		if err = t.unroutedEvent(ev, m); err == nil {
			return nil
		}
	}
	return t.reject(err)
}

// reject counts and tells a refusal.
func (t *Topic[T]) reject(err error) error {
	reason := actors.Refusal(err)
	switch {
	case errors.Is(err, mailbox.ErrClosed):
		err = runtime.ErrClosed
	case errors.Is(err, ErrNoRoom):
		reason = actors.ReasonDeadLettersUnavailable
	case errors.Is(err, ErrOnEngine):
		reason = "on_engine"
	case t.out != nil:
		reason = refusedBy(err)
	}
	t.mu.Lock()
	t.rejected[reason]++
	t.mu.Unlock()
	if t.obs.Rejected != nil {
		actors.Notify(t.obs.Rejected, runtime.Event{Topic: t.name, Err: err, Reason: reason})
	}
	return fmt.Errorf("topics: publish %s: %w", t.name, err)
}

// unroutedEvent takes an event that has no subscriber.
func (t *Topic[T]) unroutedEvent(ev T, m *Meta) error {
	t.gate.RLock() // not while observers are told: they may publish
	err := t.takeUnrouted(ev, m)
	t.gate.RUnlock()
	if err != nil {
		return err
	}
	if t.accepted != nil {
		actors.Notify(t.accepted, runtime.Event{Topic: t.name})
	}
	if t.obs.Unrouted != nil {
		actors.Notify(t.obs.Unrouted, runtime.Event{Topic: t.name})
	}
	return nil
}

// Decode returns the event of a dead letter of this topic, brought up to the
// topic's version if it is of an older one.
func (t *Topic[T]) Decode(l deadletter.Letter) (T, error) {
	if l.PayloadError != "" {
		return *new(T), fmt.Errorf("topics: decode letter %s: %w: %s", l.ID, runtime.ErrNoPayload, l.PayloadError)
	}
	return t.decode(runtime.Redelivered{Payload: l.Payload, ContentType: l.ContentType, GoType: l.GoType, SchemaVersion: l.SchemaVersion})
}

// takeUnrouted accounts for an event that has no subscriber, unless the topic is
// closed: the account of a closed topic does not change any more.
func (t *Topic[T]) takeUnrouted(ev T, m *Meta) error {
	if t.closed {
		return mailbox.ErrClosed
	}
	if t.cfg.Unrouted == DeadLetterUnrouted {
		d := &actors.Dead{Topic: t.name, Event: ev, Reason: supervisor.ReasonUnrouted, PublishedAt: time.Now()}
		if m != nil {
			d.Headers, d.ID = m.Headers, m.ID
			if !m.PublishedAt.IsZero() {
				d.PublishedAt = m.PublishedAt
			}
		}
		if d.ID == "" { // it has no sequence number to derive one from
			d.ID = actors.NewID(d.PublishedAt)
		}
		if !t.account.Bury(d) {
			return ErrNoRoom
		}
	}
	t.mu.Lock()
	t.unrouted++
	t.mu.Unlock()
	return nil
}

// side is what the runtime sees of a topic. It is a type of its own so that
// users of a Topic do not.
type side[T any] struct{ t *Topic[T] }

func (s side[T]) Name() string       { return s.t.name }
func (s side[T]) Type() reflect.Type { return reflect.TypeFor[T]() }

func (s side[T]) Drain() {
	s.t.later.drain()
	s.t.log.Drain()
	if s.t.out != nil {
		s.t.out.drain()
	}
}

func (s side[T]) Durable() bool { return s.t.out != nil && s.t.out.caps.Durable }

func (s side[T]) Flush(ctx context.Context) {
	if s.t.out != nil {
		s.t.out.flush(ctx)
	}
}

func (s side[T]) Close() {
	s.t.later.close()
	s.t.log.Close()
	if s.t.out != nil {
		s.t.out.close()
	}
	s.t.gate.Lock()
	s.t.closed = true
	s.t.gate.Unlock()
}

func (s side[T]) Counts() runtime.Publications {
	t := s.t
	p := runtime.Publications{Waiting: t.log.Waiting(), Undelivered: t.account.Counts()}
	t.later.account(&p)
	if t.out != nil {
		p.Engine, p.Waiting = t.out.state()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.Rejected, p.Unrouted = maps.Clone(t.rejected), t.unrouted
	p.Accepted = t.log.Accepted() + t.unrouted
	if p.Engine != nil {
		p.Accepted = p.Engine.Acknowledged
	}
	p.Attempted = p.Accepted
	for _, n := range p.Rejected {
		p.Attempted += n
	}
	return p
}

func (s side[T]) Encode(event any) ([]byte, string, error) {
	if u, ok := event.(*Undecoded); ok {
		return u.Data, u.ContentType, nil
	}
	payload, err := s.t.cfg.Codec.Marshal(event)
	return payload, s.t.cfg.Codec.ContentType(), err
}

func (s side[T]) Decode(l runtime.Redelivered) (any, error) { return s.t.decode(l) }

func (s side[T]) Version() int { return s.t.cfg.Version }

func (s side[T]) Payload() runtime.PayloadPolicy { return s.t.cfg.Payload }

// Republish does not make the event follow from another: it is the same event.
func (s side[T]) Republish(ctx context.Context, l runtime.Redelivered) error {
	ev, err := s.t.decode(l)
	if err != nil {
		return err
	}
	m := Meta{Headers: l.Headers, ID: l.EventID}
	if s.t.out != nil { // which may still know that ID, and would take it for a repetition
		m.ID, m.Headers = "", maps.Clone(l.Headers)
		if m.Headers == nil {
			m.Headers = map[string]string{}
		}
		m.Headers[HeaderCausation] = l.EventID
	}
	return s.t.publishMeta(ctx, ev, m)
}

func (t *Topic[T]) decode(l runtime.Redelivered) (T, error) { return decode[T](t.name, t.cfg, l) }

// optional returns the configuration of a call that may come without one.
func optional[C any](cfg []C) (c C) {
	if len(cfg) > 0 {
		c = cfg[0]
	}
	return c
}
