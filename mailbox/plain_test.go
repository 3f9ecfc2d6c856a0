package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"pgregory.net/rapid"
)

// plain is the log as one would write it without a thought for speed: a slice
// that all cursors point into.
type plain struct {
	slots    []plainSlot
	mode     int // open, draining, closed
	attached []*plainCursor
	leaving  []*plainCursor
	rest     int // where the last attached one ended
}

type plainSlot struct {
	state int // under way, an event, a tombstone
	v     int
	meta  *mailbox.Meta
}

const (
	underWay = iota
	anEvent
	tombstone
)

type plainItem struct {
	plainSlot
	seq  uint64
	key  string
	lane int
	turn int // when it entered its lane, 0 while it is behind others of its key
}

// plainCursor is a cursor of the plain log beside the real one.
type plainCursor struct {
	cfg   mailbox.CursorConfig[int]
	start int
	end   int // -1 while attached

	pos, taken     int // of the reader
	place, placeOK int // of the position that was published, and how many were taken then
	holding        bool

	box        []plainItem // of a mailbox with an inbox, which has taken over what is before from
	from       int
	turn       int             // given last
	busy       map[string]bool // keys in hand, of Keyed
	inHand     string          // key of the event that was taken last, unless it is held apart
	hasKey     bool
	holds      []plainHold
	passed     [3]int // how often the head of a lane was passed over
	drops      mailbox.Drops
	overflowed []uint64

	c             *mailbox.Cursor[int]
	r             *mailbox.Reader[int]
	saved         mailbox.Reader[int]
	told          mailbox.Drops
	toldOverflow  []uint64
	asleep        bool
	wakes, wanted int
	slept         int // wakes at the last sleep
}

type plainHold struct {
	key  string
	real mailbox.Hold[int]
}

func (k *plainCursor) gates() bool {
	return k.cfg.Overflow == mailbox.Block || k.cfg.Overflow == mailbox.Reject
}

func (k *plainCursor) lossy() bool { return k.cfg.Overflow.Lossy() }

func (k *plainCursor) boxed() bool {
	return k.lossy() || k.cfg.Filter != nil || k.cfg.Keyed || k.cfg.Priority != nil
}

func (k *plainCursor) owns(pos int) bool { return k.start <= pos && (k.end < 0 || pos < k.end) }

// limit returns how many positions there is room for, -1 if for any number.
func (p *plain) limit() int {
	limit := -1
	if len(p.attached) == 0 {
		limit = 0
		for _, k := range p.leaving {
			limit = max(limit, k.end)
		}
	}
	for _, k := range p.attached {
		if room := p.room(k); k.gates() && (limit < 0 || room < limit) {
			limit = room
		}
	}
	return limit
}

// room returns the first position that k has no room for.
func (p *plain) room(k *plainCursor) int {
	if k.boxed() {
		p.absorb(k)
		return k.from - len(k.box) + k.cfg.Capacity
	}
	return k.place + k.cfg.Capacity
}

// verdict returns what an impatient publication at pos has to expect. A claimed
// one that there is room for is past being refused.
func (p *plain) verdict(pos int, inside, claimed bool) error {
	limit := p.limit()
	room := limit < 0 || pos < limit
	switch {
	case claimed && room:
		return nil
	case p.mode == 2 || p.mode == 1 && !inside:
		return mailbox.ErrClosed
	case len(p.attached) == 0:
		return mailbox.ErrNoSubscriber
	case room:
		return nil
	}
	for _, k := range p.attached {
		if k.cfg.Overflow == mailbox.Reject && p.room(k) <= pos {
			return &mailbox.FullError{Mailbox: k.cfg.Name, Capacity: k.cfg.Capacity}
		}
	}
	return errGaveUp
}

func (p *plain) settle(pos int, s plainSlot) {
	p.slots[pos] = s
	for _, k := range slices.Concat(p.attached, p.leaving) {
		if k.asleep && k.cfg.Filter == nil {
			k.asleep = false
			k.wanted++
		}
	}
}

