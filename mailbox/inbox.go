package mailbox

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Drops counts what a mailbox with an [Inbox] has done with what reached it.
type Drops struct {
	Oldest     uint64 // dropped to make room
	Newest     uint64 // dropped since they did not fit
	Superseded uint64 // replaced by a newer event of the same key
	Overflowed uint64 // handed to CursorConfig.Overflowed
	Filtered   uint64 // not wanted by CursorConfig.Filter
	Injected   uint64 // put in by [Inbox.Inject], Accepted not included
	Accepted   uint64 // everything that reached the mailbox from a log, the above included
	UnderWay   uint64 // claimed in a log and not yet readable
}

// Lost returns the number of events that the mailbox has dropped.
func (d Drops) Lost() uint64 { return d.Oldest + d.Newest + d.Superseded }

func (d Drops) minus(e Drops) Drops {
	d.Oldest -= e.Oldest
	d.Newest -= e.Newest
	d.Superseded -= e.Superseded
	d.Overflowed -= e.Overflowed
	d.Filtered -= e.Filtered
	return d
}

// Inbox is a store of its own between logs and consumers, for a mailbox that does
// not simply read one log in order. It drops by policy, filters, keeps the order
// of each key between several consumers, prefers lanes, and can be fed by the logs
// of many topics.
//
// It takes over (absorbs) what its feeds, cursors in those logs, are entitled to.
// Under Block and Reject a feed's cursor moves for each event that is taken out
// and not for what is absorbed, so that what waits in log and inbox together is
// never more than the capacity. Under the other policies it moves at once: the log
// keeps an event for as long as a cursor stands before it, so a cursor that may
// lag for ever must not stand there. Only consumers make room, and they absorb
// before each event that they take: the outcome is that of deciding at each
// publication, and publishers pay nothing. Once for each segment a publisher
// absorbs for those that lag, so that the log is not held by a stuck consumer.
//
// # Waking
//
// A feed is parked in its log's list of sleepers, or in woken, or dirty: the
// consumers look at dirty ones only, so that thousands of quiet topics cost nothing.
//
//	B1 sleepers push           a feed is parked
//	B2 state.Load()            after B1: a publication that missed B1 is seen here
//	B3 woken push              the publisher, who has taken the feed off that list
//	B4 rouse()                 after B3: wakes a consumer that is idle
//	B5 woken.Load(), ready()   after the consumer is marked idle: a B4 that found it awake is seen here,
//	                           and so is what another consumer has gathered meanwhile
//
// With several consumers, one that takes an event either sees another one that may
// be taken, and rouses somebody for it, or has parked the feeds since it looked
// (B1, B2), so that the next publication does. Who gathers parks before it looks: what
// has woken a feed may be hidden by an earlier publication that is under way.
//
// A feed with a filter is parked whenever a publisher waits for room (after W1, see
// [Log]), even if every consumer is stuck: the publishers absorb, for what the filter
// does not want is room.
type Inbox[E any] struct {
	cfg    CursorConfig[E]
	cap    int
	shared bool // by several consumers

	woken atomic.Pointer[feedLink] // feeds that publishers have taken off their logs' lists
	calls atomic.Uint64            // of rouse

	mu    sync.Mutex // guards what follows; nothing of ours is locked inside but the owner's ledger
	feeds []feeder
	dirty []*feedLink // may have something to absorb
	turns turns[E]
	total Drops
	told  Drops
	ended bool // detached: no feed gets further events
	gone  bool // closed
}

// unboundedSpares is how many nodes an inbox without a bound keeps for use.
const unboundedSpares = 1024

// NewInbox returns an inbox without feeds; see [Feed]. Capacity is that of each
// feed under Block and Reject, and of all together under the other policies.
func NewInbox[E any](cfg CursorConfig[E]) *Inbox[E] {
	in := &Inbox[E]{cfg: cfg, cap: cfg.Capacity, shared: cfg.Shared}
	if cfg.Overflow == Latest && cfg.Key == nil {
		in.cap = 1
	}
	spares := in.cap
	if cfg.Overflow == Unbounded {
		spares = unboundedSpares
	}
	lanes := 1
	if cfg.Priority != nil {
		lanes = cfg.Lanes
	}
	in.turns = newTurns[E](lanes, spares, cfg.Keyed, cfg.Overflow == Latest)
	return in
}

