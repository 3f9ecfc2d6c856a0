package mailbox

import "sync/atomic"

// feeder is a feed of an [Inbox], whatever the type of its log's events.
type feeder interface {
	// With the inbox locked:

	absorb()          // puts what is ready into the inbox
	gave(n uint64)    // n events of it are in the inbox
	took(n uint64)    // n of these no more
	ready() bool      // there is something to absorb
	underWay() uint64 // publications that cannot be absorbed yet
	ended() bool      // detached and absorbed to its end
	link() *feedLink
	// park has the next publication wake it. Who finds it parked relies on that, so
	// it must not be half done when another one looks.
	park()

	// With nothing locked:

	settled()   // lets publishers and the sweeper know of its place
	absorbFor() // absorbs for a consumer that may be stuck
	relieve()   // the same for a publisher that waits, and has later publications do it, too
	detach()
	close()
}

// feedLink is a feed's place in its inbox.
type feedLink struct {
	f      feeder
	next   *feedLink   // in Inbox.woken
	pushed atomic.Bool // is there
	dirty  bool        // is in Inbox.dirty
}

// feed is a cursor whose events go into an inbox.
type feed[T, E any] struct {
	feedLink
	in      *Inbox[E]
	c       *Cursor[T]
	from    Reader[T] // place in the log
	topic   string
	convert func(T) E
	waiting uint64 // events of it in the inbox
	asked   uint64 // sequence number of the event that the inbox was asked to judge last
}

// Feed makes log feed the inbox. Items have the name of the topic. convert must not
// block nor panic.
//
// Every event of log that is published after Feed has returned is the inbox's.
// It returns [ErrClosed] when the log is closed.
func Feed[T, E any](in *Inbox[E], log *Log[T], topic string, convert func(T) E) error {
	if _, err := attachFeed(in, log, topic, convert, nil); err != nil {
		return err
	}
	in.rouse(false) // B4: to park the newcomer
	return nil
}

func attachFeed[T, E any](in *Inbox[E], log *Log[T], topic string, convert func(T) E, k *Keeper[T]) (*Cursor[T], error) {
	f := &feed[T, E]{in: in, topic: topic, convert: convert}
	f.feedLink.f = f
	c := &Cursor[T]{
		log: log, name: in.cfg.Name, capacity: uint64(in.cap), overflow: in.cfg.Overflow,
		wake: f.wake, owner: in.cfg.Owner, feed: f,
	}
	f.c = c
	if k == nil {
		if err := log.attach(c, nil, func(r *Reader[T]) { f.from = *r }); err != nil {
			return nil, err
		}
	} else {
		if err := f.begin(k); err != nil {
			return nil, err
		}
		f.settled()
	}
	if in.add(f) {
		f.detach() // it ends, and absorbs no more than it has been given by now
		if in.closed() {
			f.close() // nobody else will
		}
	}
	if in.cfg.Filter != nil && c.overflow.gates() {
		f.relieve() // publishers that wait already have done so before it was there
	}
	return c, nil
}

// begin attaches the feed's cursor and puts what is kept into the inbox, before
// anybody can absorb what follows.
func (f *feed[T, E]) begin(k *Keeper[T]) error {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	var kept []Item[T]
	if err := k.attach(f.c, func(r *Reader[T], items []Item[T]) {
		f.from, kept = *r, items
		if f.c.overflow.gates() { // as many wait, unless the filter does not want them
			f.c.place.Store(2 * (r.pos() - uint64(len(kept))))
		}
	}); err != nil {
		return err
	}
	for _, it := range kept {
		f.in.put(f, Item[E]{Event: f.convert(it.Event), Topic: f.topic, Seq: it.Seq, PublishedAt: it.PublishedAt, Meta: it.Meta}, true)
	}
	f.publish()
	return nil
}

func (f *feed[T, E]) link() *feedLink { return &f.feedLink }
func (f *feed[T, E]) gave(n uint64)   { f.waiting += n }
func (f *feed[T, E]) ready() bool     { return f.from.ready() }
func (f *feed[T, E]) park()           { f.c.Sleep() }
func (f *feed[T, E]) settled()        { f.c.published() }
func (f *feed[T, E]) detach()         { f.c.Detach() }
func (f *feed[T, E]) close()          { f.c.Close() }

