package topics

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrTxDone is returned for a transaction that has been committed or rolled back.
var ErrTxDone = errors.New("topics: transaction is done")

// TooManyError is returned for a commit of more events than the mailbox of a
// subscriber may ever hold. To a handler it is a permanent failure.
type TooManyError = mailbox.TooManyError

// Tx collects events for several topics of one runtime, which are then published
// all, or none. It is safe for concurrent use.
//
// A transaction is about who gets to see what together. It does not survive the
// process, and it is not part of a database's.
type Tx struct {
	rt *runtime.Runtime

	mu    sync.Mutex
	parts []txPart // by topic, in the order of the first event of each
	done  bool
}

// txPart is what a transaction has for one topic.
type txPart interface {
	stages(topic any) bool
	name() string
	// around has publish run inside of what stands around publications.
	around(ctx context.Context, publish func(context.Context) error) error
	// staged returns what to commit, with what the events inherit from ctx.
	staged(ctx context.Context) mailbox.Part
	// skips reports whether the topic takes events that nobody is subscribed to.
	skips() bool
	// outside reports whether the topic is on an engine, and publish publishes there.
	outside() bool
	publish(ctx context.Context) error
	accepted(unrouted bool)
	rejected(err error)
}

// Begin starts a transaction. It holds nothing but the events that are staged.
func Begin(rt *runtime.Runtime) *Tx { return &Tx{rt: rt} }

// Stage adds an event to the transaction. Nobody sees it before Commit.
//
// A topic on an engine is alone in its transaction, which its engine stores as one; see
// engine.Caps.AtomicBatch.
//
// Errors: [ErrTxDone]; the transaction is of another runtime; [ErrOnEngine].
func (t *Topic[T]) Stage(tx *Tx, ev T, meta ...Meta) error {
	if tx.rt != t.rt {
		return fmt.Errorf("topics: stage %s: the transaction is of another runtime", t.name)
	}
	var m *mailbox.Meta
	if len(meta) > 0 {
		m = &meta[0]
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.done {
		return fmt.Errorf("topics: stage %s: %w", t.name, ErrTxDone)
	}
	for _, p := range tx.parts {
		if p.stages(t) {
			p.(*staging[T]).add(ev, m)
			return nil
		}
	}
	p := &staging[T]{t: t}
	switch {
	case t.out != nil && !t.out.caps.AtomicBatch:
		return fmt.Errorf("topics: stage %s: %w: %s does not store several events as one", t.name, ErrOnEngine, t.out.name)
	case len(tx.parts) > 0 && (t.out != nil || tx.parts[0].outside()):
		return fmt.Errorf("topics: stage %s: %w: a topic on an engine is alone in its transaction, and %s is in it", t.name, ErrOnEngine, tx.parts[0].name())
	}
	p.add(ev, m)
	tx.parts = append(tx.parts, p)
	return nil
}

// Commit publishes what has been staged: every event is accepted by all subscribers
// of its topic, or nothing is. The events of a topic follow each other in the order
// in which they were staged, without another publisher's in between, and of two
// transactions one comes before the other in every topic that they share.
//
// Like Publish, Commit waits for room, and for all of it at once: while others
// keep mailboxes full it may wait for long, until ctx ends. With the context of a
// handler, what Publish and PublishWith inherit from it is inherited.
//
// Errors are those of Publish, with the name of the topic that they are about, and
// [TooManyError], [ErrTxDone]. An event without a subscriber is [ErrNoSubscriber]
// under RejectUnrouted and under DeadLetterUnrouted, for a dead letter could not
// be taken back. After an error the transaction is as it was: it can be committed
// again, or rolled back. Commit of nothing is nil.
//
// Price: a lock for the commits of a runtime, and one for each topic.
func (tx *Tx) Commit(ctx context.Context) error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.done {
		return ErrTxDone
	}
	if err := tx.within(ctx, tx.parts); err != nil {
		return err
	}
	tx.done, tx.parts = true, nil
	return nil
}

// within commits inside of what stands around the publications of parts.
func (tx *Tx) within(ctx context.Context, parts []txPart) error {
	if len(parts) == 0 {
		return tx.commit(ctx)
	}
	return parts[0].around(ctx, func(ctx context.Context) error { return tx.within(ctx, parts[1:]) })
}

func (tx *Tx) commit(ctx context.Context) error {
	if len(tx.parts) == 1 && tx.parts[0].outside() {
		p := tx.parts[0]
		if err := p.publish(ctx); err != nil {
			if errors.Is(err, mailbox.ErrClosed) {
				err = runtime.ErrClosed
			}
			p.rejected(err)
			return fmt.Errorf("topics: commit, %s: %w", p.name(), err)
		}
		p.accepted(false)
		return nil
	}
	routed, unrouted := append([]txPart(nil), tx.parts...), []txPart(nil)
	for {
		staged := make([]mailbox.Part, len(routed))
		for i, p := range routed {
			staged[i] = p.staged(ctx)
		}
		at, err := tx.rt.Actors().Commits().Commit(ctx, staged)
		switch {
		case err == nil:
			for _, p := range routed {
				p.accepted(false)
			}
			for _, p := range unrouted {
				p.accepted(true)
			}
			return nil
		case errors.Is(err, mailbox.ErrNoSubscriber) && routed[at].skips():
			unrouted = append(unrouted, routed[at])
			routed = append(routed[:at], routed[at+1:]...)
			continue
		case errors.Is(err, mailbox.ErrClosed):
			err = runtime.ErrClosed
		}
		if many := new(TooManyError); errors.As(err, &many) {
			err = supervisor.Permanent(err)
		}
		for _, p := range tx.parts {
			p.rejected(err)
		}
		return fmt.Errorf("topics: commit, %s: %w", routed[at].name(), err)
	}
}

