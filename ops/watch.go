package ops

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// The kinds of events.
const (
	EventLetter     = "letter"     // Object is a new letter, or one that has failed again
	EventResolved   = "resolved"   // Object is a letter that a redrive has resolved
	EventGroup      = "group"      // Object is a group that somebody has changed
	EventOperation  = "operation"  // Object is an operation, Text how it stands
	EventSubscriber = "subscriber" // Object is a subscriber, Text what happened to it
	EventStore      = "store"      // the dead-letter store fails, or works again
	EventAudit      = "audit"      // Object is an entry of the audit trail, Text its action
	EventLost       = "lost"       // Lost events are not known any more
)

// Event is one thing that happened.
type Event struct {
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // one of the Event constants
	Object string    `json:"object,omitempty"`
	Topic  string    `json:"topic,omitempty"`
	Text   string    `json:"text,omitempty"`
	Lost   uint64    `json:"lost,omitempty"`
}

// Watch gives what happens from now on, or since the event with that number. What is
// not known any more, because it is too long ago, was in another process or came
// faster than the reader reads, is one event of kind lost, with how many there were,
// as far as that can be known. It ends with ctx and with the desk.
//
// Numbers grow, also from one process to the next, and fit into a float64. A reader
// that does not read holds nobody up.
func (d *Desk) Watch(ctx context.Context, since uint64) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		if since == 0 {
			since = d.ring.newest()
		}
		for {
			events, changed := d.ring.after(since)
			for _, e := range events {
				if !yield(e) {
					return
				}
				since = e.Number
			}
			if len(events) > 0 {
				continue
			}
			if changed == nil {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// ring holds the newest events.
type ring struct {
	mu      sync.Mutex
	events  []Event // of number n at n % len
	first   uint64  // number of the first event ever
	next    uint64
	changed chan struct{} // closed when there is more; nil if nobody waits
	closed  bool
}

func newRing(n int) *ring {
	// Above all numbers of a process before, which had fewer than a million events a
	// second, and below 2^53.
	first := uint64(max(1, time.Now().UnixMicro()))
	return &ring{events: make([]Event, n), first: first, next: first}
}

// add takes an event. It does not block.
func (r *ring) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Number, e.At = r.next, time.Now()
	r.events[r.next%uint64(len(r.events))] = e
	r.next++
	r.tell()
}

// tell wakes who waits. The caller holds mu.
func (r *ring) tell() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func (r *ring) newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next - 1
}

// maxEvents is how many events a reader gets at a time.
const maxEvents = 256

// after returns what came after the event of that number; if that is nothing, a
// channel that is closed when there is something, nil if there will be nothing.
func (r *ring) after(since uint64) (events []Event, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.first
	if n := uint64(len(r.events)); r.next-r.first > n {
		oldest = r.next - n
	}
	switch {
	case since >= r.next:
		// Of a process whose clock was ahead: what came between is not known.
		return []Event{{Number: r.next - 1, At: time.Now(), Kind: EventLost, Lost: 1}}, nil
	case since < oldest-1:
		// One at least, if it is of another process.
		lost := max(1, oldest-max(since+1, r.first))
		return []Event{{Number: oldest - 1, At: time.Now(), Kind: EventLost, Lost: lost}}, nil
	}
	for n := since + 1; n < r.next && len(events) < maxEvents; n++ {
		events = append(events, r.events[n%uint64(len(r.events))])
	}
	if len(events) > 0 || r.closed {
		return events, nil
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return nil, r.changed
}

// close ends the readers once they have read what there is.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.tell()
}

// listen has the desk hear what happens in its runtime.
func (d *Desk) listen() error {
	subscriber := func(text string) func(actors.Event) {
		return func(e actors.Event) {
			if e.Reason != "" {
				text := text + ": " + e.Reason
				d.ring.add(Event{Kind: EventSubscriber, Object: e.Subscriber, Topic: e.Topic, Text: text})
				return
			}
			d.ring.add(Event{Kind: EventSubscriber, Object: e.Subscriber, Topic: e.Topic, Text: text})
		}
	}
	stop, err := d.rt.Watch(runtime.Watcher{
		Letters: d.hear,
		Observer: runtime.Observer{
			Started: subscriber("started"), Restarting: subscriber("restarting"), Paused: subscriber("paused"),
			Resumed: subscriber("resumed"), Escalated: subscriber("escalated"), Hung: subscriber("hung"),
			Stopped: subscriber("stopped"),
			StoreFailing: func(e actors.Event) {
				d.ring.add(Event{Kind: EventStore, Text: "failing: " + errorText(e.Err)})
			},
			StoreRecovered: func(actors.Event) { d.ring.add(Event{Kind: EventStore, Text: "recovered"}) },
		},
	})
	if err != nil {
		return err
	}
	context.AfterFunc(d.life, stop)
	return nil
}

// hear is told of letters by the goroutine that writes them.
func (d *Desk) hear(news []runtime.LetterNews) {
	for _, n := range news {
		e := Event{Kind: EventLetter, Object: n.ID, Topic: n.Topic, Text: n.Subscriber}
		if n.State == deadletter.StateResolved {
			e.Kind = EventResolved
		}
		d.ring.add(e)
	}
	if d.alerts != nil {
		d.alerts.hear(news)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