// next returns what k's consumer gets.
func (p *plain) next(k *plainCursor) (it plainItem, ok bool) {
	if k.boxed() {
		k.release()
		p.absorb(k)
		i := k.nextTurn()
		if i < 0 {
			return it, false
		}
		it = k.box[i]
		k.box = slices.Delete(k.box, i, i+1)
		k.taken++
		if k.cfg.Keyed {
			k.busy[it.key], k.inHand, k.hasKey = true, it.key, true
		}
		return it, true
	}
	for k.pos < len(p.slots) && k.owns(k.pos) && p.slots[k.pos].state != underWay {
		s := p.slots[k.pos]
		k.pos++
		if s.state == anEvent {
			k.taken++
			return plainItem{plainSlot: s, seq: uint64(k.pos)}, true
		}
	}
	return it, false
}

func (p *plain) absorb(k *plainCursor) {
	for ; k.from < len(p.slots) && k.owns(k.from) && p.slots[k.from].state != underWay; k.from++ {
		if p.slots[k.from].state == anEvent {
			k.put(plainItem{plainSlot: p.slots[k.from], seq: uint64(k.from) + 1})
		}
	}
}

// enter gives the box's item i its turn.
func (k *plainCursor) enter(i int) {
	k.turn++
	k.box[i].turn = k.turn
}

// promote gives the oldest event of a key its turn.
func (k *plainCursor) promote(key string) {
	for i, it := range k.box {
		if it.key == key && it.turn == 0 {
			k.enter(i)
			return
		}
	}
}

// release ends the hold of the event that was taken last.
func (k *plainCursor) release() {
	if k.hasKey {
		k.hasKey = false
		delete(k.busy, k.inHand)
		k.promote(k.inHand)
	}
}

// nextTurn returns which item is next, -1 if none is.
func (k *plainCursor) nextTurn() int {
	heads := [3]int{-1, -1, -1}
	for i, it := range k.box {
		if it.turn > 0 && (heads[it.lane] < 0 || it.turn < k.box[heads[it.lane]].turn) {
			heads[it.lane] = i
		}
	}
	lane := -1
	for l := 2; l >= 0; l-- {
		switch {
		case heads[l] < 0:
		case lane < 0:
			lane = l
		default:
			if k.passed[l]++; k.passed[l] > 16 && k.passed[l] > k.passed[lane] {
				lane = l
			}
		}
	}
	if lane < 0 {
		return -1
	}
	k.passed[lane] = 0
	return heads[lane]
}

func (k *plainCursor) put(it plainItem) {
	k.drops.Accepted++
	if k.cfg.Filter != nil && !k.cfg.Filter(it.v, it.meta) {
		k.drops.Filtered++
		return
	}
	if k.cfg.Key != nil {
		it.key = k.cfg.Key(it.v)
	}
	if k.cfg.Priority != nil {
		it.lane = min(max(k.cfg.Priority(it.v), 0), k.cfg.Lanes-1)
	}
	capacity := k.cfg.Capacity
	if k.cfg.Overflow == mailbox.Latest {
		if k.cfg.Key == nil {
			capacity = 1
		}
		for i := range k.box {
			if k.cfg.Key == nil || k.cfg.Key(k.box[i].v) == k.cfg.Key(it.v) {
				it.lane, it.turn = k.box[i].lane, k.box[i].turn
				k.box[i] = it
				k.drops.Superseded++
				return
			}
		}
	}
	if k.lossy() && len(k.box) == capacity {
		switch k.cfg.Overflow {
		case mailbox.DropNewest:
			k.drops.Newest++
			return
		case mailbox.DeadLetter:
			k.drops.Overflowed++
			k.overflowed = append(k.overflowed, it.seq)
			return
		}
		gone := k.box[0]
		k.box = k.box[1:]
		if k.cfg.Keyed && gone.turn > 0 {
			k.promote(gone.key)
		}
		k.drops.Oldest++
	}
	k.box = append(k.box, it)
	if behind := func(o plainItem) bool { return o.key == it.key }; k.cfg.Keyed &&
		(k.busy[it.key] || slices.ContainsFunc(k.box[:len(k.box)-1], behind)) {
		return
	}
	k.enter(len(k.box) - 1)
}

