package middleware_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// byValue takes the event itself as the key.
func byValue(_ context.Context, ev any) string { return fmt.Sprint(ev) }

func TestDuplicatesAreSkippedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped notes[string]
		w := newWorld(t, runtime.Config{Observer: runtime.Observer{Dropped: func(e runtime.Event) { dropped.add(e.Reason + ": " + e.Err.Error()) }}})
		var a, b notes[int]
		dedup := middleware.Deduplicate(middleware.DeduplicateConfig{})
		w.subscribe("a", func(_ context.Context, ev int) error { a.add(ev); return nil }, with(dedup))
		// The same value: what a has seen is no duplicate for b.
		w.subscribe("b", func(_ context.Context, ev int) error { b.add(ev); return nil }, with(dedup))
		w.publishID(1, "x")
		w.publishID(2, "y")
		w.publishID(3, "x")
		w.publish(4, 4) // without an id
		w.Idle()
		synctest.Wait() // observers come last
		for name, n := range map[string]*notes[int]{"a": &a, "b": &b} {
			n.want(t, name, 1, 2, 4, 4)
			c := w.counts(name)
			wantEqual(t, name+": dropped", c.Dropped[supervisor.ReasonSkipped], 1)
			wantEqual(t, name+": done", c.Done, 4)
		}
		if d := dropped.all(); len(d) != 2 || !strings.HasPrefix(d[0], `skipped: middleware: duplicate: key "x", handled `) {
			t.Errorf("told of drops: %q", d)
		}
	})
}

func TestKeysAreForgottenAfterTheirWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at notes[time.Duration]
		w.subscribe("s", w.clocked(&at), with(middleware.Deduplicate(middleware.DeduplicateConfig{Key: byValue, Window: time.Minute})))
		for range 10 { // a duplicate does not prolong the window
			w.publish(1)
			w.Idle()
			time.Sleep(20 * time.Second)
		}
		at.want(t, "handled", 0, time.Minute, 2*time.Minute, 3*time.Minute)
	})
}

func TestOldestKeysAreEvictedBeyondMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var evicted notes[string]
		var handled notes[int]
		w.subscribe("s", func(_ context.Context, ev int) error { handled.add(ev); return nil }, with(middleware.Deduplicate(
			middleware.DeduplicateConfig{Key: byValue, Max: 2, OnEvict: func(key string, age time.Duration) { evicted.add(fmt.Sprint(key, " after ", age)) }})))
		for _, ev := range []int{1, 2, 1, 3, 2, 1} {
			w.publish(ev)
			w.Idle()
			time.Sleep(time.Second)
		}
		handled.want(t, "handled", 1, 2, 3, 1)
		evicted.want(t, "evicted", "1 after 3s", "2 after 4s")
	})
}

func TestRetryIsNoDuplicate(t *testing.T) {
	for name, fail := range map[string]func(){"error": nil, "panic": func() { panic("boom") }, "goexit": goruntime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				calls := 0
				w.factory("s", func(context.Context, int, int) error {
					if calls++; calls == 3 {
						return nil
					} else if fail != nil {
						fail()
					}
					return errBoom
				}, with(middleware.Deduplicate(middleware.DeduplicateConfig{Key: byValue})))
				w.publish(1, 1)
				w.Idle(time.Hour)
				wantEqual(t, "calls", calls, 3) // the second event is a duplicate, also for a new instance
				c := w.counts("s")
				wantEqual(t, "Done", c.Done, 1)
				wantEqual(t, "skipped", c.Dropped[supervisor.ReasonSkipped], 1)
			})
		})
	}
}

// The verdicts of the handler pass, and only what is done is remembered.
func TestOnlyWhatIsDoneIsRemembered(t *testing.T) {
	for _, c := range []struct {
		err  error
		done bool
	}{
		{nil, true}, {fmt.Errorf("a: %w", supervisor.ErrFinished), true}, {errBoom, false}, {supervisor.Skip(errBoom), false},
		{supervisor.Permanent(errBoom), false}, {supervisor.Permanent(supervisor.ErrFinished), false}, {(*slip)(nil), false},
	} {
		next := build(middleware.Deduplicate(middleware.DeduplicateConfig{Key: byValue}), func(context.Context, any) error { return c.err })
		first := next(t.Context(), 1)
		if first != c.err {
			t.Errorf("first call = %v, want it as it is", first)
		}
		second := next(t.Context(), 1)
		if got := second != c.err; got != c.done || got && (!supervisor.IsSkip(second) || !errors.Is(second, middleware.ErrDuplicate)) {
			t.Errorf("after %T: %v, want a duplicate: %v", c.err, second, c.done)
		}
	}
}

