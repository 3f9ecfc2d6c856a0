package bench

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// Scenario names, as they appear in benchmarks, RESULTS.md and results.csv.
const (
	Throughput = "throughput" // how long until all deliveries of a closed set of events are counted
	Latency    = "latency"    // publish to handler at a fixed rate, one open-loop producer
	Idle       = "idle"       // what a subscriber costs while nothing happens
)

// Metric is a measured quantity; its value is the unit in benchmarks and in results.csv.
type Metric string

const (
	NsPerDelivery           Metric = "ns/delivery"
	AllocsPerDelivery       Metric = "allocs/delivery"
	BytesPerDelivery        Metric = "B/delivery"
	P50                     Metric = "p50-ns"  // publish to handler
	P99                     Metric = "p99-ns"  // publish to handler
	P999                    Metric = "p999-ns" // publish to handler
	DueP99                  Metric = "due-p99-ns"
	BytesPerSubscriber      Metric = "B/subscriber"
	GoroutinesPerSubscriber Metric = "goroutines/subscriber"
)

// Result holds the metrics of one run of one cell.
type Result map[Metric]float64

// Cell is one point of a scenario.
type Cell struct {
	Scenario    string
	Producers   int
	Subscribers int
	Rate        int // events per second, latency only
	Events      int // for a library with Scale 1
}

// String is "2x10", or "1x10@5000" with a rate.
func (c Cell) String() string {
	if c.Rate > 0 {
		return fmt.Sprintf("%dx%d@%d", c.Producers, c.Subscribers, c.Rate)
	}
	return fmt.Sprintf("%dx%d", c.Producers, c.Subscribers)
}

// For is the cell as l runs it: with its share of the events, or of the idle subscribers.
func (c Cell) For(l Library) Cell {
	if c.Scenario == Throughput && l.Scale > 0 {
		c.Events = max(int(float64(c.Events)*l.Scale), 100)
	}
	if c.Scenario == Idle && l.IdleSubscribers > 0 {
		c.Subscribers = l.IdleSubscribers
	}
	return c
}

// Cells lists every cell of every scenario. The events keep a run of a fast library near 100 ms, and exceed
// the ring of 64k and kelindar's limit of 50k at every fan-out, so that back-pressure is part of the figure.
func Cells() []Cell {
	events := map[int]int{1: 2_000_000, 10: 400_000, 100: 100_000}
	var cells []Cell
	for _, subs := range []int{1, 10, 100} {
		for _, producers := range []int{1, 2, 4} {
			cells = append(cells, Cell{Throughput, producers, subs, 0, events[subs]})
		}
	}
	for _, rate := range []int{5_000, 100_000} {
		for _, subs := range []int{1, 10} {
			cells = append(cells, Cell{Latency, 1, subs, rate, max(rate/5, 1500)})
		}
	}
	return append(cells, Cell{Idle, 1, 1000, 0, 1})
}

