package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// order is what a consumer does for order by key. A shard has one owner at a time, whom
// the server knows; only the owner is handed anything of it, by a script that looks who
// it is. Members of the group divide the shards among them by their place in the list of
// names.
//
// # Invariants
//
//   - An owner that is new has first, in their order, all records that others had and
//     have not settled, whether they were given back for later or not.
//   - An owner gives a shard up when it has nothing of it in hand, or when it has not
//     called Fetch, Settle or Extend for a lease.
//   - A record is not handed out while one of its key that was stored before it is
//     given back and has not come again.
//   - After a read or a settlement of which nobody knows whether it has happened, records
//     may be anywhere between those that came before and those that are new. The consumer
//     finishes what it has in hand, takes another name, and begins as a new owner.
type order struct {
	s *Subscription

	// Of reads, one at a time.
	mine       []bool
	last       []string // where the group is in each shard, for waiting
	members    int
	rank       int
	nextMember time.Time
	nextExtend time.Time
	lives      int

	suspect atomic.Bool // what was read is not all that was handed to it

	// Under s.mu.
	out      map[*hold]struct{} // handed out and not settled
	given    map[string][]*hold // given back and not come again, by key
	draining []bool             // of shards that are given up when nothing of them is in hand
}

func newOrder(s *Subscription) *order {
	o := &order{
		s: s, mine: make([]bool, len(s.t.streams)), last: make([]string, len(s.t.streams)),
		out: map[*hold]struct{}{}, given: map[string][]*hold{},
		draining: make([]bool, len(s.t.streams)),
	}
	for i := range o.last {
		o.last[i] = "0-0"
	}
	return o
}

func (h *hold) key() string { return h.delivery.Record.Key }

func (h *hold) compare(other *hold) int {
	return cmp.Or(cmp.Compare(h.shard, other.shard), cmp.Compare(h.ms, other.ms), cmp.Compare(h.seq, other.seq))
}

// waits reports whether h must not be handed out yet.
func (o *order) waits(h *hold) bool {
	if o.draining[h.shard] {
		return true
	}
	for _, g := range o.given[h.key()] {
		if h.key() != "" && g.shard == h.shard && g.compare(h) < 0 {
			return true
		}
	}
	return false
}

// block notes that h is given back, before it is.
func (o *order) block(h *hold) { o.given[h.key()] = append(o.given[h.key()], h) }

// unblock notes that it has come again, or was not given back after all.
func (o *order) unblock(h *hold) {
	rest := slices.DeleteFunc(o.given[h.key()], func(g *hold) bool { return g.compare(h) == 0 })
	if len(rest) == 0 {
		delete(o.given, h.key())
		return
	}
	o.given[h.key()] = rest
}

// sort puts what was read among what waits, in the order in which it was stored.
func (o *order) sort(holds []*hold) {
	s := o.s
	for _, h := range holds {
		o.unblock(h)
		s.ahead = slices.DeleteFunc(s.ahead, func(a *hold) bool { return a.compare(h) == 0 })
		s.ahead = append(s.ahead, h)
	}
	slices.SortStableFunc(s.ahead, (*hold).compare)
}

// stale reports whether what waits must not be handed out: reads are suspect, or the
// lease of something has ended, which then comes again behind what follows it.
func (o *order) stale(now time.Time) bool {
	if slices.ContainsFunc(o.s.ahead, func(h *hold) bool { return now.After(h.until) }) {
		o.suspect.Store(true)
	}
	return o.suspect.Load()
}

// forget forgets what waits of a shard that is another's now, which has it, too.
func (o *order) forget(shard int) {
	s := o.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = slices.DeleteFunc(s.ahead, func(h *hold) bool { return h.shard == shard })
	for key, given := range o.given {
		given = slices.DeleteFunc(given, func(h *hold) bool { return h.shard == shard })
		if len(given) == 0 {
			delete(o.given, key)
		} else {
			o.given[key] = given
		}
	}
}

// busy reports whether something of a shard, or of any for -1, is in hand.
func (o *order) busy(shard int, now time.Time) bool {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	for h := range o.out {
		if (shard < 0 || h.shard == shard) && now.Before(h.until) {
			return true
		}
	}
	return false
}

// read brings what comes again and what is new of the shards that the consumer owns.
func (o *order) read(room int) batch {
	s, ctx, now := o.s, context.Background(), time.Now()
	if o.suspect.Load() {
		if o.busy(-1, now) {
			o.sleep(s.t.e.cfg.Poll)
			return batch{}
		}
		if err := o.rebirth(ctx); err != nil {
			return batch{err: err}
		}
	}
	if err := o.join(ctx, now); err != nil {
		return batch{err: err}
	}
	shares, calls := o.plan(room, now)
	b := o.ask(ctx, now, shares, calls)
	if len(b.holds) > 0 || b.err != nil {
		return b
	}
	o.await(ctx)
	return b
}

// join says that the consumer is there and learns its place, once in Config.Poll.
func (o *order) join(ctx context.Context, now time.Time) error {
	s := o.s
	if now.Before(o.nextMember) {
		return nil
	}
	a := s.client().do(ctx, []call{{
		script: memberScript, keys: []string{s.members()}, args: []any{s.cfg.Consumer, s.cfg.Lease.Milliseconds()},
	}})[0]
	if a.Err() != nil {
		return a.Err()
	}
	if r := list(a.Val()); len(r) == 2 {
		o.members, o.rank = number(r[0]), number(r[1])
	}
	o.nextMember = now.Add(s.t.e.cfg.Poll)
	return nil
}

