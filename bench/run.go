package bench

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// ErrIncomplete reports deliveries that had not happened when the run was given up.
var ErrIncomplete = errors.New("deliveries missing")

// Skip is the error of a run that would take too much of the machine, and says of what.
type Skip string

func (s Skip) Error() string { return string(s) }

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
	cell      Cell
	bus       Bus
	subs      []*Subscriber
	baseline  footprint
	published uint64        // IDs used so far
	opening   time.Duration // of the bus
	closing   time.Duration // of the bus

	done    chan struct{} // one token each time the last subscriber has counted what it waits for
	waiting atomic.Int64  // subscribers that have not
	surplus atomic.Int64  // deliveries beyond what was published
	altered atomic.Int64  // subscribers that counted right but did not see each ID once
}

// withBus opens l for c, runs body, closes the bus, waits for its goroutines and judges the counts.
func withBus(l Library, c Cell, observe func(sub int) func(Event), body func(*run) error) (*run, error) {
	r := &run{cell: c, subs: make([]*Subscriber, c.Subscribers), done: make(chan struct{}, 1)}
	for i := range r.subs {
		r.subs[i] = &Subscriber{run: r}
		if observe != nil {
			r.subs[i].observe = observe(i)
		}
	}
	r.baseline = measure() // also collects the garbage of the run before
	start := time.Now()
	var err error
	if r.bus, err = l.Open(c.Producers, r.subs); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	r.opening = time.Since(start)
	err = body(r)
	start = time.Now()
	closed := make(chan error, 1)
	go func() { closed <- r.bus.Close() }()
	select {
	case closeErr := <-closed:
		err = errors.Join(err, closeErr)
	case <-time.After(max(patience, 4*r.opening)): // many subscribers take their time
		return nil, errors.Join(err, errors.New("close: does not return"))
	}
	r.closing = time.Since(start)
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
	return r, err
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

func (r *run) topics() int { return max(1, r.cell.Topics) }

// expect sets what every subscriber has to have counted once all IDs below end are published, and returns how
// many of them have to count more for that.
func (r *run) expect(end uint64) (waiting int64) {
	topics := uint64(r.topics())
	for i, s := range r.subs {
		// The IDs of topic k are k, k+topics, k+2*topics and so on.
		k, before := uint64(i)%topics, s.want
		s.want = (end + topics - 1 - k) / topics
		s.wantSum = s.want*k + topics*(s.want*(s.want-1)/2)
		if s.want > before {
			waiting++
		}
		s.alert = s.want
		if s.observe != nil {
			s.alert = 0
		}
	}
	return waiting
}

// phase publishes n events with the given producers and returns the time until the last one is counted.
func (r *run) phase(producers int, n int, produce func(first, end, step uint64) error) (time.Duration, error) {
	from, end := r.published, r.published+uint64(n)
	r.published = end
	r.waiting.Store(r.expect(end))
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
func (r *run) flood() func(first, end, step uint64) error {
	if r.cell.Batch > 0 {
		return r.floodBatches
	}
	return func(first, end, step uint64) error {
		for id := first; id < end; id += step {
			if err := r.bus.Publish(Event{ID: id}); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r *run) floodBatches(first, end, step uint64) error {
	bus, ok := r.bus.(interface{ PublishBatch(evs []Event) error })
	if !ok {
		return errors.New("the library has no batches")
	}
	batch := make([]Event, 0, r.cell.Batch)
	for id := first; id < end; {
		for batch = batch[:0]; len(batch) < r.cell.Batch && id < end; id += step {
			batch = append(batch, Event{ID: id})
		}
		if err := bus.PublishBatch(batch); err != nil {
			return err
		}
	}
	return nil
}
