package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// shot is the n-th event of a producer, from 1. It holds a pointer, so that
// slots are cleared behind the readers.
type shot struct {
	producer, n int
	again       *[2]int // the same; a cleared slot has none
}

// hammer is one run of many producers against many actors.
type hammer struct {
	t        *testing.T
	log      *mailbox.Log[shot]
	over     mailbox.Overflow
	capacity int
	each     int // events of each producer
	batch    int // of them at most that a producer publishes at once

	accepted []atomic.Int64  // by producer: the number of its last accepted event
	total    atomic.Uint64   // all of them
	order    []atomic.Uint64 // by sequence number: what the first reader found there
	steps    atomic.Uint64   // whatever moves

	mu     sync.Mutex
	actors []*shooter
}

// shooter is an actor that checks what it gets.
type shooter struct {
	actor[shot]
	h           *hammer
	over        mailbox.Overflow
	first, last []int // by producer
	seq         uint64
	shown       uint64 // events taken when the position was last made known
	read        uint64
	overflowed  []int // by producer: how many
	told        mailbox.Drops
	all         chan struct{} // closed when every event of every producer has been read
}

func lossless(over mailbox.Overflow) bool {
	return over == mailbox.Block || over == mailbox.Reject || over == mailbox.Unbounded
}

func (h *hammer) subscribe(name string, over mailbox.Overflow, capacity int, resident bool) *shooter {
	n := len(h.accepted)
	s := &shooter{h: h, over: over, first: make([]int, n), last: make([]int, n), overflowed: make([]int, n), all: make(chan struct{})}
	s.stride = 1 + rand.IntN(max(1, min(64, capacity)))
	s.handle = s.check
	if resident && (over == mailbox.Block || over == mailbox.Reject) {
		s.publish = func(bool) {
			if got, most := h.total.Load(), s.shown+uint64(capacity); got > most {
				h.t.Errorf("%s: %d accepted, want at most %d: %d taken and %d waiting", name, got, most, s.shown, capacity)
			}
			s.shown = s.taken.Load()
		}
	}
	cfg := mailbox.CursorConfig[shot]{Name: name, Overflow: over, Capacity: capacity,
		Overflowed: func(it mailbox.Item[shot]) { s.overflowed[it.Event.producer]++ },
		Dropped: func(d mailbox.Drops) {
			h.mu.Lock()
			s.told = sum(s.told, d)
			h.mu.Unlock()
		}}
	if over == mailbox.Latest && rand.IntN(2) == 0 {
		cfg.Key = func(v shot) string { return strconv.Itoa(v.producer) }
	}
	if err := s.start(h.log, cfg); err != nil {
		h.t.Errorf("Subscribe = %v", err)
		return nil
	}
	return s
}

// check runs on the actor's goroutine.
func (s *shooter) check(r *mailbox.Reader[shot], v shot) {
	h := s.h
	h.steps.Add(1)
	s.read++
	seq := r.Seq()
	if *v.again != [2]int{v.producer, v.n} || r.Last() != v {
		h.t.Errorf("event in hand = %+v, Last() = %+v, want the same and whole", v, r.Last())
	}
	last := s.last[v.producer]
	if last == 0 {
		s.first[v.producer] = v.n
	} else if v.n <= last || lossless(s.over) && v.n != last+1 {
		h.t.Errorf("%v: event %d of producer %d after %d", s.over, v.n, v.producer, last)
	}
	s.last[v.producer] = v.n
	if seq <= s.seq && s.over != mailbox.Latest {
		h.t.Errorf("%v: Seq() = %d after %d", s.over, seq, s.seq)
	}
	s.seq = seq
	if id := uint64(v.producer)<<32 | uint64(v.n); seq < uint64(len(h.order)) && !h.order[seq].CompareAndSwap(0, id) && h.order[seq].Load() != id {
		h.t.Errorf("event %#x has sequence number %d, which is that of %#x", id, seq, h.order[seq].Load())
	}
	if _, m := r.Facts(); (m != nil) != h.withMeta(v.n) || m != nil && m.Headers["n"] != strconv.Itoa(v.n) {
		h.t.Errorf("Meta of event %d = %v", v.n, m)
	}
	if s.read == uint64(h.each*len(h.accepted)) {
		close(s.all)
	}
	if v.n%16 == 0 {
		goruntime.Gosched()
	}
}

// withMeta says which events have a Meta. They are published one by one.
func (h *hammer) withMeta(n int) bool {
	if h.batch > 1 {
		return n%101 == 0
	}
	return n%7 == 0
}

