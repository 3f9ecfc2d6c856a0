package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// maxFetch bounds what is decoded at a time.
const maxFetch = 256

// intake brings a group's records from the engine into a subscriber's mailbox, and
// what has become of them back.
//
// One goroutine fetches, no more than there is room for, and decodes; one settles,
// all that has an outcome by then in one call, and extends leases. A record is known
// here from the fetch until the engine has taken note of its end: should it come
// again in between, it is not handled again.
type intake[T any] struct {
	out        *outside[T]
	name       string
	log        *mailbox.Log[T] // read by the subscriber alone
	sub        engine.Subscription
	marker     engine.Marker // nil if the engine has none
	limit      int
	lease      time.Duration
	maxCrashes int

	fetching context.Context // ends when nothing more is to be fetched
	halt     context.CancelFunc
	settling context.Context // ends when the engine is waited for no longer
	giveUp   context.CancelFunc
	fetched  chan struct{} // closed when nothing is fetched any more
	done     chan struct{} // closed when all is settled and the group left
	room     chan struct{} // something has been settled
	work     chan struct{} // something is to be settled, or the subscriber has stopped

	mu      sync.Mutex
	open    map[string]*taken[T] // by place
	handed  int                  // of these, in the mailbox and without an outcome
	settled []engine.Settlement  // to tell the engine
	owing   int                  // that the engine has not taken note of
	stopped bool                 // the subscriber has
	again   uint64               // came while they were here
	late    uint64               // settled when they were no longer ours
	failing error
	since   time.Time
}

// taken is a record that is here.
type taken[T any] struct {
	in      *intake[T]
	d       *engine.Delivery // the newest of this record
	handed  bool             // it is, or was, in the mailbox
	decided bool
	end     engine.Settlement // once decided
	owed    int               // settlements that the engine has not taken note of
}

func newIntake[T any](o *outside[T], name string, sub engine.Subscription, limit int, c ConsumeConfig) *intake[T] {
	in := &intake[T]{
		out: o, name: name, sub: sub, limit: limit, lease: c.Lease, maxCrashes: c.MaxCrashes,
		log:     mailbox.NewLog[T](o.t.rt.Actors().Guard()),
		fetched: make(chan struct{}), done: make(chan struct{}),
		room: make(chan struct{}, 1), work: make(chan struct{}, 1),
		open: map[string]*taken[T]{},
	}
	in.marker, _ = sub.(engine.Marker)
	in.fetching, in.halt = context.WithCancel(context.Background())
	in.settling, in.giveUp = context.WithCancel(context.Background())
	return in
}