// waits returns how many of k's events wait behind pos: what is under way counts.
func (p *plain) waits(k *plainCursor, pos int) int {
	if k.boxed() {
		p.absorb(k)
		if k.lossy() {
			return len(k.box)
		}
		return len(k.box) + p.underWay(k)
	}
	n := 0
	for i := pos; i < len(p.slots) && k.owns(i); i++ {
		if p.slots[i].state != tombstone {
			n++
		}
	}
	return n
}

// underWay returns how many publications hide what comes after them from k's inbox,
// or are hidden.
func (p *plain) underWay(k *plainCursor) int {
	n := 0
	for i := k.from; i < len(p.slots) && k.owns(i); i++ {
		if p.slots[i].state != tombstone {
			n++
		}
	}
	return n
}

func (p *plain) ready(k *plainCursor) bool {
	if k.boxed() {
		p.absorb(k)
		return slices.ContainsFunc(k.box, func(it plainItem) bool { return it.turn > 0 })
	}
	return k.pos < len(p.slots) && k.owns(k.pos) && p.slots[k.pos].state != underWay
}

func (p *plain) drained(k *plainCursor) bool {
	if k.boxed() {
		p.absorb(k)
		return k.end >= 0 && len(k.box) == 0 && k.from >= k.end
	}
	return k.end >= 0 && k.pos >= k.end
}

// twins runs the log and the plain one side by side.
type twins struct {
	plain
	log     *mailbox.Log[int]
	commits mailbox.Commits
	claims  map[int]mailbox.Claim[int]
	named   int
	value   int // published last
	start   time.Time
}

func TestLogAgreesWithAPlainOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &twins{log: mailbox.NewLog[int](&gate{}), claims: map[int]mailbox.Claim[int]{}, start: time.Now()}
		w.subscribe(t)
		t.Repeat(map[string]func(*rapid.T){
			"":          w.agree,
			"publish":   func(t *rapid.T) { w.publish(t, rapid.IntRange(1, 8).Draw(t, "n")) },
			"burst":     func(t *rapid.T) { w.publish(t, rapid.IntRange(100, 700).Draw(t, "n")) },
			"batch":     w.batch,
			"commit":    w.commit,
			"late one":  w.lateBatch,
			"claim":     w.claim,
			"finish":    w.finish,
			"subscribe": w.subscribe,
			"detach":    w.detach,
			"close":     w.closeCursor,
			"read":      w.read,
			"catch up":  w.catchUp,
			"position":  w.position,
			"take over": w.takeOver,
			"sleep":     w.sleep,
			"hold":      w.hold,
			"let go":    w.letGo,
			"end":       w.end,
		})
		w.finale(t)
	})
}

func (w *twins) cursor(t *rapid.T, from []*plainCursor) *plainCursor {
	if len(from) == 0 {
		t.Skip("no cursor")
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(t, "cursor")]
}

func (w *twins) all() []*plainCursor { return slices.Concat(w.attached, w.leaving) }

func (w *twins) context(t *rapid.T) (ctx context.Context, inside bool) {
	if rapid.Bool().Draw(t, "inside") {
		return insider(impatient()), true
	}
	return impatient(), false
}

func (w *twins) meta(t *rapid.T) *mailbox.Meta {
	switch rapid.IntRange(0, 5).Draw(t, "meta") {
	case 0:
		return &mailbox.Meta{Headers: map[string]string{"n": strconv.Itoa(w.value)}}
	case 1:
		return &mailbox.Meta{PublishedAt: time.Unix(int64(w.value), 0)}
	}
	return nil
}