// needsInbox reports whether a cursor of this configuration cannot read its log
// directly.
func (c CursorConfig[T]) needsInbox() bool {
	return c.Overflow.Lossy() || c.Filter != nil || c.Keyed || c.Priority != nil || c.Shared
}

// Reader returns a consumer's way into the inbox.
func (in *Inbox[E]) Reader() *Reader[E] {
	return &Reader[E]{in: in, seg: &segment[E]{}, item: new(boxed[E])}
}

// add makes f a feed of the inbox, and reports whether the inbox has been detached.
func (in *Inbox[E]) add(f feeder) (ended bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.feeds = append(in.feeds, f)
	in.push(f.link()) // a consumer is to park it
	return in.ended
}

// closed reports whether nobody reads the inbox any more.
func (in *Inbox[E]) closed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.gone
}

// Capacity returns how many events may wait; 0 means without bound.
func (in *Inbox[E]) Capacity() int {
	if in.cfg.Overflow == Unbounded {
		return 0
	}
	return in.cap
}

// judge asks the user's functions about an event. They may end the goroutine, so
// nothing may have changed by then, and mu must be given back by a deferred call.
func (in *Inbox[E]) judge(it Item[E]) (wanted bool, key string, lane int) {
	if in.cfg.Filter != nil && !in.cfg.Filter(it.Event, it.Meta) {
		return false, "", 0
	}
	if in.cfg.Priority != nil {
		lane = min(max(in.cfg.Priority(it.Event), 0), len(in.turns.lanes)-1)
	}
	if in.cfg.Key != nil {
		key = in.cfg.Key(it.Event)
	}
	return true, key, lane
}

// put takes an event over from f, without asking about it if asking has not come to
// an end before. The caller holds mu.
func (in *Inbox[E]) put(f feeder, it Item[E], ask bool) {
	wanted, key, lane := true, "", 0
	if ask {
		wanted, key, lane = in.judge(it)
	}
	in.total.Accepted++
	if !wanted {
		in.total.Filtered++
		if in.cfg.Filtered != nil {
			in.cfg.Filtered(it)
		}
		return
	}
	if in.cfg.Overflow == Latest {
		if n := in.turns.latest[key]; n != nil {
			in.discard(n.Item, Latest)
			n.feed.took(1)
			n.Item, n.feed = it, f
			f.gave(1)
			in.total.Superseded++
			return
		}
	}
	if in.cfg.Overflow.Lossy() && in.turns.n >= in.cap {
		switch in.cfg.Overflow {
		case DropNewest:
			in.discard(it, DropNewest)
			in.total.Newest++
			return
		case DeadLetter:
			in.total.Overflowed++
			in.cfg.Overflowed(it)
			return
		default:
			n := in.turns.oldest()
			in.discard(n.Item, DropOldest)
			n.feed.took(1)
			in.turns.remove(n)
			in.total.Oldest++
		}
	}
	f.gave(1)
	in.turns.add(f, it, key, lane)
}

func (in *Inbox[E]) discard(it Item[E], by Overflow) {
	if in.cfg.Discarded != nil {
		in.cfg.Discarded(it, by)
	}
}

// absorb takes over what has been published and returns the feeds that moved. The
// caller holds mu.
func (in *Inbox[E]) absorb() (moved []feeder) {
	in.gather()
	if len(in.feeds) == 1 {
		in.feeds[0].absorb()
		return in.feeds
	}
	kept := in.dirty[:0]
	for _, l := range in.dirty {
		l.f.absorb()
		moved = append(moved, l.f)
		// One of many that is quiet is not looked at again before it is woken.
		l.f.park()        // B1
		if !l.f.ready() { // B2
			l.dirty = false
			continue
		}
		kept = append(kept, l)
	}
	clear(in.dirty[len(kept):])
	in.dirty = kept
	return moved
}

