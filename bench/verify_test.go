package bench_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/bench"
)

// Every adapter delivers each event to each subscriber once, serially, and in order where it claims order.
func TestLibrariesDeliverExactly(t *testing.T) {
	for _, library := range bench.Libraries() {
		t.Run(library.Name, func(t *testing.T) {
			if raceEnabled && library.Race != "" {
				t.Skip("not race free:", library.Race)
			}
			for _, producers := range []int{1, 2, 4} {
				for _, subscribers := range []int{1, 7} {
					if err := bench.Verify(library, producers, subscribers, 3000); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// Every cell runs to its end with every library, with few events.
func TestCellsCount(t *testing.T) {
	for _, cell := range bench.Cells() {
		for _, library := range bench.Libraries() {
			if raceEnabled && library.Race != "" {
				continue
			}
			cell := cell.For(library)
			cell.Events, cell.Span = min(cell.Events, 200), time.Millisecond
			if result, err := bench.Run(library, cell); err != nil || len(result) == 0 {
				t.Errorf("Run(%s, %s %v) = %v, %v", library.Name, cell.Scenario, cell, result, err)
			}
		}
	}
}

// A faulty library must not get a figure: the benchmark itself is checked against libraries that lie.
func TestRunRejects(t *testing.T) {
	tests := []struct {
		name    string
		deliver func(ev bench.Event, handle func(bench.Event))
		want    string
	}{
		{"a lost event", func(ev bench.Event, handle func(bench.Event)) {
			if ev.ID != 7 {
				handle(ev)
			}
		}, "deliveries missing"},
		{"a repeated event", func(ev bench.Event, handle func(bench.Event)) {
			handle(ev)
			if ev.ID == 149 {
				handle(ev)
			}
		}, "too many"},
		{"a repeated event in place of a lost one", func(ev bench.Event, handle func(bench.Event)) {
			if ev.ID == 7 {
				ev.ID = 6
			}
			handle(ev)
		}, "did not get each event once"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				library := bench.Library{Name: "faulty", Open: func(_ int, subs []*bench.Subscriber) (bench.Bus, error) {
					return &faultyBus{subs: subs, deliver: test.deliver}, nil
				}}
				_, err := bench.Run(library, bench.Cell{Scenario: bench.Throughput, Producers: 2, Subscribers: 3, Events: 1000})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("Run = %v, want an error with %q", err, test.want)
				}
			})
		})
	}
}

type faultyBus struct {
	mu      sync.Mutex
	subs    []*bench.Subscriber
	deliver func(bench.Event, func(bench.Event))
}

func (b *faultyBus) Publish(ev bench.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subs {
		b.deliver(ev, s.Handle)
	}
	return nil
}

func (b *faultyBus) Close() error { return nil }