func (w *twins) publish(t *rapid.T, n int) {
	ctx, inside := w.context(t)
	meta := w.meta(t)
	for range n {
		w.value++
		pos := len(w.slots)
		want := w.verdict(pos, inside, false)
		var err error
		if meta != nil {
			err = w.log.AppendMeta(ctx, w.value, meta)
		} else {
			err = w.log.Append(ctx, w.value)
		}
		if !sameError(err, want) {
			t.Fatalf("Append at %d = %v, want %v", pos, err, want)
		}
		if err == nil {
			w.slots = append(w.slots, plainSlot{})
			w.settle(pos, plainSlot{anEvent, w.value, meta})
		} else if int(w.log.Head()) == pos+1 {
			// It had claimed by fetch-add before it looked.
			w.slots = append(w.slots, plainSlot{})
			w.settle(pos, plainSlot{state: tombstone})
		}
	}
}

// values returns the next n values.
func (w *twins) values(n int) []int {
	vs := make([]int, n)
	for k := range vs {
		w.value++
		vs[k] = w.value
	}
	return vs
}

// accepted notes that the log has taken vs from pos on, and wants that it could.
func (w *twins) accepted(t *rapid.T, pos int, vs []int, inside, claimed bool) {
	for k, v := range vs {
		if want := w.verdict(pos+k, inside, claimed); want != nil {
			t.Fatalf("batch accepted at %d, want %v", pos+k, want)
		}
		if !claimed {
			w.slots = append(w.slots, plainSlot{})
		}
		w.settle(pos+k, plainSlot{anEvent, v, nil})
	}
}

func (w *twins) batch(t *rapid.T) {
	ctx, inside := w.context(t)
	vs, pos := w.values(rapid.IntRange(0, 700).Draw(t, "n")), len(w.slots)
	n, err := w.log.AppendBatch(ctx, vs)
	w.accepted(t, pos, vs[:n], inside, false)
	if err == nil && n < len(vs) {
		t.Fatalf("AppendBatch = %d, nil, want all %d", n, len(vs))
	}
	if want := w.verdict(pos+n, inside, false); err != nil && !sameError(err, want) {
		t.Fatalf("AppendBatch at %d = %v, want %v", pos+n, err, want)
	}
}

func (w *twins) commit(t *rapid.T) {
	ctx, inside := w.context(t)
	vs, pos := w.values(rapid.IntRange(1, 700).Draw(t, "n")), len(w.slots)
	_, err := w.commits.Commit(ctx, []mailbox.Part{mailbox.Staged(w.log, vs, nil)})
	if err == nil {
		for k, v := range vs {
			if want := w.verdict(pos+k, inside, false); want != nil {
				t.Fatalf("commit accepted at %d, want %v", pos+k, want)
			}
			w.slots = append(w.slots, plainSlot{})
			w.settle(pos+k, plainSlot{anEvent, v, nil})
		}
		return
	}
	want := w.verdict(pos+len(vs)-1, inside, false)
	for _, k := range w.attached {
		var many *mailbox.TooManyError
		if errors.As(err, &many) && many.Mailbox == k.cfg.Name && k.gates() && k.cfg.Capacity < len(vs) && many.Events == len(vs) {
			want = err
		}
	}
	if !sameError(err, want) {
		t.Fatalf("Commit of %d at %d = %v, want %v", len(vs), pos, err, want)
	}
}

// lateBatch is one whose producer was stopped after it had found room.
func (w *twins) lateBatch(t *rapid.T) {
	ctx, inside := w.context(t)
	vs, pos := w.values(rapid.IntRange(2, 64).Draw(t, "n")), len(w.slots)
	n, claimed, err := w.log.AppendBatchAfterItsCheck(ctx, vs)
	for range claimed {
		w.slots = append(w.slots, plainSlot{})
	}
	w.accepted(t, pos, vs[:n], inside, true)
	if n == claimed {
		if err != nil {
			t.Fatalf("AppendBatch = %d, %v, want nil", n, err)
		}
		return
	}
	if want := w.verdict(pos+n, inside, true); err == nil || !sameError(err, want) {
		t.Fatalf("AppendBatch at %d = %v, want %v", pos+n, err, want)
	}
	for k := n; k < claimed; k++ {
		w.settle(pos+k, plainSlot{state: tombstone})
	}
}

