package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// Settle implements engine.Subscription. It is one round trip, whatever it settles. While
// a record's lease lasts by our clock nobody else can have it, and it is acknowledged
// with XACK, together with others; after that a script looks first whose it is. Term is
// an Ack: Redis has no place for the reason.
func (s *Subscription) Settle(ctx context.Context, settled []engine.Settlement) (late int, err error) {
	plan := s.plan(settled)
	late += plan.strangers
	if len(plan.calls) == 0 {
		return late, nil
	}
	answers, err := within(ctx, func() ([]*goredis.Cmd, error) { return s.client().do(ctx, plan.calls), nil })
	if err != nil {
		s.undo(plan)
		return late, fault(s.what+": settle", err)
	}
	for i, a := range answers {
		switch {
		case a.Err() == nil:
			late += s.done(plan.steps[i], a.Val())
		case groupGone(a.Err()):
			// There is nothing to be settled any more, which Fetch tells, and to make
			// room for.
			late += s.done(plan.steps[i], plan.steps[i].ids())
		default:
			if err == nil {
				err = a.Err()
			}
			s.mu.Lock()
			s.undoStep(plan.steps[i])
			s.mu.Unlock()
		}
	}
	return late, fault(s.what+": settle", err)
}

// step is what one call settles.
type step struct {
	holds []*hold
	acks  bool // by XACK, which answers how many; else by the script, which answers which not
}

// ids is what the script answers when all are late.
func (st step) ids() any {
	all := make([]any, len(st.holds))
	for i, h := range st.holds {
		all[i] = h.message.ID
	}
	return all
}

// settlePlan is the calls of a Settle.
type settlePlan struct {
	calls     []call
	steps     []step
	strangers int
}

// plan claims the holds for this call, so that another one does nothing about them.
func (s *Subscription) plan(settled []engine.Settlement) (p settlePlan) {
	type work struct {
		acks, marks []any
		ackHolds    []*hold
		checked     map[string][]any // by owner
		checkHolds  map[string][]*hold
	}
	closed := s.isClosed()
	works := make([]work, len(s.t.streams))
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range settled {
		h := s.holdOf(settled[i].Delivery)
		if h == nil {
			p.strangers++
			continue
		}
		if h.state != isHanded {
			continue
		}
		h.state = isSettling
		w := &works[h.shard]
		if settled[i].Verdict != engine.Nack && s.order == nil && !closed && now.Before(h.until) {
			if w.acks == nil {
				w.acks = append(make([]any, 0, 3+len(settled)-i), "XACK", s.t.streams[h.shard], s.cfg.Group)
				w.ackHolds = make([]*hold, 0, len(settled)-i)
			}
			w.acks = append(w.acks, &h.message.ID) // by its address it is not allocated anew
			w.ackHolds = append(w.ackHolds, h)
			if h.marked || h.attempt > 1 {
				w.marks = append(w.marks, h.message.ID)
			}
			continue
		}
		delay := int64(-1)
		if settled[i].Verdict == engine.Nack {
			delay = max(0, settled[i].Delay.Milliseconds())
			if due := now.Add(settled[i].Delay); due.Before(s.nextTake) {
				s.nextTake = due
			}
			if s.order != nil {
				s.order.block(h)
			}
		}
		if w.checked == nil {
			w.checked, w.checkHolds = map[string][]any{}, map[string][]*hold{}
		}
		if w.checked[h.owner] == nil {
			w.checked[h.owner] = []any{s.cfg.Group, h.owner, s.shardLease()}
		}
		w.checked[h.owner] = append(w.checked[h.owner], h.message.ID, padded(h.message.ID), h.attempt, delay)
		w.checkHolds[h.owner] = append(w.checkHolds[h.owner], h)
	}
	for i := range works {
		w := &works[i]
		stream := s.t.streams[i]
		if len(w.marks) > 0 { // before, so that no mark outlives its record
			p.calls = append(p.calls, call{args: append([]any{"HDEL", s.beside(i, "marks")}, w.marks...)})
			p.steps = append(p.steps, step{})
		}
		if len(w.acks) > 0 {
			p.calls = append(p.calls, call{args: w.acks})
			p.steps = append(p.steps, step{holds: w.ackHolds, acks: true})
		}
		for owner, args := range w.checked {
			p.calls = append(p.calls, call{
				script: settleScript,
				keys:   []string{stream, s.beside(i, "returned"), s.beside(i, "marks"), s.beside(i, "owner")},
				args:   args,
			})
			p.steps = append(p.steps, step{holds: w.checkHolds[owner]})
		}
	}
	return p
}

