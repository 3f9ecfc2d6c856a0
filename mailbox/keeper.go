package mailbox

// Keeper keeps the newest events of a log for those who subscribe later: the newest
// n, or the newest of each of n keys. It costs publishers nothing but a look once
// in a segment, and holds n events and two segments at most.
//
// It is an [Inbox] that drops and that nobody takes from. While there is one, the
// log has a cursor, and so takes events that nobody is subscribed to.
type Keeper[T any] struct {
	log *Log[T]
	in  *Inbox[T]
	f   *feed[T, T]
}

// Keep makes log keep n events, or with key, the newest event of each of n keys. It
// returns [ErrClosed] when the log is closed.
func Keep[T any](log *Log[T], n int, key func(T) string) (*Keeper[T], error) {
	cfg := CursorConfig[T]{Capacity: n, Overflow: DropOldest}
	if key != nil {
		cfg.Overflow, cfg.Key = Latest, key
	}
	in := NewInbox(cfg)
	c, err := attachFeed(in, log, "", func(v T) T { return v }, nil)
	if err != nil {
		return nil, err
	}
	return &Keeper[T]{log, in, c.feed.(*feed[T, T])}, nil
}

// Last returns what is kept, the oldest first.
func (k *Keeper[T]) Last() []Item[T] {
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	k.f.absorb()
	return k.items()
}

// items returns what is kept. The caller holds the inbox's mu.
func (k *Keeper[T]) items() []Item[T] {
	items := make([]Item[T], 0, k.in.turns.n)
	for n := k.in.turns.age.head; n != nil; n = n.links[byAge].next {
		items = append(items, n.Item)
	}
	return items
}

// FeedKept is [Feed] that begins with what is kept: the inbox gets these events, then
// every one that follows, each once and in their order. They wait in the mailbox like
// others; if they are more than its capacity, publishers wait until they are not.
func FeedKept[T, E any](in *Inbox[E], k *Keeper[T], topic string, convert func(T) E) error {
	if _, err := attachFeed(in, k.log, topic, convert, k); err != nil {
		return err
	}
	in.rouse(false)
	return nil
}

// attach makes c a cursor that begins where the keeper has got to, and calls began
// with a reader there and with what is kept. The caller holds the lock of the inbox
// that c feeds.
func (k *Keeper[T]) attach(c *Cursor[T], began func(*Reader[T], []Item[T])) error {
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	k.f.absorb()
	from := &k.f.from
	return k.log.attach(c, &place[T]{from.seg, from.next(), from.pos()}, func(r *Reader[T]) {
		c.tombs.Store(k.f.c.tombs.Load() - from.tombs)
		began(r, k.items())
	})
}