func sameError(got, want error) bool {
	var a, b *mailbox.FullError
	if errors.As(got, &a) && errors.As(want, &b) {
		return *a == *b
	}
	return errors.Is(got, want)
}

func (w *twins) claim(t *rapid.T) {
	w.claims[len(w.slots)] = w.log.Claim()
	w.slots = append(w.slots, plainSlot{})
}

func (w *twins) finish(t *rapid.T) {
	if len(w.claims) == 0 {
		t.Skip("no claim")
	}
	var open []int
	for pos := range w.claims {
		open = append(open, pos)
	}
	slices.Sort(open)
	w.finishAt(t, open[rapid.IntRange(0, len(open)-1).Draw(t, "claim")])
}

func (w *twins) finishAt(t *rapid.T, pos int) {
	ctx, inside := w.context(t)
	meta := w.meta(t)
	want := w.verdict(pos, inside, true)
	w.value++
	err := w.claims[pos].Finish(ctx, w.value, meta)
	if !sameError(err, want) {
		t.Fatalf("Finish at %d = %v, want %v", pos, err, want)
	}
	delete(w.claims, pos)
	if err != nil {
		w.settle(pos, plainSlot{state: tombstone})
		return
	}
	w.settle(pos, plainSlot{anEvent, w.value, meta})
	if !slices.ContainsFunc(w.all(), func(k *plainCursor) bool { return k.owns(pos) }) {
		t.Fatalf("Finish at %d = nil, and no cursor will read it", pos)
	}
}