// produce publishes each event until it is accepted.
func (h *hammer) produce(p int) {
	for n := 1; n <= h.each; {
		size := 1
		if !h.withMeta(n) {
			for size < h.batch && n+size <= h.each && !h.withMeta(n+size) && rand.IntN(h.batch) > 0 {
				size++
			}
		}
		vs := make([]shot, size)
		for k := range vs {
			vs[k] = shot{p, n + k, &[2]int{p, n + k}}
		}
		for try := 0; len(vs) > 0; try++ {
			ctx, cancel := context.Background(), context.CancelFunc(func() {})
			if try == 0 {
				switch n % 5 {
				case 0:
					ctx = impatient()
				case 1:
					ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(rand.IntN(100))*time.Microsecond, errGaveUp)
				}
			}
			var accepted int
			var err error
			switch {
			case h.withMeta(n):
				err = h.log.AppendMeta(ctx, vs[0], &mailbox.Meta{Headers: map[string]string{"n": strconv.Itoa(n)}})
			case h.batch > 1:
				accepted, err = h.log.AppendBatch(ctx, vs)
			default:
				err = h.log.Append(ctx, vs[0])
			}
			cancel()
			if err == nil {
				accepted = len(vs)
			}
			n += accepted
			vs = vs[accepted:]
			h.accepted[p].Store(int64(n - 1))
			h.total.Add(uint64(accepted))
			h.steps.Add(uint64(accepted))
			if err == nil {
				break
			}
			if !errors.Is(err, errGaveUp) && !errors.Is(err, mailbox.ErrFull) {
				h.t.Errorf("Append = %v", err)
				return
			}
			goruntime.Gosched()
		}
	}
}

// visit subscribes, stays a while and leaves, until done.
func (h *hammer) visit(done *atomic.Bool) {
	counts := func() []int {
		now := make([]int, len(h.accepted))
		for p := range now {
			now[p] = int(h.accepted[p].Load())
		}
		return now
	}
	for k := 0; !done.Load(); k++ {
		before := counts()
		s := h.subscribe("visitor", mailbox.Overflow(k%7), h.capacity, false)
		if s == nil {
			return
		}
		joined := counts()
		for range rand.IntN(50) {
			goruntime.Gosched()
		}
		leaving := counts()
		s.leave()
		left := counts()
		<-s.ended
		if !lossless(s.over) {
			s.settled()
			continue
		}
		for p := range before {
			first, last := s.first[p], s.last[p]
			if first != 0 && (first <= before[p] || first > joined[p]+1+h.batch) {
				h.t.Errorf("visitor's first event of producer %d = %d, want it in (%d, %d]", p, first, before[p], joined[p]+1+h.batch)
			}
			if last < leaving[p] && leaving[p] > joined[p]+h.batch || last > left[p]+h.batch {
				h.t.Errorf("visitor's last event of producer %d = %d, want it in [%d, %d]", p, last, leaving[p], left[p]+h.batch)
			}
		}
	}
}

// settled checks the account of a mailbox that has been read to its end.
func (s *shooter) settled() {
	h := s.h
	s.cur.Inspect(func(d mailbox.Drops) {
		if !lossless(s.over) && s.read+d.Lost()+d.Overflowed != d.Accepted {
			h.t.Errorf("%v: read %d, dropped %+v, want the sum to be what was accepted", s.over, s.read, d)
		}
		overflowed := 0
		for _, n := range s.overflowed {
			overflowed += n
		}
		if overflowed != int(d.Overflowed) {
			h.t.Errorf("%v: Overflowed was called %d times, want %d", s.over, overflowed, d.Overflowed)
		}
		// A publisher that took over for a mailbox tells it with nothing
		// locked, so perhaps only now. It must come, and be no more.
		told := func() (n, m uint64) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return s.told.Lost(), s.told.Overflowed
		}
		lost, over := told()
		for ; lost < d.Lost() || over < d.Overflowed; lost, over = told() {
			goruntime.Gosched()
		}
		if lost != d.Lost() || over != d.Overflowed {
			h.t.Errorf("%v: Dropped was told of %d lost and %d overflowed, want %d and %d", s.over, lost, over, d.Lost(), d.Overflowed)
		}
	})
	if s.read != s.r.Taken() {
		h.t.Errorf("%v: Taken() = %d, want %d", s.over, s.r.Taken(), s.read)
	}
}