// gather makes dirty the feeds that publishers have woken, and reports whether there
// were any: the sign that something has come is gone then. The caller holds mu.
func (in *Inbox[E]) gather() bool {
	if in.woken.Load() == nil {
		return false
	}
	known := len(in.dirty)
	for l := in.woken.Swap(nil); l != nil; {
		next := l.next
		l.next = nil
		l.pushed.Store(false) // from here on a publisher may push it again
		if !l.dirty {
			l.dirty = true
			in.dirty = append(in.dirty, l)
		}
		l = next
	}
	slices.Reverse(in.dirty[known:]) // who was woken first is looked at first
	return true
}

// push is called by a publisher who has taken l off its log's list of sleepers.
func (in *Inbox[E]) push(l *feedLink) {
	if l.pushed.Swap(true) {
		return // and nobody has looked since
	}
	for {
		head := in.woken.Load()
		l.next = head
		if in.woken.CompareAndSwap(head, l) { // B3
			return
		}
	}
}

// news returns, once, what is to be told after mu is given back. The caller holds
// mu.
func (in *Inbox[E]) news() Drops {
	news := in.total.minus(in.told)
	in.told = in.total
	return news
}

// tell follows absorbing, with nothing locked: room may have come, and slots may
// be cleared.
func (in *Inbox[E]) tell(news Drops) {
	if news.Lost()+news.Overflowed+news.Filtered > 0 && in.cfg.Dropped != nil {
		in.cfg.Dropped(news)
	}
}

// pop makes the next event that r's consumer may have its item, false if there is
// none. The key of the one before is given back.
func (in *Inbox[E]) pop(r *Reader[E]) bool {
	ok, moved, more, over, news := in.turn(r)
	in.tell(news)
	for _, f := range moved {
		f.settled()
	}
	if more || over {
		in.rouse(over)
	}
	return ok
}

// turn is pop without what is done with nothing locked: moved feeds are to be settled,
// and somebody may be to be roused.
func (in *Inbox[E]) turn(r *Reader[E]) (ok bool, moved []feeder, more, over bool, news Drops) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.turns.release(r.item.key)
	r.item.key = nil
	moved = in.absorb() // what has come may replace or precede what waits
	n := in.turns.next(r.rest)
	if n != nil {
		r.boxed++
		if n.feed != nil {
			n.feed.took(1)
			if len(in.feeds) > 1 {
				moved = append(moved, n.feed)
			}
		}
		it, key := in.turns.take(n, r.rest)
		r.item.Item, r.item.key = it, key
		r.item.run[0].v = it.Event
		r.run, r.k, r.plain = r.item.run[:], 0, 0 // it has its metadata with it
	}
	more = in.shared && in.more()
	over = in.shared && in.ended && in.turns.len() == 0
	return n != nil, moved, more, over, in.news()
}

// more reports whether there is work for another consumer, and has the next
// publication wake one if there is none. The caller holds mu.
func (in *Inbox[E]) more() bool {
	if in.turns.ready > 0 {
		return true
	}
	found := false
	for _, l := range in.dirty {
		l.f.park()                   // B1
		found = l.f.ready() || found // B2
	}
	return found || in.woken.Load() != nil
}

// rouse wakes a consumer that is idle, or all.
func (in *Inbox[E]) rouse(all bool) {
	in.calls.Add(1)
	if in.cfg.Wake != nil && !all {
		in.cfg.Wake()
	}
	if in.cfg.WakeAll != nil && all {
		in.cfg.WakeAll()
	}
}

// Inject puts an event at the front of those that wait, whatever the capacity and
// the filter. Its key is respected.
func (in *Inbox[E]) Inject(it Item[E]) {
	var key string
	if in.cfg.Key != nil {
		key = in.cfg.Key(it.Event)
	}
	in.mu.Lock()
	in.total.Injected++
	in.turns.inject(it, key)
	in.mu.Unlock()
	in.rouse(false)
}