// plan is what to ask of each shard: to get or keep it, to keep it until what is in hand
// is settled, or to give it up.
func (o *order) plan(room int, now time.Time) (shares []share, calls []call) {
	s := o.s
	s.mu.Lock()
	me := s.me
	fresh := s.cfg.MaxInFlight - s.handed - len(s.ahead)
	waiting := slices.Clone(s.ahead)
	s.mu.Unlock()

	var wanted, rest []int
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(o.draining)
		for _, i := range rest {
			o.draining[i] = true
		}
	}()
	for i := range s.t.streams {
		if i%max(1, o.members) == o.rank {
			wanted = append(wanted, i)
		} else if o.mine[i] {
			rest = append(rest, i)
		}
	}
	if !now.Before(o.nextExtend) {
		o.nextExtend = now.Add(s.scanEvery())
		calls = append(calls, o.extendCalls(waiting, now)...)
	}
	calls = append(calls, s.dueTrims(now)...)
	for range calls {
		shares = append(shares, share{shard: -1})
	}
	some := min(len(wanted), room)
	for n := range some {
		sh := share{wanted[(s.takeTurn+n)%len(wanted)], room / some}
		shares = append(shares, sh)
		calls = append(calls, s.takeCall(me, now, sh, "own", max(0, min(sh.room, fresh/some))))
	}
	if len(wanted) > 0 {
		s.takeTurn = (s.takeTurn + some) % len(wanted)
	}
	for _, i := range rest {
		sh := share{i, 0}
		if o.busy(i, now) {
			calls = append(calls, s.takeCall(me, now, sh, "drain", 0))
		} else {
			calls = append(calls, s.leaveCall(i, ""))
			o.mine[i] = false
			o.forget(i)
			sh.shard = -1
		}
		shares = append(shares, sh)
	}
	return shares, calls
}

// extendCalls are for what waits for its turn, which nobody else extends.
func (o *order) extendCalls(waiting []*hold, now time.Time) (calls []call) {
	s := o.s
	args := map[int][]any{}
	for _, h := range waiting {
		if args[h.shard] == nil {
			args[h.shard] = []any{s.cfg.Group, h.owner, s.shardLease()}
		}
		args[h.shard] = append(args[h.shard], h.message.ID, h.attempt)
	}
	for shard, a := range args {
		calls = append(calls, call{
			script: extendScript, keys: []string{s.t.streams[shard], s.beside(shard, "owner")}, args: a,
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range waiting {
		h.until = now.Add(s.cfg.Lease)
	}
	return calls
}

// ask sends the calls and makes holds of what they bring. One that failed without an
// answer of the server makes the reads suspect.
func (o *order) ask(ctx context.Context, now time.Time, shares []share, calls []call) batch {
	s := o.s
	if len(calls) == 0 {
		return batch{}
	}
	answers := s.client().do(ctx, calls)
	var takes []*goredis.Cmd
	var of []share
	var err error
	for i, a := range answers {
		var said goredis.Error
		if a.Err() != nil && !errors.As(a.Err(), &said) {
			o.suspect.Store(true)
		}
		if shares[i].shard < 0 {
			if a.Err() != nil {
				err = a.Err()
			}
			continue
		}
		takes, of = append(takes, a), append(of, shares[i])
		r := list(a.Val())
		if a.Err() != nil || len(r) < 5 {
			continue
		}
		owns := number(r[0]) == 1
		if o.mine[shares[i].shard] && !owns {
			o.forget(shares[i].shard)
		}
		o.mine[shares[i].shard] = owns
		if at := text(r[4]); at != "" {
			o.last[shares[i].shard] = at
		}
	}
	s.mu.Lock()
	me := s.me
	s.nextTake = now.Add(s.t.e.cfg.Poll)
	s.mu.Unlock()
	b := s.taken(me, now, takes, of)
	if b.err == nil {
		b.err = err
	}
	return b
}

// await waits until there is something new in the shards that the consumer owns, or
// something may come again.
func (o *order) await(ctx context.Context) {
	s := o.s
	s.mu.Lock()
	wait := min(s.t.e.cfg.Poll, time.Until(s.nextTake))
	full := s.handed+len(s.ahead) >= s.cfg.MaxInFlight
	s.mu.Unlock()
	wait = max(wait, time.Millisecond)
	words := []any{"XREAD", "COUNT", 1, "BLOCK", wait.Milliseconds(), "STREAMS"}
	var at []any
	for i, stream := range s.t.streams {
		if o.mine[i] {
			words = append(words, stream)
			at = append(at, o.last[i])
		}
	}
	if full || len(at) == 0 {
		o.sleep(wait)
		return
	}
	// What it answers is read by the next read; an error is one of that as well.
	_ = s.client().Do(ctx, append(words, at...)...).Err()
}

func (o *order) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-o.s.closed:
	}
}

// rebirth gives the shards up and takes another name: what was sent under the old one and
// is still on its way does nothing when it arrives.
func (o *order) rebirth(ctx context.Context) error {
	s := o.s
	calls := make([]call, len(s.t.streams))
	for i := range calls {
		calls[i] = s.leaveCall(i, "")
	}
	if err := firstError(s.client().do(ctx, calls)); err != nil {
		return err
	}
	o.lives++
	for i := range o.mine {
		o.mine[i] = false
		o.forget(i)
	}
	o.suspect.Store(false)
	s.mu.Lock()
	s.me = s.cfg.Consumer + "#" + strconv.Itoa(o.lives)
	s.mu.Unlock()
	return nil
}
