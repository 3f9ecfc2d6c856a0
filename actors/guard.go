package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// ErrWouldDeadlock is returned to a handler whose publication or question could
// only go on after the handler itself has returned: into its own full mailbox,
// or around a circle of handlers that wait for each other.
var ErrWouldDeadlock = errors.New("actors: would deadlock")

// Guard is asked by the logs of a system whenever a publisher has to wait. It
// keeps track of which handler waits for which actors.
type Guard struct {
	// held is [SystemConfig].Held.
	held func(topics, names []string, waited time.Duration)

	mu    sync.Mutex
	waits map[*core][]*guardWait // of its handler, which may have several goroutines
}

// Admit lets handlers publish into a log that drains, so that a pipeline can
// flush.
func (g *Guard) Admit(ctx context.Context) bool { return callerOf(ctx) != nil }

// Wait makes Guard a mailbox.Gatekeeper.
func (g *Guard) Wait(ctx context.Context, full func() []any) (mailbox.Wait, error) {
	w := &guardWait{g: g, who: callerOf(ctx), full: full}
	if err := w.enter(); err != nil {
		return nil, err
	}
	w.report(0)
	return w, nil
}

// asks notes that the handler of ctx waits for the actor's answer.
func (g *Guard) asks(ctx context.Context, whom *core) (leave func(), err error) {
	w := &guardWait{g: g, who: callerOf(ctx), full: func() []any { return []any{whom} }}
	return w.Done, w.enter()
}

type guardWait struct {
	g    *Guard
	who  *core // nil outside of handlers
	full func() []any
}

func (w *guardWait) enter() error {
	if w.who == nil {
		return nil
	}
	w.g.mu.Lock()
	if w.g.waits == nil {
		w.g.waits = map[*core][]*guardWait{}
	}
	w.g.waits[w.who] = append(w.g.waits[w.who], w)
	w.g.mu.Unlock()
	if err := w.circle(); err != nil {
		w.Done()
		return err
	}
	return nil
}

// party is who can make room in a mailbox, or answer: it is stuck only if all of
// its cores are.
type party interface{ cores() []*core }

func (c *core) cores() []*core { return []*core{c} }

// circle looks for a way from the actors that this handler waits for back to it,
// through nobody who could still go on. Which mailboxes are full changes all the
// time, so it is looked up on the way.
func (w *guardWait) circle() error {
	if w.who == nil {
		return nil
	}
	waits := map[*core][]party{} // what each one that waits is waiting for
	for next := []*core{w.who}; len(next) > 0; {
		c := next[len(next)-1]
		next = next[:len(next)-1]
		if _, seen := waits[c]; seen {
			continue
		}
		for _, p := range w.g.waitsOf(c) {
			waits[c] = append(waits[c], p)
			next = append(next, p.cores()...)
		}
	}
	stuck := func(p party) bool {
		return !slices.ContainsFunc(p.cores(), func(c *core) bool { return len(waits[c]) == 0 })
	}
	for again := true; again; {
		again = false
		for c, parties := range waits {
			if len(parties) > 0 && !slices.ContainsFunc(parties, stuck) {
				waits[c], again = nil, true
			}
		}
	}
	seen := map[*core]bool{}
	for next := []*core{w.who}; len(next) > 0; {
		c := next[len(next)-1]
		next = next[:len(next)-1]
		for _, p := range waits[c] {
			if !stuck(p) {
				continue
			}
			for _, o := range p.cores() {
				if o == w.who {
					return fmt.Errorf("%w: %s waits for itself", ErrWouldDeadlock, o.name())
				}
				if !seen[o] {
					seen[o] = true
					next = append(next, o)
				}
			}
		}
	}
	return nil
}

// waitsOf returns whom the handler of c waits for.
func (g *Guard) waitsOf(c *core) []party {
	g.mu.Lock()
	waits := slices.Clone(g.waits[c])
	g.mu.Unlock()
	var parties []party
	for _, v := range waits {
		for _, o := range v.full() {
			if p, ok := o.(party); ok {
				parties = append(parties, p)
			}
		}
	}
	return parties
}

// Still looks again: the circle may have been closed by others since.
func (w *guardWait) Still(waited time.Duration) error {
	w.report(waited)
	return w.circle()
}

func (w *guardWait) Done() {
	if w.who == nil {
		return
	}
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	waits := slices.DeleteFunc(w.g.waits[w.who], func(v *guardWait) bool { return v == w })
	if len(waits) == 0 {
		delete(w.g.waits, w.who)
		return
	}
	w.g.waits[w.who] = waits
}

func (w *guardWait) report(waited time.Duration) {
	if w.g.held == nil {
		return
	}
	var topics, names []string
	for _, o := range w.full() {
		if p, ok := o.(party); ok {
			c := p.cores()[0]
			topics = append(topics, c.cfg.Topic)
			names = append(names, c.cfg.Name)
		}
	}
	if len(names) > 0 {
		w.g.held(topics, names, waited)
	}
}
