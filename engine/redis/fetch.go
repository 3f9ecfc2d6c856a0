package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// Fetch implements engine.Subscription. After an error of the server it waits before it
// asks again, longer each time, up to a second.
//
// It returns engine.ErrFull, once, for records that were removed before they were
// settled, by Config.MaxLen or by hand; and engine.ErrUnavailable, once, when the group
// was gone: it is made again, from the oldest record.
func (s *Subscription) Fetch(ctx context.Context, max int) ([]*engine.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("redis: %s: fetch of %d: must be at least 1", s.what, max)
	}
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if s.isClosed() {
			return nil, fault(s.what, engine.ErrClosed)
		}
		if err := s.trouble; err != nil {
			s.trouble = nil
			return nil, fault(s.what, err)
		}
		got, room := s.hand(max)
		if len(got) > 0 {
			return got, nil
		}
		if room == 0 {
			if err := s.wait(ctx, s.room, 0); err != nil {
				return nil, err
			}
			continue
		}
		if s.pause > 0 && s.idle() {
			if err := s.wait(ctx, nil, s.pause); err != nil {
				return nil, err
			}
		}
		b, err := s.await(ctx, s.read(room))
		if err != nil {
			return nil, err
		}
		s.take(b)
	}
}

func (s *Subscription) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// wait returns nil when c has something or, if it is not 0, d is over.
func (s *Subscription) wait(ctx context.Context, c <-chan struct{}, d time.Duration) error {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-c:
	case <-over:
	case <-s.closed:
		return fault(s.what, engine.ErrClosed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// hand hands out what is there, and else says how much may be read.
func (s *Subscription) hand(most int) (got []*engine.Delivery, room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(most, s.cfg.MaxInFlight-s.handed)
	if n <= 0 {
		return nil, 0
	}
	if len(s.ahead) == 0 {
		return nil, n
	}
	now := time.Now()
	if s.order != nil && s.order.stale(now) {
		return nil, n
	}
	got = make([]*engine.Delivery, 0, min(n, len(s.ahead)))
	s.ahead = slices.DeleteFunc(s.ahead, func(h *hold) bool {
		if now.After(h.until) {
			return true // it will come again, or has
		}
		if len(got) == n || s.order != nil && s.order.waits(h) {
			return false
		}
		h.state = isHanded
		got = append(got, &h.delivery)
		if s.order != nil {
			s.order.out[h] = struct{}{}
		}
		return true
	})
	s.handed += len(got)
	// What waits for its turn takes room, but what it waits for must fit.
	return got, max(1, n-len(s.ahead))
}

func (s *Subscription) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading == nil
}

// read goes on by itself when the Fetch that has begun it ends, and the next one has what
// it brings. A consumer that is leaving begins none.
func (s *Subscription) read(room int) *reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading == nil && !s.isClosed() {
		r := &reading{done: make(chan struct{})}
		s.reading = r
		go func() {
			defer close(r.done)
			if s.order != nil {
				r.batch = s.order.read(room)
			} else {
				r.batch = s.readShared(room)
			}
		}()
	}
	return s.reading
}

