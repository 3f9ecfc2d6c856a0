package topics

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Replay says which events of a topic a newcomer gets that were published before it
// subscribed; see [ReplayLast] and [ReplayLatest]. The zero value is none.
//
// A newcomer gets these, the oldest first, then every event that follows: each once,
// with nothing left out in between, whoever publishes meanwhile. They are deliveries
// like others; if they are more than its capacity, publishers wait until they are
// not. A topic with a Replay takes events without a subscriber and keeps them as
// well, so that Unrouted must be CountUnrouted. Publishing costs what it costs
// without; its subscribers take their events from an inbox of their own instead of
// the topic's log, unless SubscriberConfig.NoReplay is set.
type Replay struct {
	n      int
	key    any // func(T) string
	latest bool
}

// ReplayLast keeps the newest n events.
func ReplayLast(n int) Replay { return Replay{n: n} }

// ReplayLatest keeps the newest event of each key, of at most n keys: of those that
// exceed it, the one that has waited longest goes. A key function that panics puts
// the event under the empty key and is reported to Observer.Fault.
func ReplayLatest[T any](n int, key func(T) string) Replay {
	return Replay{n: n, key: key, latest: true}
}

// maxReplay bounds what is kept.
const maxReplay = 1 << 24

// set reports whether anything is to be kept.
func (r Replay) set() bool { return r != (Replay{}) }

// key returns the key function of r for events of type T.
func keyOfReplay[T any](r Replay) (func(T) string, error) {
	if r.n < 1 || r.n > maxReplay {
		return nil, fmt.Errorf("Replay of %d events: must be between 1 and %d", r.n, maxReplay)
	}
	if !r.latest {
		return nil, nil
	}
	key, ok := r.key.(func(T) string)
	if !ok {
		return nil, fmt.Errorf("Replay: %w: its key takes %v, the events are %v", ErrTypeMismatch, reflect.TypeOf(r.key).In(0), reflect.TypeFor[T]())
	}
	if key == nil {
		return nil, errors.New("Replay: key must not be nil")
	}
	return key, nil
}

// keep makes the topic keep what r says.
func (t *Topic[T]) keep(r Replay) error {
	key, err := keyOfReplay[T](r)
	if err != nil {
		return err
	}
	if key != nil {
		plain := key
		key = func(ev T) (k string) {
			if r := panics.Try(func() { k = plain(ev) }); r != nil {
				// Not here, where the inbox is locked.
				fault := runtime.Event{Topic: t.name, Err: fmt.Errorf("topics: key of Replay: %w", &supervisor.PanicError{Value: r.Value, Stack: string(r.Stack)})}
				go actors.Notify(t.obs.Fault, fault)
			}
			return k
		}
	}
	t.keeper, err = mailbox.Keep(t.log, r.n, key)
	return err
}

// Kept returns the events that a newcomer would get now, the oldest first; nil
// without a [Replay].
func (t *Topic[T]) Kept() []T {
	if t.keeper == nil {
		return nil
	}
	var events []T
	for _, it := range t.keeper.Last() {
		events = append(events, it.Event)
	}
	return events
}

// feed makes the topic feed an inbox, with what is kept if that is wanted.
func feed[T, E any](t *Topic[T], in *mailbox.Inbox[E], name string, replay bool, convert func(T) E) error {
	if t.keeper != nil && replay {
		return mailbox.FeedKept(in, t.keeper, name, convert)
	}
	return mailbox.Feed(in, t.log, name, convert)
}

// feed makes a log, the topic's own or that of a group on its engine, feed an inbox.
func (t *Topic[T]) feed(in *mailbox.Inbox[T], log *mailbox.Log[T], replay bool) error {
	if log != t.log {
		return mailbox.Feed(in, log, "", func(ev T) T { return ev })
	}
	return feed(t, in, "", replay, func(ev T) T { return ev })
}