func (f *feed[T, E]) took(n uint64) {
	f.waiting -= n
	f.publish()
}

// absorb leaves the log's tombstones behind.
func (f *feed[T, E]) absorb() {
	r, moved := &f.from, false
	for r.onward() {
		i := r.next()
		s := &r.seg.slots[i]
		state := atomic.LoadUint32(&s.state) // C1
		if state == slotEmpty || r.pos() >= f.c.end.Load() {
			break
		}
		if state == slotReady {
			seq := r.pos() + 1
			again := f.asked == seq // the first time has ended its goroutine
			f.asked = seq
			f.in.put(f, Item[E]{
				Event: f.convert(s.v), Topic: f.topic, Seq: seq, // C2
				PublishedAt: r.seg.publishedAt(uint64(i)), Meta: r.seg.metaAt(uint64(i)),
			}, !again)
		} else {
			r.tombs++
		}
		r.stand(r.seg, i+1)
		moved = true
	}
	if moved {
		f.publish()
	}
}

// publish makes known how far the log has been absorbed, and how many of its
// events have been taken out of the inbox: these two positions are one under a
// policy that never holds publishers back.
func (f *feed[T, E]) publish() {
	pos := f.from.pos()
	f.c.absorbed.Store(pos) // C3 for the sweeper
	if f.c.overflow.gates() {
		pos -= f.waiting
	}
	f.c.publish(pos, f.from.tombs, false) // C3
}

func (f *feed[T, E]) underWay() uint64 {
	end := min(f.c.log.Head(), f.c.end.Load())
	pos := f.from.pos()
	if end <= pos {
		return 0
	}
	tombs := f.c.tombs.Load() - f.from.tombs
	return end - pos - min(tombs, end-pos)
}

func (f *feed[T, E]) ended() bool {
	if f.from.pos() < f.c.end.Load() {
		return false
	}
	f.from.leave()
	return true
}

// maxHelp is how many times a publisher looks for another event that the filter
// wants before it leaves that to the consumer, unless publishers wait for room.
const maxHelp = 16

// wake is called by a publisher that has taken the cursor off the list of
// sleepers. With a filter it looks whether there is anything to wake for, so that
// what nobody wants costs no wake-up.
func (f *feed[T, E]) wake() {
	quiet := false
	defer func() { // the filter may end this goroutine
		if !quiet {
			f.in.push(&f.feedLink)
			f.in.rouse(false)
		}
	}()
	if f.in.cfg.Filter == nil {
		return
	}
	for n := 1; ; n++ {
		wanted, again, news := f.help()
		f.in.tell(news)
		f.settled()
		if !again {
			quiet = !wanted
			return
		}
		if n >= maxHelp && f.c.log.waiting.Load() == 0 {
			return
		}
	}
}

// help absorbs, and reports whether there is something for a consumer, and whether
// there is more to absorb.
func (f *feed[T, E]) help() (wanted, again bool, news Drops) {
	in := f.in
	in.mu.Lock()
	defer in.mu.Unlock()
	f.absorb()
	wanted = in.turns.ready > 0 || f.ended() // that it is drained is news, too
	// While publishers wait, what the filter does not want is room for them.
	if !wanted || f.c.log.waiting.Load() > 0 {
		f.park()          // B1
		again = f.ready() // B2
	}
	return wanted, again, in.news()
}

// relieve is called by a publisher that finds no room: what the filter does not
// want makes some, also if it is not published completely yet.
func (f *feed[T, E]) relieve() {
	f.in.tell(f.absorbed(f.in.cfg.Filter != nil))
	f.settled()
}

func (f *feed[T, E]) absorbFor() {
	f.in.tell(f.absorbed(false))
	f.settled()
}

func (f *feed[T, E]) absorbed(park bool) Drops {
	f.in.mu.Lock()
	defer f.in.mu.Unlock()
	if park {
		f.park() // B1
	}
	f.absorb()
	return f.in.news()
}
