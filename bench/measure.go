package bench

import (
	"runtime"
	"slices"
	"time"
)

// throughput measures the steady state; see [run.warmUp].
func (r *run) throughput() (Result, error) {
	n, err := r.warmUp()
	if err != nil {
		return nil, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	elapsed, err := r.phase(r.cell.Producers, n, r.flood())
	runtime.ReadMemStats(&after)
	deliveries := float64(n) * float64(r.cell.Subscribers) / float64(r.topics())
	return Result{
		Events:            float64(n),
		NsPerDelivery:     float64(elapsed.Nanoseconds()) / deliveries,
		AllocsPerDelivery: float64(after.Mallocs-before.Mallocs) / deliveries,
		BytesPerDelivery:  float64(after.TotalAlloc-before.TotalAlloc) / deliveries,
	}, err
}

// warm is how many events in a row let every queue grow to its size: kelindar's, the largest, takes 50,000, and its
// hundred subscribers allocate little after so many.
const warm = 200_000

// warmUp publishes until queues have grown and goroutines have started, and returns how many events to measure.
// Its rounds double until one has warm events and takes a quarter of the span, so that its speed tells how many
// events the span has room for. A library that would take a span for warm events is let go after half of one.
func (r *run) warmUp() (int, error) {
	if n := r.cell.Events; n > 0 {
		_, err := r.phase(r.cell.Producers, max(n/10, 1), r.flood())
		return n, err
	}
	span, start := r.cell.Span, time.Now()
	for n := max(100, r.topics()); ; n *= 2 {
		took, err := r.phase(r.cell.Producers, n, r.flood())
		if err != nil {
			return 0, err
		}
		inSpan := int(float64(n) * float64(span) / float64(took))
		if n >= warm && took > span/4 || inSpan < warm && time.Since(start) > span/2 {
			return max(inSpan, 100), nil
		}
	}
}

var epoch = time.Now()

// clock is monotonic and cheaper than time.Now.
func clock() int64 { return int64(time.Since(epoch)) }

// yielding waits as a producer does that waits for its own input beside others. A producer that kept its
// processor would measure how fast Go's scheduler steals work.
func yielding(due int64) {
	for clock() < due {
		runtime.Gosched()
	}
}

// sleeping waits without a processor. It comes late by the granularity of timers, and then catches up.
func sleeping(due int64) {
	if d := due - clock(); d > 0 {
		time.Sleep(time.Duration(d))
	}
}

// latency publishes at a fixed rate whatever the bus does. Two clocks are kept for each delivery: from just
// before Publish, and from the moment the event was due; the second one also charges a library for holding
// its publisher up. The first tenth is dropped. Of many subscribers about a hundred keep them, because more
// would be most of the work.
func (r *run) latency(wait func(due int64)) (Result, error) {
	c := r.cell
	interval := int64(time.Second) / int64(c.Rate)
	skip := uint64(c.Events / 10)
	start := clock() + int64(time.Millisecond)
	called, due := make([][]int64, c.Subscribers), make([][]int64, c.Subscribers)
	for i := 0; i < c.Subscribers; i += max(1, c.Subscribers/100) {
		called[i], due[i] = make([]int64, 0, c.Events), make([]int64, 0, c.Events)
		r.subs[i].observe = func(ev Event) {
			if now := clock(); ev.ID >= skip {
				called[i] = append(called[i], now-ev.At)
				due[i] = append(due[i], now-(start+int64(ev.ID)*interval))
			}
		}
	}
	_, err := r.phase(1, c.Events, func(first, end, _ uint64) error {
		for id := first; id < end; id++ {
			wait(start + int64(id)*interval)
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
		Events: float64(c.Events),
		P50:    quantile(fromCall, 0.5),
		P99:    quantile(fromCall, 0.99),
		P999:   quantile(fromCall, 0.999),
		DueP99: quantile(fromDue, 0.99),
	}, nil
}

func quantile(sorted []int64, q float64) float64 {
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)])
}

// load is latency with a producer that sleeps, so that the processor time is that of the work.
func (r *run) load() (Result, error) {
	used, start := processorTime(), time.Now()
	res, err := r.latency(sleeping)
	if err == nil {
		res[Cores] = float64(processorTime()-used) / float64(time.Since(start))
	}
	return res, err
}

// idle measures subscribers that have handled one event, so that lazily built parts are there, and rest.
func (r *run) idle() (Result, error) {
	if _, err := r.phase(1, 1, r.flood()); err != nil {
		return nil, err
	}
	r.settle(20 * time.Millisecond) // time for those that end by themselves
	now, n := measure(), float64(len(r.subs))
	res := Result{
		BytesPerSubscriber:      float64(now.bytes-r.baseline.bytes) / n,
		GoroutinesPerSubscriber: float64(now.goroutines-r.baseline.goroutines) / n,
	}
	if bus, ok := r.bus.(interface{ Unsubscribe(sub int) error }); ok {
		some := min(len(r.subs), 100)
		start := time.Now()
		for i := range some {
			if err := bus.Unsubscribe(i * len(r.subs) / some); err != nil {
				return nil, err
			}
		}
		res[NsPerUnsubscribe] = float64(time.Since(start)) / float64(some)
	}
	return res, nil
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