// Run puts l through c and returns what it measured, or an error if a single delivery was lost, repeated or
// altered. The events of c are run as they are; see [Cell.For].
func Run(l Library, c Cell) (Result, error) {
	var res Result
	err := withBus(l, c, nil, func(r *run) (err error) {
		switch c.Scenario {
		case Throughput:
			res, err = r.throughput(c)
		case Latency:
			res, err = r.latency(c)
		case Idle:
			res, err = r.idle(c)
		default:
			err = fmt.Errorf("scenario %q: unknown", c.Scenario)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s %v: %w", l.Name, c.Scenario, c, err)
	}
	return res, nil
}

// ErrIncomplete reports deliveries that had not happened when the run was given up.
var ErrIncomplete = errors.New("deliveries missing")

// A run without a single missing delivery takes a few seconds at most, on any machine.
const patience = 30 * time.Second

// Subscriber counts what it is handed. It relies on the library to call it serially.
type Subscriber struct {
	_       [64]byte // the counters share no cache line with those of another subscriber
	count   uint64
	sum     uint64 // of the IDs, so that a loss and a duplicate do not cancel out
	alert   uint64 // the count from which Handle has more to do
	want    uint64
	wantSum uint64
	observe func(Event)
	run     *run
	_       [64]byte
}

// Handle is the whole work of a handler. It is small enough to be inlined into the adapters.
func (s *Subscriber) Handle(ev Event) {
	s.count++
	s.sum += ev.ID
	if s.count >= s.alert {
		s.attend(ev)
	}
}

func (s *Subscriber) attend(ev Event) {
	if s.observe != nil {
		s.observe(ev)
	}
	switch {
	case s.count > s.want:
		s.run.surplus.Add(1)
	case s.count == s.want:
		if s.sum != s.wantSum {
			s.run.altered.Add(1)
		}
		if s.run.waiting.Add(-1) == 0 {
			s.run.done <- struct{}{}
		}
	}
}

// run is one opened bus and its subscribers.
type run struct {
	bus       Bus
	subs      []*Subscriber
	baseline  footprint
	published uint64 // IDs used so far

	done    chan struct{} // one token each time the last subscriber has counted what it waits for
	waiting atomic.Int64  // subscribers that have not
	surplus atomic.Int64  // deliveries beyond what was published
	altered atomic.Int64  // subscribers that counted right but did not see each ID once
}

// withBus opens l for c, runs body, closes the bus, waits for its goroutines and judges the counts.
func withBus(l Library, c Cell, observe func(sub int) func(Event), body func(*run) error) error {
	r := &run{subs: make([]*Subscriber, c.Subscribers), done: make(chan struct{}, 1)}
	for i := range r.subs {
		r.subs[i] = &Subscriber{run: r}
		if observe != nil {
			r.subs[i].observe = observe(i)
		}
	}
	r.baseline = measure() // also collects the garbage of the run before
	var err error
	if r.bus, err = l.Open(c.Producers, r.subs); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	err = body(r)
	closed := make(chan error, 1)
	go func() { closed <- r.bus.Close() }()
	select {
	case closeErr := <-closed:
		err = errors.Join(err, closeErr)
	case <-time.After(patience):
		return errors.Join(err, errors.New("close: does not return"))
	}
	if left := r.settle(2 * time.Second); left > 0 {
		err = errors.Join(err, fmt.Errorf("close: %d goroutines left", left))
	} else if errors.Is(err, ErrIncomplete) {
		err = fmt.Errorf("%w: %s", err, r.missing())
	}
	if n := r.surplus.Load(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d deliveries too many", n))
	}
	if n := r.altered.Load(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d subscribers did not get each event once", n))
	}
	return err
}

// settle waits until the goroutines of the bus are gone and returns how many stayed.
func (r *run) settle(limit time.Duration) int {
	deadline := time.Now().Add(limit)
	for {
		left := runtime.NumGoroutine() - r.baseline.goroutines
		if left <= 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// missing reads the counters of a run that failed. Its goroutines are gone.
func (r *run) missing() string {
	var got, want uint64
	for _, s := range r.subs {
		got, want = got+s.count, want+s.want
	}
	return fmt.Sprintf("%d of %d counted", got, want)
}

// phase publishes n events with the given producers and returns the time until the last one is counted.
func (r *run) phase(producers int, n int, produce func(first, end, step uint64) error) (time.Duration, error) {
	from, end := r.published, r.published+uint64(n)
	r.published = end
	r.waiting.Store(int64(len(r.subs)))
	for _, s := range r.subs {
		s.want, s.wantSum = end, end*(end-1)/2
		s.alert = s.want
		if s.observe != nil {
			s.alert = 0
		}
	}
	gate, errs := make(chan struct{}), make(chan error, producers)
	for p := range uint64(producers) {
		go func() {
			<-gate
			errs <- produce(from+p, end, uint64(producers))
		}()
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	start := time.Now()
	close(gate)
	counted, finished, elapsed := false, 0, time.Duration(0)
	for !counted || finished < producers {
		select {
		case <-r.done:
			elapsed = time.Since(start)
			counted = true
		case err := <-errs:
			if err != nil {
				return 0, fmt.Errorf("publish: %w", err)
			}
			finished++
		case <-limit.C:
			return 0, fmt.Errorf("after %v: %w", patience, ErrIncomplete)
		}
	}
	return elapsed, nil
}

// flood publishes as fast as the bus takes it.
func (r *run) flood(first, end, step uint64) error {
	for id := first; id < end; id += step {
		if err := r.bus.Publish(Event{ID: id}); err != nil {
			return err
		}
	}
	return nil
}

// throughput measures the steady state: a tenth of the events goes ahead uncounted in time, so that queues
// have grown and goroutines have started.
func (r *run) throughput(c Cell) (Result, error) {
	if _, err := r.phase(c.Producers, max(c.Events/10, 1), r.flood); err != nil {
		return nil, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	elapsed, err := r.phase(c.Producers, c.Events, r.flood)
	runtime.ReadMemStats(&after)
	deliveries := float64(c.Events * c.Subscribers)
	return Result{
		NsPerDelivery:     float64(elapsed.Nanoseconds()) / deliveries,
		AllocsPerDelivery: float64(after.Mallocs-before.Mallocs) / deliveries,
		BytesPerDelivery:  float64(after.TotalAlloc-before.TotalAlloc) / deliveries,
	}, err
}

var epoch = time.Now()

// clock is monotonic and cheaper than time.Now.
func clock() int64 { return int64(time.Since(epoch)) }

// latency publishes at a fixed rate whatever the bus does. Two clocks are kept for each delivery: from just
// before Publish, and from the moment the event was due; the second one also charges a library for holding
// its publisher up. The first tenth is dropped.
func (r *run) latency(c Cell) (Result, error) {
	interval := int64(time.Second) / int64(c.Rate)
	skip := uint64(c.Events / 10)
	start := clock() + int64(time.Millisecond)
	called, due := make([][]int64, c.Subscribers), make([][]int64, c.Subscribers)
	for i, s := range r.subs {
		called[i], due[i] = make([]int64, 0, c.Events), make([]int64, 0, c.Events)
		s.observe = func(ev Event) {
			if now := clock(); ev.ID >= skip {
				called[i] = append(called[i], now-ev.At)
				due[i] = append(due[i], now-(start+int64(ev.ID)*interval))
			}
		}
	}
	_, err := r.phase(1, c.Events, func(first, end, _ uint64) error {
		for id := first; id < end; id++ {
			// Yielding while it waits, as a producer that waits for its own input does. A producer that
			// kept its processor would measure how fast Go's scheduler steals work.
			for clock() < start+int64(id)*interval {
				runtime.Gosched()
			}
			if err := r.bus.Publish(Event{ID: id, At: clock()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	fromCall, fromDue := slices.Concat(called...), slices.Concat(due...)
	slices.Sort(fromCall)
	slices.Sort(fromDue)
	return Result{
		P50:    quantile(fromCall, 0.5),
		P99:    quantile(fromCall, 0.99),
		P999:   quantile(fromCall, 0.999),
		DueP99: quantile(fromDue, 0.99),
	}, nil
}

func quantile(sorted []int64, q float64) float64 {
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)])
}

// idle measures subscribers that have handled one event, so that lazily built parts are there, and rest.
func (r *run) idle(c Cell) (Result, error) {
	if _, err := r.phase(1, 1, r.flood); err != nil {
		return nil, err
	}
	r.settle(20 * time.Millisecond) // time for those that end by themselves
	now, n := measure(), float64(c.Subscribers)
	return Result{
		BytesPerSubscriber:      float64(now.bytes-r.baseline.bytes) / n,
		GoroutinesPerSubscriber: float64(now.goroutines-r.baseline.goroutines) / n,
	}, nil
}

type footprint struct {
	bytes      int64 // live heap and stacks
	goroutines int
}

func measure() footprint {
	runtime.GC()
	runtime.GC() // the second one frees what pools and finalizers held over the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()}
}