func (s *Subscription) await(ctx context.Context, r *reading) (batch, error) {
	if r == nil {
		return batch{}, fault(s.what, engine.ErrClosed)
	}
	select {
	case <-s.closed:
		return batch{}, fault(s.what, engine.ErrClosed)
	case <-ctx.Done():
		return batch{}, context.Cause(ctx)
	case <-r.done:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading != r {
		return batch{}, fault(s.what, engine.ErrClosed)
	}
	s.reading = nil
	return r.batch, nil
}

// take takes what a read has brought.
func (s *Subscription) take(b batch) {
	s.mu.Lock()
	if s.order != nil {
		s.order.sort(b.holds)
	} else {
		s.ahead = append(s.ahead, b.holds...)
	}
	s.mu.Unlock()
	if b.err == nil {
		s.pause = 0
		return
	}
	if errors.Is(b.err, errRemoved) {
		s.trouble = b.err
		return
	}
	if groupGone(b.err) {
		ctx, cancel := context.WithTimeout(context.Background(), maxPause)
		defer cancel()
		if err := s.t.makeGroup(ctx, s.cfg.Group, engine.FromOldest); err != nil {
			b.err = err
		} else {
			b.err = fmt.Errorf("%w: the group was gone: it is made again, from the oldest record", engine.ErrUnavailable)
		}
	}
	s.pause = min(maxPause, max(minPause, 2*s.pause))
	s.trouble = b.err
}

var errRemoved = fmt.Errorf("%w: records were removed before they were settled", engine.ErrFull)

// readShared brings what comes again, if that is due, and else what is new, for which it
// waits until something may come again.
func (s *Subscription) readShared(room int) batch {
	ctx := context.Background()
	now := time.Now()
	s.mu.Lock()
	again := !now.Before(s.nextTake)
	if again {
		s.nextTake = now.Add(s.t.e.cfg.Poll)
	}
	wait := min(s.t.e.cfg.Poll, s.nextTake.Sub(now))
	me := s.me
	s.mu.Unlock()
	if again {
		calls, shares := s.takeCalls(me, now, room)
		b := s.taken(me, now, s.client().do(ctx, calls)[:len(shares)], shares)
		if len(b.holds) > 0 || b.err != nil {
			return b
		}
	}
	if rounds := (len(s.t.streams) + room - 1) / room; rounds > 1 {
		// Where there is not room for a record of each shard, one that has none must
		// not keep the consumer from one that has: they are all asked before it waits,
		// and each is waited for in Config.Poll.
		for range rounds {
			if b := s.readNew(ctx, me, room, 0); len(b.holds) > 0 || b.err != nil {
				return b
			}
		}
		wait = min(wait, s.t.e.cfg.Poll/time.Duration(rounds))
	}
	return s.readNew(ctx, me, room, max(1, wait.Milliseconds()))
}

// readNew brings what is new, for which it waits so many milliseconds; 0 is not at all,
// which the server would take for ever.
func (s *Subscription) readNew(ctx context.Context, me string, room int, wait int64) batch {
	shares := s.share(&s.readTurn, room)
	words := []any{"XREADGROUP", "GROUP", s.cfg.Group, me, "COUNT", shares[0].room}
	if wait > 0 {
		words = append(words, "BLOCK", wait)
	}
	words = append(words, "STREAMS")
	for _, sh := range shares {
		words = append(words, s.t.streams[sh.shard])
	}
	for range shares {
		words = append(words, ">")
	}
	sent := time.Now()
	reply, err := s.client().Do(ctx, words...).Result()
	if errors.Is(err, goredis.Nil) {
		return batch{}
	}
	if err != nil {
		return batch{err: err}
	}
	return batch{holds: s.entries(me, sent, reply)}
}

// entries makes holds of what XREADGROUP answers.
func (s *Subscription) entries(me string, sent time.Time, reply any) (holds []*hold) {
	until := sent.Add(s.cfg.Lease)
	o := newOpener(s.t.e.cfg.Envelope)
	for _, stream := range list(reply) {
		pair := list(stream)
		if len(pair) != 2 {
			continue
		}
		shard := max(0, slices.Index(s.t.streams, text(pair[0])))
		entries := list(pair[1])
		holds = slices.Grow(holds, len(entries))
		for _, e := range entries {
			if e := list(e); len(e) == 2 {
				holds = append(holds, s.hold(shard, me, text(e[0]), list(e[1]), 1, until, o))
			}
		}
	}
	return holds
}

// share is how many records one shard may bring.
type share struct{ shard, room int }

// share divides room among the shards. COUNT is for each stream, so that what they bring
// together must fit; where there is not room for all they take turns.
func (s *Subscription) share(turn *int, room int) []share {
	n := len(s.t.streams)
	some := min(n, room)
	shares := make([]share, some)
	for i := range shares {
		shares[i] = share{(*turn + i) % n, room / some}
	}
	*turn = (*turn + some) % n
	return shares
}

// takeCalls asks for what comes again and, now and then, for what consumers that are gone
// have left, and trims.
func (s *Subscription) takeCalls(me string, now time.Time, room int) ([]call, []share) {
	shares := s.share(&s.takeTurn, room)
	calls := make([]call, 0, len(shares)+len(s.t.streams))
	for _, sh := range shares {
		calls = append(calls, s.takeCall(me, now, sh, modeShared, 0))
	}
	return append(calls, s.dueTrims(now)...), shares
}

func (s *Subscription) dueTrims(now time.Time) []call {
	s.mu.Lock()
	due := s.settled && !now.Before(s.nextTrim)
	if due {
		s.settled = false
		s.nextTrim = now.Add(trimEvery)
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	return s.trims()
}

func (s *Subscription) takeCall(me string, now time.Time, sh share, mode string, fresh int) call {
	scan := "0"
	if !now.Before(s.nextScan[sh.shard]) {
		scan = "1"
		s.nextScan[sh.shard] = now.Add(s.scanEvery())
	}
	return call{
		script: takeScript,
		keys:   []string{s.t.streams[sh.shard], s.beside(sh.shard, "returned"), s.beside(sh.shard, "owner")},
		args: []any{
			s.cfg.Group, me, sh.room, s.cfg.Lease.Milliseconds(), scan,
			max(forget, 2*s.cfg.Lease).Milliseconds(), mode, fresh,
		},
	}
}

func (s *Subscription) scanEvery() time.Duration {
	return min(maxScan, max(s.cfg.Lease/4, s.t.e.cfg.Poll))
}

// taken makes holds of what take.lua answers.
func (s *Subscription) taken(me string, sent time.Time, answers []*goredis.Cmd, shares []share) (b batch) {
	var gone []string
	o := newOpener(s.t.e.cfg.Envelope)
	for i, a := range answers {
		if a.Err() != nil {
			b.err = a.Err()
			continue
		}
		r := list(a.Val())
		if len(r) < 5 {
			continue
		}
		if due := number(r[1]); due >= 0 {
			s.comeBy(sent.Add(time.Duration(due) * time.Millisecond))
		}
		for _, e := range list(r[2]) {
			if e := list(e); len(e) == 3 {
				b.holds = append(b.holds, s.hold(shares[i].shard, me, text(e[0]), list(e[1]), number(e[2]), sent.Add(s.cfg.Lease), o))
			}
		}
		for _, id := range list(r[3]) {
			gone = append(gone, text(id))
		}
	}
	if b.err == nil && len(gone) > 0 {
		b.err = fmt.Errorf("%w: %d by Config.MaxLen or by hand: %s", errRemoved, len(gone), strings.Join(gone[:min(10, len(gone))], ", "))
	}
	return b
}

// comeBy makes the next read but those under way look for what comes again by then.
func (s *Subscription) comeBy(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Before(s.nextTake) {
		s.nextTake = t
	}
}
