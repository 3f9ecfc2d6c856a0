package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// failure is a way of an event through a subscriber, and what each event leaves in its account.
type failure struct {
	name    string
	cfg     topics.SubscriberConfig
	handler func(*Subscriber) topics.Handler[Event]
	want    actors.Counts // of one event
}

// failures lists the ways without a wait in them: what they cost is not the backoff.
func failures() []failure {
	again := supervisor.Retry{MaxAttempts: 2, BaseDelay: supervisor.NoDelay}
	return []failure{
		{"handled", topics.SubscriberConfig{Retry: again}, count, actors.Counts{Done: 1}},
		{"handled, with a Timeout", topics.SubscriberConfig{Retry: again, Timeout: time.Minute}, count, actors.Counts{Done: 1}},
		{"error, retry", topics.SubscriberConfig{Retry: again}, secondTime(func() error { return errStorm }),
			actors.Counts{Done: 1, Failures: 1, Retries: 1}},
		{"panic, restart, retry", topics.SubscriberConfig{Retry: again, Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited}},
			secondTime(func() error { panic("storm") }), actors.Counts{Done: 1, Failures: 1, Retries: 1, Restarts: 1}},
		{"error, dead letter", lettersOnly, never, actors.Counts{DeadLettered: 1, Failures: 1}},
	}
}

// lettersOnly makes a dead letter of every event that fails.
var lettersOnly = topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry, BaseDelay: supervisor.NoDelay}}

// secondTime counts an event in its second attempt and fails in the first. It knows them apart without a look
// at the facts of the delivery, which has a price of its own.
func secondTime(fail func() error) func(*Subscriber) topics.Handler[Event] {
	return func(s *Subscriber) topics.Handler[Event] {
		failed := ^uint64(0) // the event that did
		return func(_ context.Context, ev Event) error {
			if failed != ev.ID {
				failed = ev.ID
				return fail()
			}
			s.Handle(ev)
			return nil
		}
	}
}

// never counts an event and fails.
func never(s *Subscriber) topics.Handler[Event] {
	return func(_ context.Context, ev Event) error {
		s.Handle(ev)
		return errStorm
	}
}

// library is Troupe with a subscriber all of whose events go that way.
func (f failure) library() Library {
	return Library{Name: "troupe, " + f.name, Open: func(_ int, subs []*Subscriber) (Bus, error) {
		return openTroupe(len(subs), func(b *troupeBus) (err error) {
			b.topic, err = attach(b, "bench.events", subs, f.cfg, f.handler)
			b.judge = func() error { return f.judge(b.rt.Snapshot().Total) }
			return err
		})
	}}
}

func (f failure) judge(got actors.Counts) error {
	n := got.Deliveries
	if got.Done != n*f.want.Done || got.DeadLettered != n*f.want.DeadLettered || got.Failures != n*f.want.Failures ||
		got.Retries != n*f.want.Retries || got.Restarts != n*f.want.Restarts {
		return fmt.Errorf("troupe: %d deliveries, account %+v, want each to be %+v", n, got, f.want)
	}
	return nil
}

// heldEvents is how many events [held] has fail: as many as the memory store keeps.
const heldEvents = deadletter.DefaultCapacity

// held has events fail and returns the memory that each of them holds, once so many of them are where of looks.
func held(cfg topics.SubscriberConfig, of func(actors.Counts) uint64) (res Result, err error) {
	b, err := openTroupe(1, func(b *troupeBus) (err error) {
		b.topic, err = attach(b, "bench.events", []*Subscriber{{}}, cfg, func(*Subscriber) topics.Handler[Event] {
			return func(context.Context, Event) error { return errStorm }
		})
		b.ending = func() error { return b.subs[0].Unsubscribe(context.Background(), runtime.Discard) }
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	before := measure()
	for i := range uint64(heldEvents) {
		if err := b.Publish(Event{ID: i}); err != nil {
			return nil, err
		}
	}
	for start := time.Now(); of(b.subs[0].Snapshot().Counts) < heldEvents; time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			return nil, fmt.Errorf("%d events after %v, want %d", of(b.subs[0].Snapshot().Counts), patience, heldEvents)
		}
	}
	return Result{Events: heldEvents, BytesPerFailure: float64(measure().bytes-before.bytes) / heldEvents}, nil
}
