package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrOnEngine is returned by what only a topic in the memory of this process can do:
// of one on an engine, the subscribers may be anywhere.
var ErrOnEngine = errors.New("topics: not for a topic on an engine")

// Outage says what a publication does while the topic's engine is unavailable.
type Outage uint8

const (
	// OutageBlock waits until the engine has taken it, or ctx ends.
	OutageBlock Outage = iota
	// OutageReject returns engine.ErrUnavailable.
	OutageReject
)

const (
	// engineTimeout bounds what Open and Subscribe ask of an engine.
	engineTimeout = 10 * time.Second
	// The pauses between two attempts to reach an engine.
	engineBase = 50 * time.Millisecond
	engineMax  = 5 * time.Second
)

// outside is the part of a topic that is on an engine.
type outside[T any] struct {
	t     *Topic[T]
	name  string // of the engine
	topic engine.Topic
	caps  engine.Caps
	key   func(T) string // nil for none
	gone  context.Context
	leave context.CancelFunc // lets go of publishers that wait for the engine

	unhandled atomic.Uint64 // dead letters that no handler had

	mu       sync.Mutex
	accepted uint64
	waiting  int
	draining bool
	closed   bool
	failing  string // what the engine says to publishers
	since    time.Time
	intakes  []*intake[T]
}

// validateEngine checks what is not for a topic on an engine.
func (c Config) validateEngine() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Outage > OutageReject {
		fault("Outage %d: must be OutageBlock or OutageReject", c.Outage)
	}
	switch {
	case c.Engine == nil && c.Key.of != nil:
		fault("Key: is for a topic with an Engine; subscribers of others have a Key of their own")
	case c.Engine == nil && c.Outage != OutageBlock:
		fault("Outage %d: is for a topic with an Engine", c.Outage)
	case c.Engine == nil:
	default:
		if c.Replay.set() {
			fault("Replay: must be none with an Engine, which keeps events itself: see SubscriberConfig.Engine.From")
		}
		if c.Unrouted != CountUnrouted {
			fault("Unrouted %d: must be CountUnrouted with an Engine, which keeps events for subscribers to come", c.Unrouted)
		}
	}
	return errors.Join(faults...)
}

// onEngine puts the topic on its engine.
func (t *Topic[T]) onEngine() error {
	key, ok := t.cfg.Key.of.(func(T) string)
	if t.cfg.Key.of != nil && !ok {
		return fmt.Errorf("Key %T: must be of the topic's type, func(%T) string", t.cfg.Key.of, *new(T))
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	et, err := t.cfg.Engine.Open(ctx, t.name)
	if err != nil {
		return fmt.Errorf("engine %s: %w", t.cfg.Engine.Name(), err)
	}
	o := &outside[T]{t: t, name: t.cfg.Engine.Name(), topic: et, caps: et.Caps(), key: key}
	o.gone, o.leave = context.WithCancel(context.Background())
	t.out, t.special = o, true
	return nil
}

// Caps says what the topic's engine does for it; of a topic in memory, that is
// nothing.
func (t *Topic[T]) Caps() engine.Caps {
	if t.out == nil {
		return engine.Caps{}
	}
	return t.out.caps
}

// refuse returns the error of what is not for a topic on an engine, nil in memory.
func (t *Topic[T]) refuse(what string) error {
	if t.out == nil {
		return nil
	}
	return fmt.Errorf("%w: %s is on %s, and %s needs the subscribers in this process", ErrOnEngine, t.name, t.out.name, what)
}

// publish gives events to the engine, in their order. n of them are acknowledged
// without a gap; err is about the next.
func (o *outside[T]) publish(ctx context.Context, evs []T, meta func(int) *Meta) (n int, err error) {
	if !o.open(actors.InHandler(ctx)) {
		return 0, mailbox.ErrClosed
	}
	records := make([]engine.Record, 0, len(evs))
	for i, ev := range evs {
		r, bad := o.record(ev, meta(i))
		if bad != nil {
			err = bad // of the next, behind those that go now
			break
		}
		records = append(records, r)
	}
	n, failed := o.send(ctx, records)
	o.mu.Lock()
	o.accepted += uint64(n)
	o.mu.Unlock()
	if failed != nil {
		err = failed
	}
	return n, err
}

// open reports whether events may be published.
func (o *outside[T]) open(fromHandler bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.closed && (!o.draining || fromHandler)
}

// record encodes an event.
func (o *outside[T]) record(ev T, m *Meta) (r engine.Record, err error) {
	c := &o.t.cfg
	r = engine.Record{
		ID: m.ID, Source: "/" + o.t.rt.Name(), Type: o.t.name, Time: m.PublishedAt,
		ContentType: c.Codec.ContentType(), SchemaVersion: c.Version, Headers: lower(m.Headers),
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if r.ID == "" {
		r.ID = actors.NewID(r.Time)
	}
	var what string
	if p := panics.Try(func() {
		if what = "key"; o.key != nil {
			r.Key = o.key(ev)
		}
		what = "codec"
		r.Data, err = c.Codec.Marshal(ev)
	}); p != nil {
		err = &supervisor.PanicError{Value: p.Value, Stack: string(p.Stack)}
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", what, err)
	}
	if limit := o.caps.MaxRecord; limit > 0 && r.Size() > limit {
		return r, fmt.Errorf("%w: event of %d bytes, %s takes %d", engine.ErrTooLarge, r.Size(), o.name, limit)
	}
	return r, nil
}

// lower returns headers with names in lower case, as engines carry them.
func lower(headers map[string]string) map[string]string {
	for name := range headers {
		if strings.ToLower(name) != name {
			all := make(map[string]string, len(headers))
			for name, value := range headers {
				all[strings.ToLower(name)] = value
			}
			return all
		}
	}
	return maps.Clone(headers)
}

// send publishes records until the engine has acknowledged them, as the topic's
// Outage says. n are acknowledged without a gap.
func (o *outside[T]) send(ctx context.Context, records []engine.Record) (n int, err error) {
	if len(records) == 0 {
		return 0, nil
	}
	todo := records
	left := make([]int, len(records)) // the places of todo in records
	for i := range left {
		left[i] = i
	}
	pause := pauses{base: engineBase, max: engineMax}
	for {
		errs := o.topic.Publish(ctx, todo)
		if errs == nil {
			o.works()
			return len(records), nil
		}
		var again []int
		for i, e := range errs {
			if e != nil {
				if err == nil || !engine.Temporary(e) {
					err = e
				}
				again = append(again, left[i])
			}
		}
		if len(again) == 0 {
			o.works()
			return len(records), nil
		}
		passes := true
		for _, e := range errs {
			passes = passes && (e == nil || engine.Temporary(e))
		}
		if passes {
			o.fails(err)
		}
		if !passes || o.t.cfg.Outage == OutageReject || !o.wait(ctx, pause.next()) {
			if cause := context.Cause(ctx); cause != nil {
				err = errors.Join(cause, err)
			} else if o.gone.Err() != nil {
				err = errors.Join(mailbox.ErrClosed, err)
			}
			return again[0], err
		}
		todo, left, err = pick(records, again), again, nil
	}
}

func pick(records []engine.Record, places []int) []engine.Record {
	some := make([]engine.Record, len(places))
	for i, at := range places {
		some[i] = records[at]
	}
	return some
}

// wait waits between two attempts, false if there is to be no other.
func (o *outside[T]) wait(ctx context.Context, pause time.Duration) bool {
	o.mu.Lock()
	o.waiting++
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.waiting--
		o.mu.Unlock()
	}()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-o.gone.Done():
	}
	return false
}

