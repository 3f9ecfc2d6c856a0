package troupetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// patience is how long is waited for anything unless the test says otherwise.
// It is what a test that is going to fail costs outside of a bubble.
const patience = 30 * time.Second

// Runtime is a runtime that belongs to a test. Its methods must be called from
// the test's goroutine; those of the embedded Runtime from anywhere.
type Runtime struct {
	*runtime.Runtime
	t    testing.TB
	late chan struct{} // has room for one: an abandoned handler has returned
}

// New starts a runtime and shuts it down when the test ends. It fails the test
// if the configuration is not valid and, at the end, if the account does not add
// up ([CheckAccount]) or a handler still runs that has been let go of.
//
// A nil Logger becomes one that writes to the test's log, from debug on. Events
// that are left at the end, at a paused subscriber for example, are no failure:
// call Shutdown and look at its report if they should be.
func New(t testing.TB, cfg ...runtime.Config) *Runtime {
	t.Helper()
	var c runtime.Config
	if len(cfg) > 0 {
		c = cfg[0]
	}
	var log *testLog
	if c.Logger == nil {
		log = &testLog{t: t}
		c.Logger = log.logger()
	}
	r := &Runtime{t: t, late: make(chan struct{}, 1)}
	c.Observer = c.Observer.And(runtime.Observer{Late: func(runtime.Event) {
		select {
		case r.late <- struct{}{}:
		default:
		}
	}})
	rt, err := runtime.New(c)
	if err != nil {
		t.Fatalf("troupetest: %v", err)
	}
	r.Runtime = rt
	t.Cleanup(func() {
		r.end()
		log.close()
	})
	return r
}

// end shuts the runtime down and checks what it leaves behind.
func (r *Runtime) end() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := r.Shutdown(ctx); err != nil {
		r.t.Errorf("troupetest: shutdown: %v", err)
		return
	}
	snap := r.Snapshot()
	for snap.Total.Zombies > 0 && ctx.Err() == nil {
		select {
		case <-r.late:
		case <-ctx.Done():
		}
		snap = r.Snapshot()
	}
	if n := snap.Total.Zombies; n > 0 {
		r.t.Errorf("troupetest: %d abandoned handlers still run: %s", n, strings.Join(zombies(snap), ", "))
	}
	CheckAccount(r.t, snap)
}

// zombies names who has handlers that still run.
func zombies(snap runtime.Snapshot) []string {
	var names []string
	for _, topic := range snap.Topics {
		for _, s := range topic.Subscribers {
			if s.Counts.Zombies > 0 {
				names = append(names, s.Topic+"/"+s.Name)
			}
		}
		if topic.Former.Zombies > 0 {
			names = append(names, topic.Name+" (former subscribers)")
		}
	}
	return names
}

// Idle waits until every event that has been published has its outcome, see
// runtime.Runtime.Idle. If that takes longer than within, by default 30 s, it
// ends the test with the names of what is busy.
func (r *Runtime) Idle(within ...time.Duration) {
	r.t.Helper()
	limit := patience
	if len(within) > 0 {
		limit = within[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := r.Runtime.Idle(ctx); err != nil {
		r.t.Fatalf("troupetest: not idle within %v: %v", limit, err)
	}
}

// Letters returns all dead letters, oldest first. It does not wait: events may
// still be on their way to become one, see [Runtime.Idle].
func (r *Runtime) Letters() []deadletter.Letter {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	letters, err := all(ctx, r.DeadLetters())
	if err != nil {
		r.t.Fatalf("troupetest: dead letters: %v", err)
	}
	return letters
}

func all(ctx context.Context, store deadletter.Store) (letters []deadletter.Letter, err error) {
	q := deadletter.Query{Limit: deadletter.MaxLimit}
	for {
		page, err := store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		letters = append(letters, page.Letters...)
		if q.After = page.Next; q.After == "" {
			break
		}
		if len(page.Letters) == 0 {
			return nil, errors.New("an empty page says that there is another")
		}
	}
	for i, j := 0, len(letters)-1; i < j; i, j = i+1, j-1 {
		letters[i], letters[j] = letters[j], letters[i]
	}
	return letters, nil
}