func (h *hammer) run(producers, cursors int) {
	t := h.t
	h.log = mailbox.NewLog[shot](nil)
	h.accepted = make([]atomic.Int64, producers)
	h.order = make([]atomic.Uint64, 4*h.each*producers)
	for k := range cursors {
		h.actors = append(h.actors, h.subscribe(fmt.Sprint("c", k), h.over, h.capacity, true))
	}
	watchdog(t, h.steps.Load, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "head %d accepted %d waiting %d\n", h.log.Head(), h.log.Accepted(), h.log.Waiting())
		for _, s := range h.actors {
			fmt.Fprintln(&b, &s.actor)
		}
		return b.String()
	})

	var publishers, others sync.WaitGroup
	var done atomic.Bool
	for p := range producers {
		publishers.Go(func() { h.produce(p) })
	}
	if cursors > 1 {
		others.Go(func() { h.visit(&done) })
	}
	others.Go(func() { // who looks on
		for !done.Load() {
			for _, s := range h.actors {
				if n := s.cur.Len(); !lossless(h.over) && n > h.capacity {
					t.Errorf("Len() = %d, want at most %d", n, h.capacity)
				}
				s.cur.Inspect(func(mailbox.Drops) {})
			}
			_, _ = h.log.Accepted(), h.log.Waiting()
			time.Sleep(50 * time.Microsecond)
		}
	})
	publishers.Wait()
	done.Store(true)
	others.Wait()

	want := uint64(h.each * producers)
	if got := h.log.Accepted(); got != want {
		t.Errorf("Accepted() = %d, want %d", got, want)
	}
	for _, s := range h.actors {
		// Nobody may have to be told once more that there is something to read.
		if lossless(h.over) {
			<-s.all
		}
		for s.cur.Len() > 0 {
			goruntime.Gosched()
		}
		s.leave()
		<-s.ended
		s.settled()
		if lossless(h.over) && s.read != want {
			t.Errorf("%v: read %d, want %d", h.over, s.read, want)
		}
		s.cur.Inspect(func(d mailbox.Drops) {
			if !lossless(h.over) && d.Accepted != want {
				t.Errorf("%v: Drops.Accepted = %d, want %d", h.over, d.Accepted, want)
			}
		})
		if newest := h.log.Head(); h.over == mailbox.DropOldest && s.seq != newest && newest == want {
			t.Errorf("%v: last Seq() = %d, want %d, that of the newest event", h.over, s.seq, newest)
		}
	}
}

// TestManyProducersManyActors: each reader sees each producer's events in
// order, once, none missing unless its policy drops; all readers agree on one
// order; nobody sleeps while there is something to read; nobody has more than
// its capacity. TROUPE_HAMMER=100 makes it a hundred times as long.
func TestManyProducersManyActors(t *testing.T) {
	factor := 1
	if text := os.Getenv("TROUPE_HAMMER"); text != "" {
		var err error
		if factor, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for over := mailbox.Block; over.Valid(); over++ {
		for _, capacity := range []int{1, 2, 7, 64, 4096} {
			if over == mailbox.Unbounded && capacity > 1 {
				continue
			}
			for _, producers := range []int{1, 2, 4, 8} {
				for _, cursors := range []int{1, 3, 10} {
					t.Run(fmt.Sprintf("%v/%d/%dx%d", over, capacity, producers, cursors), func(t *testing.T) {
						// About the same work each, and more than a segment where it fits.
						events := 1500 * factor
						if capacity <= 2 {
							events = 300 * factor
						}
						h := &hammer{t: t, over: over, capacity: capacity, each: events/producers + 1, batch: 1}
						h.run(producers, cursors)
					})
				}
			}
		}
	}
}

// The same for producers that publish many events at once, while others come and
// leave in the middle of it.
func TestManyBatchesManyActors(t *testing.T) {
	for over := mailbox.Block; over.Valid(); over++ {
		for _, capacity := range []int{1, 7, 100, 4096} {
			if over == mailbox.Unbounded && capacity > 1 {
				continue
			}
			for _, producers := range []int{1, 4} {
				for _, batch := range []int{3, 200} {
					t.Run(fmt.Sprintf("%v/%d/%dx3/%d", over, capacity, producers, batch), func(t *testing.T) {
						events := 3000
						if capacity <= 7 {
							events = 600
						}
						h := &hammer{t: t, over: over, capacity: capacity, each: events/producers + 1, batch: batch}
						h.run(producers, 3)
					})
				}
			}
		}
	}
}