// Injected returns how many events that were injected wait.
func (in *Inbox[E]) Injected() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.turns.injected
}

// Hold is the right of an event that has left the inbox to be the only one of its
// key, until Release.
type Hold[E any] struct {
	in  *Inbox[E]
	key *keyTurn[E]
}

// Release lets the next event of the key have its turn.
func (h *Hold[E]) Release() {
	if h.key == nil {
		return
	}
	in := h.in
	in.mu.Lock()
	in.turns.release(h.key)
	h.key = nil
	more := in.turns.ready > 0
	in.mu.Unlock()
	if more {
		in.rouse(false)
	}
}

// Len returns how many events wait. If the policy drops none, it counts publications
// that are under way.
func (in *Inbox[E]) Len() int {
	n := 0
	in.Inspect(func(d Drops) {
		n = in.turns.len()
		if !in.cfg.Overflow.Lossy() {
			n += int(d.UnderWay)
		}
	})
	return n
}

// LenFrom is Len.
func (in *Inbox[E]) LenFrom(*Reader[E]) int { return in.Len() }

// Inspect calls f with what has been done so far, after taking over what the
// mailbox lags behind, and keeps that from changing until f returns.
func (in *Inbox[E]) Inspect(f func(Drops)) {
	feeds, news := in.inspect(f)
	in.tell(news)
	for _, f := range feeds {
		f.settled()
	}
}

func (in *Inbox[E]) inspect(f func(Drops)) ([]feeder, Drops) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, f := range in.feeds {
		f.absorb()
	}
	d := in.total
	for _, f := range in.feeds {
		d.UnderWay += f.underWay()
	}
	f(d)
	return in.feeds, in.news()
}

// Sleep has the next publication wake a consumer: see [Cursor.Sleep].
func (in *Inbox[E]) Sleep() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.gather()
	for _, l := range in.dirty {
		l.f.park() // B1
	}
}

// Sleeps reports whether a publication is still to come; see [Cursor.Sleeps]. It looks
// at everything: who has found this consumer awake may have left no other sign.
func (in *Inbox[E]) Sleeps() bool { return in.woken.Load() == nil && !in.ready() } // B5

// ready reports whether pop has something to do.
func (in *Inbox[E]) ready() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.turns.ready > 0 {
		return true
	}
	gathered := in.gather()
	for _, l := range in.dirty {
		if gathered {
			l.f.park() // B1
		}
		if l.f.ready() { // B2
			return true
		}
	}
	return false
}

// Rouse wakes a consumer that is idle: the caller may not take what is there.
func (in *Inbox[E]) Rouse() { in.rouse(false) }

// Calls counts the calls that have woken a consumer, or found none idle. It is how
// one that goes to sleep while events wait, since it wants more of them, knows that
// it has missed none: instead of [Inbox.Sleeps] it looks at whether the inbox is
// quiet since a count that was taken before it looked at what waits.
func (in *Inbox[E]) Calls() uint64 { return in.calls.Load() }

// QuietSince reports whether nobody was to be woken since.
func (in *Inbox[E]) QuietSince(calls uint64) bool {
	return in.woken.Load() == nil && in.calls.Load() == calls // B5
}

// drained reports whether nothing waits and nothing will come.
func (in *Inbox[E]) drained() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, f := range in.feeds {
		f.absorb()
	}
	if in.turns.len() > 0 {
		return false
	}
	for _, f := range in.feeds {
		if !f.ended() {
			return false
		}
	}
	return true
}

// Detach ends the inbox's part in publications; see [Cursor.Detach].
func (in *Inbox[E]) Detach() {
	in.mu.Lock()
	in.ended = true
	feeds := in.feeds
	in.mu.Unlock()
	for _, f := range feeds {
		f.detach()
	}
}

// Close ends the inbox; see [Cursor.Close].
func (in *Inbox[E]) Close() {
	in.mu.Lock()
	in.gone = true
	feeds := in.feeds
	in.mu.Unlock()
	for _, f := range feeds {
		f.close()
	}
}