// shardLease is for how long a settlement renews the ownership of its shard, 0 without.
func (s *Subscription) shardLease() int64 {
	if s.order == nil {
		return 0
	}
	return s.cfg.Lease.Milliseconds()
}

// done notes what a call has settled, and returns how many were late.
func (s *Subscription) done(st step, answer any) (late int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unsure := 0
	for _, h := range st.holds {
		h.state = isSettled
		if h.unsure {
			unsure++ // that it is not there any more may be our own doing
		}
		if s.order != nil {
			delete(s.order.out, h)
		}
	}
	s.handed -= len(st.holds)
	s.settled = s.settled || len(st.holds) > 0
	select {
	case s.room <- struct{}{}:
	default:
	}
	switch {
	case len(st.holds) == 0:
		return 0
	case st.acks:
		return max(0, len(st.holds)-number(answer)-unsure)
	}
	missing := map[string]bool{}
	for _, id := range list(answer) {
		missing[text(id)] = true
	}
	for _, h := range st.holds {
		if missing[h.message.ID] {
			if s.order != nil {
				s.order.unblock(h)
			}
			if !h.unsure {
				late++
			}
		}
	}
	return late
}

func (s *Subscription) undo(p settlePlan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range p.steps {
		s.undoStep(st)
	}
}

// undoStep makes the holds of a call that has failed ones that can be settled again.
func (s *Subscription) undoStep(st step) {
	for _, h := range st.holds {
		h.state = isHanded
		h.unsure = true
		if s.order != nil {
			// It may be given back or not, so what may follow it is not known.
			s.order.unblock(h)
			s.order.suspect.Store(true)
		}
	}
}

// Extend implements engine.Subscription. Records that the consumer has no more are left
// out: settling them says that they are late.
func (s *Subscription) Extend(ctx context.Context, deliveries []*engine.Delivery) error {
	type part struct {
		shard int
		owner string
	}
	parts := map[part][]*hold{}
	s.mu.Lock()
	for _, d := range deliveries {
		if h := s.holdOf(d); h != nil && h.state == isHanded {
			p := part{h.shard, h.owner}
			parts[p] = append(parts[p], h)
		}
	}
	s.mu.Unlock()
	if len(parts) == 0 {
		return nil
	}
	var calls []call
	var holds [][]*hold
	for p, hs := range parts {
		args := []any{s.cfg.Group, p.owner, s.shardLease()}
		for _, h := range hs {
			args = append(args, h.message.ID, h.attempt)
		}
		calls = append(calls, call{
			script: extendScript, keys: []string{s.t.streams[p.shard], s.beside(p.shard, "owner")}, args: args,
		})
		holds = append(holds, hs)
	}
	until := time.Now().Add(s.cfg.Lease)
	answers, err := within(ctx, func() ([]*goredis.Cmd, error) { return s.client().do(ctx, calls), nil })
	if err != nil {
		return fault(s.what+": extend", err)
	}
	for i, a := range answers {
		if a.Err() != nil {
			err = a.Err()
			continue
		}
		s.extended(holds[i], list(a.Val()), until)
	}
	if groupGone(err) {
		return nil
	}
	return fault(s.what+": extend", err)
}

func (s *Subscription) extended(holds []*hold, kept []any, until time.Time) {
	ids := map[string]bool{}
	for _, id := range kept {
		ids[text(id)] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range holds {
		if ids[h.message.ID] {
			h.until = until
		}
	}
}