// A redrive is no duplicate of the event that failed, but it is one of an event that
// was handled after all, here by a handler that was given up.
func TestRedriveOfADuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls atomic.Int64 // of goroutines that know nothing of each other
		release := make(chan struct{})
		cfg := with(middleware.Deduplicate(middleware.DeduplicateConfig{Window: time.Hour}))
		cfg.Timeout, cfg.Grace = time.Second, time.Second
		w.subscribe("s", func(_ context.Context, ev int) error {
			if calls.Add(1) == 1 {
				return supervisor.Permanent(errBoom)
			} else if ev == 2 {
				<-release
			}
			return nil
		}, cfg)
		w.publishID(1, "a")
		w.publishID(2, "b")
		w.Idle(time.Hour)
		letters := w.Letters()
		redrive := func(l deadletter.Letter) {
			if err := w.Redrive(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
		}
		redrive(letters[0])
		redrive(letters[1])                 // while the first call is still at work on it
		time.Sleep(10*time.Second + 500*ms) // between two tries
		wantEqual(t, "RetryWait", w.counts("s").RetryWait, 1)
		close(release)
		w.Idle(time.Hour)
		c := w.counts("s")
		wantEqual(t, "calls", calls.Load(), 3)
		wantEqual(t, "Done", c.Done, 1)
		wantEqual(t, "skipped", c.Dropped[supervisor.ReasonSkipped], 1)
	})
}

// Several workers: of each key one event is handled, and one whose first try fails
// is handled by whoever has it next.
func TestDuplicatesOfSeveralWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		done, failed := map[any]int{}, map[any]bool{}
		inside := map[any]bool{}
		next := build(middleware.Deduplicate(middleware.DeduplicateConfig{Key: byValue}), func(_ context.Context, ev any) error {
			mu.Lock()
			if inside[ev] {
				t.Errorf("%v is handled twice at the same time", ev)
			}
			inside[ev] = true
			mu.Unlock()
			time.Sleep(ms)
			mu.Lock()
			defer mu.Unlock()
			inside[ev] = false
			if !failed[ev] {
				failed[ev] = true
				return errBoom
			}
			done[ev]++
			return nil
		})
		var workers sync.WaitGroup
		var skipped, postponed atomic.Int64
		for range 4 {
			workers.Go(func() {
				for ev := range 50 {
					for {
						err := next(t.Context(), ev)
						if errors.Is(err, middleware.ErrInProgress) && supervisor.IsPostponed(err) {
							postponed.Add(1)
						}
						if err == nil || supervisor.IsSkip(err) {
							if err != nil {
								skipped.Add(1)
							}
							break
						}
						time.Sleep(ms)
					}
				}
			})
		}
		workers.Wait()
		for ev := range 50 {
			wantEqual(t, fmt.Sprint("times ", ev, " was done"), done[ev], 1)
		}
		wantEqual(t, "skipped", skipped.Load(), 150)
		if postponed.Load() == 0 {
			t.Error("no duplicate was postponed")
		}
	})
}

// A call that never returns keeps its key for a window and no longer.
func TestKeyInHandIsGivenUpAfterTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		calls := 0
		next := build(middleware.Deduplicate(middleware.DeduplicateConfig{Key: byValue, Window: time.Minute}), func(context.Context, any) error {
			if calls++; calls == 1 {
				<-release
				return errBoom
			}
			return nil
		})
		go func() { _ = next(t.Context(), 1) }()
		synctest.Wait()
		if err := next(t.Context(), 1); !errors.Is(err, middleware.ErrInProgress) {
			t.Errorf("while it is in hand: %v", err)
		}
		time.Sleep(time.Minute)
		if err := next(t.Context(), 1); err != nil {
			t.Errorf("a window later: %v", err)
		}
		close(release) // what has taken its place stays
		synctest.Wait()
		if err := next(t.Context(), 1); !errors.Is(err, middleware.ErrDuplicate) {
			t.Errorf("after that: %v", err)
		}
	})
}

func TestOnEvictThatPanicsLeavesNothingInHand(t *testing.T) {
	evictions := 0
	next := build(middleware.Deduplicate(middleware.DeduplicateConfig{Key: byValue, Max: 1, OnEvict: func(string, time.Duration) {
		if evictions++; evictions == 1 {
			panic("hook")
		}
	}}), func(context.Context, any) error { return nil })
	if err := next(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := call(func() { _ = next(t.Context(), 2) }); got != "hook" {
		t.Errorf("panicked with %v, want the hook's panic", got)
	}
	if err := next(t.Context(), 2); err != nil {
		t.Errorf("after the panic: %v, want it handled", err)
	}
}

func BenchmarkDeduplicate(b *testing.B) {
	handled := 0
	next := build(middleware.Deduplicate(middleware.DeduplicateConfig{
		Key: func(_ context.Context, ev any) string { return strconv.Itoa(ev.(int)) }}),
		func(context.Context, any) error { handled++; return nil })
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		_ = next(b.Context(), n)
	}
	if handled != n {
		b.Fatalf("%d of %d handled", handled, n)
	}
}
