package engines_test

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// growth is how many bytes of live heap an outage may add, of all three policies
// together with the server of the spool.
const growth = 48 << 20

// TestOutage kills the server while publishers of each policy are under load, and starts
// it again: everything accepted arrives, in the order of its key, and memory stays flat.
// TROUPE_OUTAGE is how long the server is away.
func TestOutage(t *testing.T) {
	away := 4 * time.Second
	if s := os.Getenv("TROUPE_OUTAGE"); s != "" {
		var err error
		if away, err = time.ParseDuration(s); err != nil || away < time.Second {
			t.Fatalf("TROUPE_OUTAGE %q: must be a duration from 1s", s)
		}
	}
	b := newBroker(t)
	var now atomic.Int32
	var all []*policy
	for _, name := range []string{"block", "reject", "spool"} {
		all = append(all, startPolicy(t, name, b.url(), &now))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	for _, p := range all {
		for key := range keys {
			work.Go(func() { p.publish(ctx, key) })
		}
	}
	pass(t, "load", 2*time.Second)
	first := sample(t, "before")

	now.Store(int32(during))
	b.kill()
	var last memory
	for n := range 6 {
		pass(t, "the outage", away/6)
		last = sample(t, "away "+(away*time.Duration(n+1)/6).Round(100*time.Millisecond).String())
	}
	b.start()
	back := time.Now()
	now.Store(int32(after))
	pass(t, "load", 2*time.Second)
	goOn(t, all)
	stop()
	work.Wait()
	arrive(t, all, back, away)
	sample(t, "after")
	if last.heap > first.heap+growth {
		t.Errorf("the live heap has grown from %d to %d bytes in the outage", first.heap, last.heap)
	}
	for _, p := range all {
		p.judge(t)
	}
}

// pass lets some time go by under load.
func pass(t *testing.T, what string, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatalf("%s ended early", what)
	}
}

// goOn waits until each policy has accepted events again: who waits for the server looks
// for it every five seconds at most.
func goOn(t *testing.T, all []*policy) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, p := range all {
		for p.accepts(after) < 100 {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d publications were accepted within 30s of the server's return, want 100", p.name, p.accepts(after))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// arrive waits until each policy has what it accepted, and says how long after the
// server was back that was.
func arrive(t *testing.T, all []*policy, back time.Time, away time.Duration) {
	t.Helper()
	deadline := time.Now().Add(time.Minute + 2*away)
	for _, p := range all {
		for p.missing() > 0 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("arrived policy=%s missing=%d after=%v", p.name, p.missing(), time.Since(back).Round(10*time.Millisecond))
	}
}

type memory struct{ heap, rss uint64 }

// sample says what lives on the heap after a collection, and what the process has of the
// machine's memory.
func sample(t *testing.T, when string) (m memory) {
	t.Helper()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.heap = stats.HeapAlloc
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseUint(fields[1], 10, 64)
			m.rss = pages * uint64(os.Getpagesize())
		}
	}
	t.Logf("memory when=%q heap=%d rss=%d goroutines=%d", when, m.heap, m.rss, runtime.NumGoroutine())
	return m
}

// judge holds a policy to what it promises.
func (p *policy) judge(t *testing.T) {
	t.Helper()
	missing := p.missing()
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Logf("policy name=%s before=%d during=%d after=%d refused=%d longest=%v backlog=%d lost=%d again=%d disorder=%d",
		p.name, p.total[before], p.total[during], p.total[after], p.refused[during]+p.refused[before]+p.refused[after],
		p.longest.Round(100*time.Microsecond), p.backlog, missing, p.again, p.disorder)
	if missing > 0 || p.disorder > 0 {
		t.Errorf("%s: %d accepted events are lost, %d are out of order", p.name, missing, p.disorder)
	}
	if p.total[before] == 0 || p.total[after] == 0 {
		t.Errorf("%s: %v accepted: nothing was published before or after: this test shows nothing", p.name, p.total)
	}
	for reason, n := range p.reasons {
		if p.name != "reject" || reason != "ErrUnavailable" {
			t.Errorf("%s: %d publications were refused: %s", p.name, n, reason)
		}
	}
	switch p.name {
	case "block":
		if p.longest < 2*time.Second {
			t.Errorf("block: the longest publication took %v: nobody has waited for the server", p.longest)
		}
	case "reject":
		if p.refused[during] == 0 {
			t.Error("reject: nothing was refused in the outage")
		}
	case "spool":
		if p.total[during] == 0 || p.backlog == 0 {
			t.Errorf("spool: %d accepted in the outage, %d in the spool at most, want some", p.total[during], p.backlog)
		}
	}
}
