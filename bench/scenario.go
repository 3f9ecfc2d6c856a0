package bench

import (
	"fmt"
	"time"
)

// Scenario names, as they appear in benchmarks, RESULTS.md and results.csv.
const (
	Throughput = "throughput" // how long until all deliveries of a closed set of events are counted
	Latency    = "latency"    // publish to handler at a fixed rate, one open-loop producer that yields while it waits
	Load       = "load"       // the same with a producer that sleeps while it waits, and the processor time of it all
	Idle       = "idle"       // what a subscriber costs while nothing happens
	Publishing = "publishing" // what Publish takes of the publisher while no subscriber is at work
)

// Metric is a measured quantity; its value is the unit in benchmarks and in results.csv.
type Metric string

const (
	Events                  Metric = "events" // that were measured; a warm-up comes on top
	NsPerDelivery           Metric = "ns/delivery"
	AllocsPerDelivery       Metric = "allocs/delivery"
	BytesPerDelivery        Metric = "B/delivery"
	P50                     Metric = "p50-ns"  // publish to handler
	P99                     Metric = "p99-ns"  // publish to handler
	P999                    Metric = "p999-ns" // publish to handler
	DueP99                  Metric = "due-p99-ns"
	EventsPerSecond         Metric = "events/s"
	NsPerEvent              Metric = "ns/event"             // for all its deliveries
	SingleNs                Metric = "ns/event, one by one" // the same without batches
	BatchSpeedup            Metric = "times cheaper"        // an event of a batch than one by one
	BytesPerFailure         Metric = "B/failure"            // held by each
	FailuresPerSecond       Metric = "failures/s"
	Cores                   Metric = "cores" // processor time of the process per time
	BytesPerSubscriber      Metric = "B/subscriber"
	GoroutinesPerSubscriber Metric = "goroutines/subscriber"
	NsPerSubscribe          Metric = "ns/subscribe"
	NsPerUnsubscribe        Metric = "ns/unsubscribe" // of one among all the others
	NsPerClose              Metric = "ns/close"       // of the bus, by subscriber
)

// Result holds the metrics of one run of one cell.
type Result map[Metric]float64

// Cell is one point of a scenario.
type Cell struct {
	Scenario    string
	Producers   int
	Subscribers int
	Topics      int           // that the events go round, subscriber i being of topic i % Topics; 0 is one for all
	Batch       int           // events of one PublishBatch; 0 publishes them singly
	Rate        int           // events per second, of the scenarios with a fixed one
	Events      int           // to measure; 0, in the throughput scenario, for as many as take Span once the bus is warm
	Span        time.Duration // for a library with Scale 1
}

// String is "2x10", or "1x10@5000" with a rate.
func (c Cell) String() string {
	if c.Rate > 0 {
		return fmt.Sprintf("%dx%d@%d", c.Producers, c.Subscribers, c.Rate)
	}
	return fmt.Sprintf("%dx%d", c.Producers, c.Subscribers)
}

// For is the cell as l runs it: with its share of the time, or of the idle subscribers.
func (c Cell) For(l Library) Cell {
	if c.Scenario == Throughput && l.Scale > 0 {
		c.Span = time.Duration(float64(c.Span) * l.Scale)
	}
	if c.Scenario == Idle && l.IdleSubscribers > 0 {
		c.Subscribers = l.IdleSubscribers
	}
	return c
}

// Cells lists every cell that every library runs.
func Cells() []Cell {
	var cells []Cell
	for _, subs := range []int{1, 10, 100} {
		for _, producers := range []int{1, 2, 4} {
			cells = append(cells, Cell{Scenario: Throughput, Producers: producers, Subscribers: subs, Span: 300 * time.Millisecond})
		}
	}
	for _, rate := range []int{5_000, 100_000} {
		for _, subs := range []int{1, 10} {
			cells = append(cells, Cell{Scenario: Latency, Producers: 1, Subscribers: subs, Rate: rate, Events: max(rate/5, 1500)})
		}
	}
	return append(cells, Cell{Scenario: Idle, Producers: 1, Subscribers: 1000, Events: 1})
}

// Run puts l through c and returns what it measured, or an error if a single delivery was lost, repeated or
// altered. The cell is run as it is; see [Cell.For].
func Run(l Library, c Cell) (Result, error) {
	var res Result
	r, err := withBus(l, c, nil, func(r *run) (err error) {
		switch c.Scenario {
		case Throughput:
			res, err = r.throughput()
		case Latency:
			res, err = r.latency(yielding)
		case Load:
			res, err = r.load()
		case Publishing:
			res, err = r.publishing()
		case Idle:
			res, err = r.idle()
		default:
			err = fmt.Errorf("scenario %q: unknown", c.Scenario)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s %v: %w", l.Name, c.Scenario, c, err)
	}
	if c.Scenario == Idle || c.Topics > 0 {
		n, subscribing := float64(c.Subscribers), r.opening
		if bus, ok := r.bus.(interface{ Subscribing() time.Duration }); ok {
			subscribing = bus.Subscribing()
		}
		res[NsPerSubscribe], res[NsPerClose] = float64(subscribing)/n, float64(r.closing)/n
	}
	return res, nil
}