// fails notes that the engine does not take records, works that it does.
func (o *outside[T]) fails(err error) {
	o.mu.Lock()
	first := o.failing == ""
	o.failing = err.Error()
	if first {
		o.since = time.Now()
	}
	o.mu.Unlock()
	if first {
		actors.Notify(o.t.obs.EngineFailing, runtime.Event{Topic: o.t.name, Err: err})
	}
}

func (o *outside[T]) works() {
	o.mu.Lock()
	was := o.failing != ""
	o.failing = ""
	o.mu.Unlock()
	if was {
		actors.Notify(o.t.obs.EngineRecovered, runtime.Event{Topic: o.t.name})
	}
}

// drain refuses publications from outside of handlers and ends intake; close refuses
// all.
func (o *outside[T]) drain() {
	o.mu.Lock()
	o.draining = true
	intakes := slices.Clone(o.intakes)
	o.mu.Unlock()
	for _, in := range intakes {
		in.halt()
	}
}

func (o *outside[T]) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.leave()
}

// flush returns when all that was taken from the engine is settled there, or ctx
// ends.
func (o *outside[T]) flush(ctx context.Context) {
	o.mu.Lock()
	intakes := slices.Clone(o.intakes)
	o.mu.Unlock()
	for _, in := range intakes {
		in.flush(ctx)
	}
}

// state is what an account shows, and how many publishers wait.
func (o *outside[T]) state() (s *runtime.EngineState, waiting int) {
	o.mu.Lock()
	s, waiting = &runtime.EngineState{Name: o.name, Acknowledged: o.accepted, Failing: o.failing, Since: o.since}, o.waiting
	intakes := slices.Clone(o.intakes)
	o.mu.Unlock()
	for _, in := range intakes {
		s.Groups = append(s.Groups, in.state())
	}
	s.Unhandled = o.unhandled.Load()
	return s, waiting
}

// refusedBy says by one word why an engine has not taken an event.
func refusedBy(err error) string {
	switch {
	case errors.Is(err, mailbox.ErrClosed):
		return actors.Refusal(mailbox.ErrClosed)
	case errors.Is(err, engine.ErrTooLarge):
		return "too_large"
	case errors.Is(err, engine.ErrFull):
		return "engine_full"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return actors.Refusal(err)
	case errors.Is(err, engine.ErrUnavailable):
		return "engine_unavailable"
	}
	return "engine"
}

// Lag asks the engine how far a subscriber's group is behind, over all processes.
//
// Errors: [ErrOnEngine] for a topic in memory; runtime.ErrUnknownSubscriber for one
// that this process does not have; engine.ErrUnsupported, engine.ErrUnavailable; the
// cause of ctx.
func (t *Topic[T]) Lag(ctx context.Context, subscriber string) (engine.Lag, error) {
	if t.out == nil {
		return engine.Lag{}, fmt.Errorf("topics: lag of %s/%s: %w: the topic is in memory, see Subscription.Snapshot", t.name, subscriber, ErrOnEngine)
	}
	t.out.mu.Lock()
	at := slices.IndexFunc(t.out.intakes, func(in *intake[T]) bool { return in.name == subscriber })
	var in *intake[T]
	if at >= 0 {
		in = t.out.intakes[at]
	}
	t.out.mu.Unlock()
	if in == nil {
		return engine.Lag{}, fmt.Errorf("topics: lag: %w: %s/%s", runtime.ErrUnknownSubscriber, t.name, subscriber)
	}
	lag, err := in.sub.Lag(ctx)
	if err != nil {
		return engine.Lag{}, fmt.Errorf("topics: lag of %s/%s: %w", t.name, subscriber, err)
	}
	return lag, nil
}

// pauses grow from base to max.
type pauses struct{ base, max, last time.Duration }

func (p *pauses) next() time.Duration {
	p.last = min(max(p.base, 2*p.last), p.max)
	return p.last
}