func (w *twins) subscribe(t *rapid.T) {
	if len(w.all()) == 4 {
		t.Skip("enough cursors")
	}
	w.named++
	k := &plainCursor{end: -1}
	k.cfg = mailbox.CursorConfig[int]{
		Name:       fmt.Sprint("c", w.named),
		Overflow:   rapid.Custom(func(t *rapid.T) mailbox.Overflow { return mailbox.Overflow(rapid.IntRange(0, 6).Draw(t, "")) }).Draw(t, "overflow"),
		Capacity:   rapid.SampledFrom([]int{1, 2, 3, 7, 64, 130, 200, 1000}).Draw(t, "capacity"),
		Wake:       func() { k.wakes++ },
		Dropped:    func(d mailbox.Drops) { k.told = sum(k.told, d) },
		Overflowed: func(it mailbox.Item[int]) { k.toldOverflow = append(k.toldOverflow, it.Seq) },
	}
	k.busy = map[string]bool{}
	k.cfg.Filter = rapid.SampledFrom([]func(int, *mailbox.Meta) bool{nil, nil, third, few}).Draw(t, "filter")
	if rapid.Bool().Draw(t, "lanes") {
		k.cfg.Priority, k.cfg.Lanes = func(v int) int { return v%5 - 1 }, 3
	}
	if rapid.IntRange(0, 2).Draw(t, "keyed") == 0 {
		k.cfg.Keyed = true
		k.cfg.Key = rapid.SampledFrom([]func(int) string{parity, number}).Draw(t, "key")
	}
	if k.cfg.Overflow == mailbox.Latest && !k.cfg.Keyed {
		k.cfg.Key = rapid.SampledFrom([]func(int) string{nil, parity, number}).Draw(t, "key")
	}
	k.start = len(w.slots)
	if len(w.attached) == 0 {
		// It takes over what was claimed since the last one left.
		k.start = w.rest
	}
	c, r, err := w.log.Subscribe(k.cfg)
	if w.mode == 2 {
		if err != mailbox.ErrClosed {
			t.Fatalf("Subscribe = %v, want ErrClosed", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("Subscribe = %v, want nil", err)
	}
	k.c, k.r, k.saved = c, r, *r
	k.pos, k.from, k.place = k.start, k.start, k.start
	w.attached = append(w.attached, k)
}

func (w *twins) detach(t *rapid.T) {
	k := w.cursor(t, w.attached)
	k.c.Detach()
	k.end = len(w.slots)
	w.attached = slices.DeleteFunc(slices.Clone(w.attached), func(o *plainCursor) bool { return o == k })
	w.leaving = append(w.leaving, k)
	if len(w.attached) == 0 {
		w.rest = k.end
	}
}

func (w *twins) closeCursor(t *rapid.T) {
	k := w.cursor(t, w.leaving)
	if k.holding {
		w.let(k, false)
	}
	if !w.drained(k) {
		t.Skip("not drained")
	}
	k.c.Close()
	w.leaving = slices.DeleteFunc(slices.Clone(w.leaving), func(o *plainCursor) bool { return o == k })
}

func (w *twins) read(t *rapid.T) {
	w.readN(t, w.cursor(t, w.all()), rapid.IntRange(1, 10).Draw(t, "n"))
}

// catchUp takes everything, so that long logs get cleared and capacity is used again.
func (w *twins) catchUp(t *rapid.T) {
	k := w.cursor(t, w.all())
	w.readN(t, k, len(w.slots)+1)
	w.let(k, false)
}

func (w *twins) readN(t *rapid.T, k *plainCursor, n int) {
	for range n {
		want, ok := w.plain.next(k)
		v, got := k.r.Next()
		if got != ok || v != want.v {
			t.Fatalf("%s %v: Next() = %d, %v, want %d, %v", k.cfg.Name, k.cfg.Overflow, v, got, want.v, ok)
		}
		if !ok {
			w.let(k, false) // as Last and its like speak of an event
			return
		}
		k.holding = true
		at, meta := k.r.Facts()
		if k.r.Last() != want.v || k.r.Seq() != want.seq || meta != want.meta {
			t.Fatalf("%s %v: Last, Seq, Meta = %d, %d, %v, want %d, %d, %v", k.cfg.Name, k.cfg.Overflow,
				k.r.Last(), k.r.Seq(), meta, want.v, want.seq, want.meta)
		}
		if meta != nil && !meta.PublishedAt.IsZero() {
			if !at.Equal(meta.PublishedAt) {
				t.Fatalf("published at %v, want %v", at, meta.PublishedAt)
			}
		} else if at.Before(w.start.Truncate(0)) || at.After(time.Now()) {
			t.Fatalf("published at %v, want a time since %v", at, w.start)
		}
	}
}

func (w *twins) position(t *rapid.T) {
	k := w.cursor(t, w.all())
	w.let(k, k.holding && rapid.Bool().Draw(t, "in hand"))
}

func (w *twins) let(k *plainCursor, inHand bool) {
	k.r.Publish(inHand)
	k.r.Settle()
	k.holding = inHand
	k.place, k.placeOK = k.pos, k.taken
	k.saved = *k.r
}

// takeOver goes on from the position that was published last.
func (w *twins) takeOver(t *rapid.T) {
	k := w.cursor(t, w.all())
	if k.boxed() {
		t.Skip("what was taken from a box is not in it any more")
	}
	r := k.saved
	k.r = &r
	k.pos, k.taken, k.holding = k.place, k.placeOK, false
}

func (w *twins) sleep(t *rapid.T) {
	k := w.cursor(t, w.all())
	if in := k.c.Inbox(); in != nil {
		in.Sleep()
		if w.ready(k) {
			return // and a consumer that looks again does not go to sleep
		}
	} else {
		k.c.Sleep()
	}
	k.asleep, k.slept = true, k.wakes
}

// hold takes the right of the event in hand apart, as for one that has failed.
func (w *twins) hold(t *rapid.T) {
	k := w.cursor(t, w.all())
	if !k.hasKey {
		t.Skip("no key in hand")
	}
	k.hasKey = false
	k.holds = append(k.holds, plainHold{k.inHand, k.r.Hold()})
}

func (w *twins) letGo(t *rapid.T) {
	k := w.cursor(t, w.all())
	if len(k.holds) == 0 {
		t.Skip("nothing held")
	}
	i := rapid.IntRange(0, len(k.holds)-1).Draw(t, "hold")
	h := k.holds[i]
	k.holds = slices.Delete(k.holds, i, i+1)
	h.real.Release()
	delete(k.busy, h.key)
	k.promote(h.key)
}

func (w *twins) end(t *rapid.T) {
	switch rapid.IntRange(0, 19).Draw(t, "end") {
	case 0:
		w.log.Drain()
		w.mode = max(w.mode, 1)
	case 1:
		w.log.Close()
		w.mode = 2
	default:
		t.Skip("too early")
	}
}

// agree compares everything that can be seen.
func (w *twins) agree(t *rapid.T) {
	accepted := 0
	for _, s := range w.slots {
		if s.state != tombstone {
			accepted++
		}
	}
	if int(w.log.Head()) != len(w.slots) || int(w.log.Accepted()) != accepted || w.log.Waiting() != 0 {
		t.Fatalf("Head, Accepted, Waiting = %d, %d, %d, want %d, %d, 0",
			w.log.Head(), w.log.Accepted(), w.log.Waiting(), len(w.slots), accepted)
	}
	for _, k := range w.all() {
		check := func(what string, got, want any) {
			if got != want {
				t.Fatalf("%s %v/%d: %s = %v, want %v", k.cfg.Name, k.cfg.Overflow, k.cfg.Capacity, what, got, want)
			}
		}
		check("Len", k.c.Len(), w.waits(k, k.place))
		check("LenFrom", k.c.LenFrom(k.r), w.waits(k, k.pos))
		check("Ready", k.r.Ready(), w.ready(k))
		if !k.holding {
			check("Drained", k.r.Drained(), w.drained(k))
		}
		check("Taken", k.r.Taken(), uint64(k.taken))
		switch in := k.c.Inbox(); {
		case in == nil:
			check("Sleeps", k.c.Sleeps(), k.asleep)
			check("wakes", k.wakes, k.wanted)
		case k.asleep && w.ready(k) && k.wakes == k.slept:
			t.Fatalf("%s sleeps and there is something to read", k.cfg.Name)
		}
		drops := k.drops
		if k.boxed() {
			w.absorb(k)
			drops = k.drops
			drops.UnderWay = uint64(w.underWay(k))
		}
		k.c.Inspect(func(d mailbox.Drops) { check("Drops", d, drops) })
		check("told", [2]uint64{k.told.Lost(), k.told.Overflowed}, [2]uint64{k.drops.Lost(), k.drops.Overflowed})
		check("Overflowed", fmt.Sprint(k.toldOverflow), fmt.Sprint(k.overflowed))
		if k.gates() && k.end < 0 && !k.boxed() {
			n := 0 // without what is under way
			for i := k.place; i < len(w.slots) && k.owns(i); i++ {
				if w.slots[i].state == anEvent {
					n++
				}
			}
			if n > k.cfg.Capacity {
				t.Fatalf("%s: %d events wait, want at most %d", k.cfg.Name, n, k.cfg.Capacity)
			}
		}
		if k.boxed() && k.cfg.Overflow != mailbox.Unbounded && (k.lossy() || k.end < 0) && len(k.box) > k.cfg.Capacity {
			t.Fatalf("%s: %d events wait, want at most %d", k.cfg.Name, len(k.box), k.cfg.Capacity)
		}
	}
}

// finale brings everything to its end: each cursor can be drained.
func (w *twins) finale(t *rapid.T) {
	for len(w.attached) > 0 {
		w.detach(t)
	}
	for pos := range len(w.slots) {
		if _, ok := w.claims[pos]; ok {
			w.finishAt(t, pos)
		}
	}
	for _, k := range w.leaving {
		for _, h := range k.holds {
			h.real.Release()
			delete(k.busy, h.key)
			k.promote(h.key)
		}
		w.readN(t, k, len(w.slots)+1)
		w.let(k, false)
		if !k.r.Drained() {
			t.Fatalf("%s: Drained() = false at the end, want true", k.cfg.Name)
		}
	}
	w.agree(t)
	for _, k := range w.leaving {
		k.c.Close()
	}
}

func third(v int, _ *mailbox.Meta) bool { return v%3 == 0 }

// few wants what has headers, and little else.
func few(v int, m *mailbox.Meta) bool { return m != nil && m.Headers != nil || v%50 == 0 }
