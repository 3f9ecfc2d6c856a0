package mailbox

// Ahead counts what a [Reader] could take, without taking it. It belongs to the
// reader's goroutine; the zero value is ready for use. It looks at each event once,
// so that it may be asked whenever one has come.
type Ahead[T any] struct {
	r    Reader[T] // stands behind what has been counted
	n    int
	from uint64 // where r has begun
}

// Count returns how many events r could take now, counting no further than most. It
// returns most if there are fewer but none will follow before some are taken, or if
// one that was injected waits, which [Reader.TakeAll] returns alone.
//
// Of an inbox with keys it counts what waits behind an event of its own key.
func (a *Ahead[T]) Count(r *Reader[T], most int) int {
	if r.in != nil {
		return r.in.count(most)
	}
	if a.r.c == nil || a.from != r.pos() {
		a.r, a.n, a.from = *r, 0, r.pos()
	}
	for a.n < most && a.r.More() {
		// What is found ready stays ready until r has passed it.
		k := min(len(a.r.run)-a.r.k, most-a.n)
		a.r.k += k
		a.n += k
	}
	if c := r.c; a.n > 0 && a.n < most && c.overflow.gates() && c.limit() <= a.r.pos() {
		return most // slots that were given up take room, too
	}
	return a.n
}

// Forget lets go of the log; see [Reader.Drained].
func (a *Ahead[T]) Forget() { *a = Ahead[T]{} }

// TakeAll takes up to most events, none if there are fewer than least, and gives
// each to f with the right to its key: its events come in their order, and the key
// is busy until all of them have been released. An injected event comes alone,
// whatever least. f is called with the mailbox locked. TakeAll returns how many events
// it has taken; nothing of them stays in the mailbox after Publish(false).
//
// Of several consumers of an inbox each gets its events in one piece.
func (r *Reader[T]) TakeAll(least, most int, f func(Item[T], Hold[T])) int {
	if r.in != nil {
		return r.in.popAll(r, least, most, f)
	}
	n := 0
	for n < most && r.More() {
		v := r.Take()
		i := uint64(r.next() - 1)
		f(Item[T]{Event: v, Seq: r.pos(), PublishedAt: r.seg.publishedAt(i), Meta: r.seg.metaAt(i)}, Hold[T]{})
		n++
	}
	return n
}

// count is [Ahead.Count].
func (in *Inbox[E]) count(most int) int {
	in.mu.Lock()
	moved := in.absorb()
	n := min(in.turns.n, most)
	switch {
	case in.turns.front.head != nil:
		n = most
	case in.turns.ready == 0:
		n = 0
	}
	news := in.news()
	in.mu.Unlock()
	in.tell(news)
	for _, f := range moved {
		f.settled()
	}
	return n
}

// popAll is [Reader.TakeAll].
func (in *Inbox[E]) popAll(r *Reader[E], least, most int, f func(Item[E], Hold[E])) int {
	in.mu.Lock()
	in.turns.release(r.item.key)
	r.item.key = nil
	moved := in.absorb()
	switch {
	case in.turns.front.head != nil:
		most = 1
	case in.turns.n < least:
		most = 0
	}
	taken := 0
	out := func(n *node[E], take func()) {
		if n.feed != nil {
			n.feed.took(1)
			if len(in.feeds) > 1 {
				moved = append(moved, n.feed)
			}
		}
		it, key := n.Item, n.key
		take()
		taken++
		f(it, Hold[E]{in: in, key: key})
	}
	var keys []*keyTurn[E]
	for taken < most {
		n := in.turns.next(false)
		if n == nil {
			break
		}
		if n.key != nil {
			keys = append(keys, n.key)
		}
		out(n, func() { in.turns.take(n, false) })
	}
	// Then what waits behind these, one of each key in turn.
	for again := true; again; {
		again = false
		for _, k := range keys {
			if n := k.queue.head; n != nil && n.feed != nil && taken < most {
				k.holders++
				out(n, func() { in.turns.forget(n) })
				again = true
			}
		}
	}
	r.boxed += uint64(taken)
	more := in.shared && in.more()
	over := in.shared && in.ended && in.turns.len() == 0
	news := in.news()
	in.mu.Unlock()
	in.tell(news)
	for _, f := range moved {
		f.settled()
	}
	if more || over {
		in.rouse(over)
	}
	return taken
}
