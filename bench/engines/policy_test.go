package engines_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
	"github.com/troupe-go/troupe/engine/spool"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

const (
	keys   = 4                    // of a policy, a publisher for each
	pace   = 4 * time.Millisecond // of a publisher that is not held back
	pauses = 10 * time.Millisecond
)

// phase is when something was published.
type phase int32

const (
	before phase = iota
	during
	after
)

// policy is a topic with publishers under load, and what they have seen.
type policy struct {
	name  string
	topic *topics.Topic[event]
	spool *spool.Engine // nil without
	phase *atomic.Int32

	mu       sync.Mutex
	sent     [keys]int          // the next number of a key
	accepted [keys]map[int]bool // that have not arrived
	early    [keys]map[int]bool // arrived before Publish returned, or after it returned an error
	last     [keys]int          // the greatest that has arrived
	seen     int                // arrived, each once
	total    [3]int             // accepted, by phase
	refused  [3]int
	reasons  map[string]int
	again    int // arrived more than once
	disorder int
	longest  time.Duration // of a Publish
	backlog  int
}

// startPolicy opens the topic of a policy on the server, and subscribes to it.
func startPolicy(t *testing.T, name, url string, now *atomic.Int32) *policy {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p := &policy{name: name, phase: now, reasons: map[string]int{}}
	for k := range keys {
		p.accepted[k], p.early[k], p.last[k] = map[int]bool{}, map[int]bool{}, -1
	}
	var e engine.Engine
	far, err := nats.Open(ctx, nats.Config{URL: url, Prefix: name + "."})
	if err != nil {
		t.Fatal(err)
	}
	e = far
	cfg := topics.Config{Codec: raw{}, Key: topics.KeyOf(keyOf)}
	switch name {
	case "reject":
		cfg.Outage = topics.OutageReject
	case "spool":
		near, err := nats.Open(ctx, nats.Config{Folder: filepath.Join(t.TempDir(), "spool"), MaxStore: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		p.spool = spool.New(far, near, spool.Config{})
		e = p.spool
	}
	rt, err := runtime.New(runtime.Config{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := background()
		defer cancel()
		if _, err := rt.Shutdown(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := e.Close(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	cfg.Engine = e
	if p.topic, err = topics.Open[event](rt, "outage", cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := p.topic.Subscribe("handler", p.arrived); err != nil {
		t.Fatal(err)
	}
	return p
}

// An event has its key in the first 8 bytes and its number in the next.
func numberedEvent(key, n int) event {
	data := make(event, eventSize)
	binary.LittleEndian.PutUint64(data, uint64(key))
	binary.LittleEndian.PutUint64(data[8:], uint64(n))
	return data
}

func keyOf(data event) string { return fmt.Sprint(binary.LittleEndian.Uint64(data)) }

// publish publishes events of a key until ctx ends; a publication that has begun goes on.
func (p *policy) publish(ctx context.Context, key int) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		n := p.sent[key]
		p.sent[key]++
		p.mu.Unlock()
		began, when := time.Now(), phase(p.phase.Load())
		err := p.topic.Publish(context.WithoutCancel(ctx), numberedEvent(key, n))
		p.published(key, n, when, time.Since(began), err)
		if err != nil {
			time.Sleep(pauses)
		}
	}
}

func (p *policy) published(key, n int, when phase, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = max(p.longest, took)
	if p.spool != nil {
		p.backlog = max(p.backlog, p.spool.Backlog("outage"))
	}
	if err != nil {
		p.refused[when]++
		reason := err.Error()
		if errors.Is(err, engine.ErrUnavailable) {
			reason = "ErrUnavailable"
		}
		p.reasons[reason]++
		return
	}
	p.total[when]++
	if p.early[key][n] {
		delete(p.early[key], n)
		return
	}
	p.accepted[key][n] = true
}

func (p *policy) arrived(_ context.Context, data event) error {
	key, n := int(binary.LittleEndian.Uint64(data)), int(binary.LittleEndian.Uint64(data[8:]))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case n > p.last[key]:
		p.last[key] = n
		p.seen++
		if p.accepted[key][n] {
			delete(p.accepted[key], n)
		} else {
			p.early[key][n] = true
		}
	case p.accepted[key][n]: // later than one behind it
		p.disorder++
		p.seen++
		delete(p.accepted[key], n)
	default:
		p.again++
	}
	return nil
}

// missing is how many were accepted and have not arrived.
func (p *policy) missing() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.accepted {
		n += len(of)
	}
	return n
}

func (p *policy) accepts(when phase) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total[when]
}