// Rollback forgets what has been staged. After Commit it does nothing.
func (tx *Tx) Rollback() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.done, tx.parts = true, nil
}

// Transactional makes a handler of one that publishes by a transaction, which is
// committed when handle has succeeded and rolled back if it fails, panics or is
// abandoned: what an attempt publishes becomes visible only if the attempt succeeds.
// If the commit fails, so does the attempt.
func Transactional[T any](rt *runtime.Runtime, handle func(ctx context.Context, ev T, tx *Tx) error) Handler[T] {
	return func(ctx context.Context, ev T) error {
		tx := Begin(rt)
		defer tx.Rollback()
		finished := handle(ctx, ev, tx)
		if finished != nil && !supervisor.IsFinished(finished) {
			return finished
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		return finished
	}
}

// staging is the txPart of a topic.
type staging[T any] struct {
	t       *Topic[T]
	events  []T
	metas   []*mailbox.Meta // nil, or one for each
	headers map[string]string
}

func (s *staging[T]) add(ev T, m *mailbox.Meta) {
	if m != nil && s.metas == nil {
		s.metas = make([]*mailbox.Meta, len(s.events))
	}
	s.events = append(s.events, ev)
	if s.metas != nil {
		s.metas = append(s.metas, m)
	}
}

func (s *staging[T]) stages(topic any) bool { return topic == any(s.t) }
func (s *staging[T]) name() string          { return s.t.name }
func (s *staging[T]) skips() bool           { return s.t.cfg.Unrouted == CountUnrouted }

func (s *staging[T]) around(ctx context.Context, publish func(context.Context) error) error {
	if s.t.around == nil {
		return publish(ctx)
	}
	_, err := actors.Around(ctx, s.t.around, len(s.events), nil, func(ctx context.Context, headers map[string]string) (int, error) {
		s.headers = headers
		if err := publish(ctx); err != nil {
			return 0, err
		}
		return len(s.events), nil
	})
	return err
}

func (s *staging[T]) staged(ctx context.Context) mailbox.Part {
	return mailbox.Staged(s.t.log, s.events, s.carried(ctx))
}

func (s *staging[T]) outside() bool { return s.t.out != nil }

func (s *staging[T]) publish(ctx context.Context) error {
	metas := s.carried(ctx)
	_, err := s.t.out.publish(ctx, s.events, func(i int) *Meta {
		if metas == nil || metas[i] == nil {
			return &Meta{}
		}
		return metas[i]
	})
	return err
}

// carried returns what travels with the events, with what they inherit from ctx.
func (s *staging[T]) carried(ctx context.Context) []*mailbox.Meta {
	correlate := s.t.correlate && actors.InHandler(ctx)
	if s.metas == nil && !correlate && len(s.headers) == 0 {
		return nil
	}
	metas := make([]*mailbox.Meta, len(s.events)) // of this commit: it may fail, and be tried again
	for i := range metas {
		var m mailbox.Meta
		if s.metas != nil && s.metas[i] != nil {
			m = *s.metas[i]
		} else if !correlate && len(s.headers) == 0 {
			continue
		}
		m.Headers = inherit(ctx, m.Headers)
		for k, v := range s.headers {
			if m.Headers == nil {
				m.Headers = map[string]string{}
			}
			m.Headers[k] = v
		}
		metas[i] = &m
	}
	return metas
}

func (s *staging[T]) accepted(unrouted bool) {
	t := s.t
	if unrouted {
		t.mu.Lock()
		t.unrouted += uint64(len(s.events))
		t.mu.Unlock()
	}
	for range s.events {
		if t.accepted != nil {
			actors.Notify(t.accepted, runtime.Event{Topic: t.name})
		}
		if unrouted && t.obs.Unrouted != nil {
			actors.Notify(t.obs.Unrouted, runtime.Event{Topic: t.name})
		}
	}
}

func (s *staging[T]) rejected(err error) {
	t := s.t
	reason := actors.Refusal(err)
	switch {
	case errors.Is(err, runtime.ErrClosed):
		reason = actors.Refusal(mailbox.ErrClosed)
	case t.out != nil:
		reason = refusedBy(err)
	}
	n := uint64(len(s.events))
	t.mu.Lock()
	t.rejected[reason] += n
	t.mu.Unlock()
	if t.obs.Rejected != nil {
		actors.Notify(t.obs.Rejected, runtime.Event{Topic: t.name, Err: err, Reason: reason, Count: n})
	}
}