// begin starts the intake for a subscriber that has started, or reports that the
// topic drains: then the subscriber is stopped.
func (in *intake[T]) begin(cell handler[T]) bool {
	o := in.out
	o.mu.Lock()
	late := o.draining || o.closed
	o.intakes = slices.DeleteFunc(o.intakes, func(old *intake[T]) bool { return old.name == in.name })
	o.intakes = append(o.intakes, in)
	o.mu.Unlock()
	cell.AfterDone(func() {
		in.halt()
		in.mu.Lock()
		in.stopped = true
		in.mu.Unlock()
		signal(in.work)
	})
	go in.fetch()
	go in.settle()
	if late {
		in.halt()
		cell.Stop(actors.DeadLetterRest, supervisor.ReasonShutdown)
	}
	return !late
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flush waits until all is settled, or gives up when ctx ends.
func (in *intake[T]) flush(ctx context.Context) {
	in.halt()
	select {
	case <-in.done:
	case <-ctx.Done():
		in.giveUp()
		<-in.done
	}
}

// fetch runs until nothing more is to be fetched.
func (in *intake[T]) fetch() {
	defer func() {
		close(in.fetched)
		signal(in.work)
	}()
	pause := pauses{base: engineBase, max: engineMax}
	for {
		n := in.wantsMore()
		if n == 0 {
			return
		}
		ctx, cancel := in.patient()
		ds, err := in.sub.Fetch(ctx, min(n, maxFetch))
		waited := ctx.Err() != nil
		cancel()
		in.take(ds)
		switch {
		case in.fetching.Err() != nil:
			return
		case err == nil || waited:
			in.works()
			pause.last = 0
		case errors.Is(err, engine.ErrClosed):
			in.fails(fmt.Errorf("%w: the engine must be closed after the runtime has shut down", err))
			return
		default:
			in.fails(err)
			select {
			case <-time.After(pause.next()):
			case <-in.fetching.Done():
				return
			}
		}
	}
}

// patient returns the context of a fetch. After a failure it ends soon: an engine that
// then waits for records without complaint works again, though there are none.
func (in *intake[T]) patient() (context.Context, context.CancelFunc) {
	in.mu.Lock()
	failing := in.failing != nil
	in.mu.Unlock()
	if failing {
		return context.WithTimeout(in.fetching, engineMax)
	}
	return in.fetching, func() {}
}

// wantsMore waits for room and returns how many records there is room for, 0 if no
// more are wanted.
func (in *intake[T]) wantsMore() int {
	for in.fetching.Err() == nil {
		in.mu.Lock()
		n := in.limit - len(in.open)
		in.mu.Unlock()
		if n > 0 {
			return n
		}
		select {
		case <-in.room:
		case <-in.fetching.Done():
		}
	}
	return 0
}

// take brings records into the mailbox, in their order.
func (in *intake[T]) take(ds []*engine.Delivery) {
	fresh := make([]*taken[T], 0, len(ds))
	for _, d := range ds {
		if tk := in.admit(d); tk != nil {
			fresh = append(fresh, tk)
		}
	}
	evs, errs := in.decode(fresh)
	for i, tk := range fresh {
		switch {
		case in.fetching.Err() != nil:
			tk.decide(engine.Settlement{Verdict: engine.Nack})
		case errs[i] != nil:
			in.undecodable(tk, errs[i])
		case tk.d.Attempt > 1 && in.marker != nil:
			in.suspect(tk, evs[i])
		default:
			in.hand(tk, evs[i])
		}
	}
}

// admit notes that d is here, nil if the record was here already.
func (in *intake[T]) admit(d *engine.Delivery) *taken[T] {
	in.mu.Lock()
	defer in.mu.Unlock()
	tk := in.open[d.Place]
	if tk == nil {
		tk = &taken[T]{in: in, d: d}
		in.open[d.Place] = tk
		return tk
	}
	in.again++
	tk.d = d
	if tk.decided { // the engine has not heard, or not listened
		in.owe(tk)
	}
	return nil
}

// decode decodes the events of records. User code that ends the goroutine it runs on
// costs only the one it did it for.
func (in *intake[T]) decode(tks []*taken[T]) ([]T, []error) {
	evs, errs := make([]T, len(tks)), make([]error, len(tks))
	for begin := 0; begin < len(tks); {
		at := begin
		err := survive(func() error {
			for ; at < len(tks); at++ {
				evs[at], errs[at] = in.decodeOne(tks[at].d)
			}
			return nil
		})
		if err != nil {
			errs[at] = err
		}
		begin = at + 1
	}
	return evs, errs
}

func (in *intake[T]) decodeOne(d *engine.Delivery) (ev T, err error) {
	if d.Fault != nil && !errors.Is(d.Fault, engine.ErrNotSealed) {
		return ev, d.Fault
	}
	c, r := in.out.t.cfg, &d.Record
	back := runtime.Redelivered{Payload: r.Data, ContentType: r.ContentType, SchemaVersion: r.SchemaVersion}
	if d.Fault != nil && back.ContentType == "" { // somebody else's: it is taken for what the topic has
		back.ContentType = c.Codec.ContentType()
	}
	return decodeHere[T](in.out.t.name, c, back)
}

// hand puts an event into the mailbox. It waits only while the mailbox is full though
// there was room for a fetch: of what may wait aside, too little does.
func (in *intake[T]) hand(tk *taken[T], ev T) {
	r := &tk.d.Record
	m := &mailbox.Meta{Headers: r.Headers, ID: r.ID, PublishedAt: r.Time}
	in.mu.Lock()
	tk.handed = true
	in.handed++
	in.mu.Unlock()
	if _, err := in.log.AppendTicket(in.fetching, ev, m, actors.NewNotice(tk)); err != nil {
		tk.decide(engine.Settlement{Verdict: engine.Nack}) // the subscriber has stopped
	}
}

// undecodable makes a dead letter of what is no event of the topic.
func (in *intake[T]) undecodable(tk *taken[T], err error) {
	r := &tk.d.Record
	in.bury(tk, &Undecoded{r.Data, r.ContentType, r.SchemaVersion, err}, supervisor.ReasonUndecodable, err)
}

// suspect handles a record that has been given to somebody before who did not settle
// it: he may have died of it. It is handled alone, and its engine knows.
func (in *intake[T]) suspect(tk *taken[T], ev T) {
	if !in.alone() {
		tk.decide(engine.Settlement{Verdict: engine.Nack})
		return
	}
	pause := pauses{base: engineBase, max: engineMax}
	for {
		before, err := in.marker.Mark(in.fetching, tk.d)
		switch {
		case err == nil && before+1 >= in.maxCrashes:
			in.bury(tk, ev, supervisor.ReasonCrashSuspect, fmt.Errorf(
				"topics: in hand when the process died, %d times that are known of: not handled again", before+1))
			return
		case err == nil:
			in.hand(tk, ev)
			in.alone()
			return
		}
		in.fails(err)
		select {
		case <-time.After(pause.next()):
		case <-in.fetching.Done():
			tk.decide(engine.Settlement{Verdict: engine.Nack})
			return
		}
	}
}

// alone waits until nothing is in the mailbox or in hand and the engine knows of all
// that was, false if nothing more is to be handled. What has been handled when the
// process dies must not come again as a suspect.
func (in *intake[T]) alone() bool {
	for {
		in.mu.Lock()
		n := in.handed + in.owing
		in.mu.Unlock()
		if n == 0 {
			return in.fetching.Err() == nil
		}
		select {
		case <-in.room:
		case <-in.fetching.Done():
			return false
		}
	}
}

// bury makes a dead letter of a record that no handler gets. It waits for room.
func (in *intake[T]) bury(tk *taken[T], ev any, reason string, err error) {
	r := &tk.d.Record
	in.out.unhandled.Add(1)
	in.out.t.account.BuryWaiting(&actors.Dead{
		Topic: in.out.t.name, Subscriber: in.name, Event: ev, PublishedAt: r.Time, Headers: r.Headers, ID: r.ID, Reason: reason,
		Attempts: []actors.Attempt{{Number: 1, Started: time.Now(), Err: err}}, AttemptCount: 1,
	}, tk)
}
