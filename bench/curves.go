package bench

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

func subscribers() Curve {
	return Curve{
		Name: "subscribers", Title: "Subscribers of one topic",
		About: "One producer. From 1000 subscribers on a run is too short for the queues of kelindar to reach their limit of 50,000, so they may still be growing.",
		X:     "subscribers", Xs: []int{1, 10, 100, 1000, 10_000},
		Metrics: []Metric{NsPerDelivery},
		Plots:   []Metric{NsPerDelivery},
		Lines: flooded([]Library{troupe, channel, kelindar}, "", func(x int) Cell {
			return Cell{Producers: 1, Subscribers: x}
		}),
	}
}

func manyTopics() Curve {
	return Curve{
		Name: "topics", Title: "Topics",
		About: "One producer publishes on the topics in turn, each of which has one subscriber. A subscription includes opening its topic. " +
			"Runs are five times as long as those of other curves, and yet of a few events per topic where there are 100,000.",
		X: "topics", Xs: []int{1, 10, 100, 1000, 10_000, 100_000},
		Metrics: []Metric{NsPerDelivery, NsPerSubscribe},
		Plots:   []Metric{NsPerDelivery, NsPerSubscribe},
		Lines: []Line{{Ours, func(x int, span time.Duration) (Result, error) {
			return Run(roundRobin(x), Cell{Scenario: Throughput, Producers: 1, Subscribers: x, Topics: x, Span: 5 * span})
		}}},
	}
}

func patterns() Curve {
	return Curve{
		Name: "patterns", Title: "Patterns",
		About: "So many subscribers to patterns, of which one pattern matches the topic that one producer publishes on. Opening a topic among " +
			"them, and subscribing, is not part of a publication: patterns are matched then.",
		X: "patterns", Xs: []int{1, 10, 100, 1000, 10_000},
		Metrics: []Metric{NsPerDelivery, NsPerSubscribe},
		Plots:   []Metric{NsPerDelivery, NsPerSubscribe},
		Lines: []Line{{Ours, func(x int, span time.Duration) (Result, error) {
			var subscribing time.Duration
			res, err := Run(amongPatterns(x, &subscribing), Cell{Scenario: Throughput, Producers: 1, Subscribers: 1, Span: span})
			if err == nil {
				res[NsPerSubscribe] = float64(subscribing) / float64(x)
			}
			return res, err
		}}},
	}
}

func producers() Curve {
	compared := []Library{troupe, channel, kelindar}
	return Curve{
		Name: "producers", Title: "Producers",
		About: "Each producer is a goroutine that publishes as fast as it can, on one topic.",
		X:     "producers", Xs: []int{1, 2, 4, 8, 16, 32, 64},
		Metrics: []Metric{NsPerDelivery},
		Plots:   []Metric{NsPerDelivery},
		Lines: slices.Concat(
			flooded(compared, " x1", func(x int) Cell { return Cell{Producers: x, Subscribers: 1} }),
			flooded(compared, " x10", func(x int) Cell { return Cell{Producers: x, Subscribers: 10} })),
	}
}

func payload() Curve {
	var lines []Line
	for _, subs := range []int{1, 10} {
		cell := func(span time.Duration) Cell {
			return Cell{Scenario: Throughput, Producers: 1, Subscribers: subs, Span: span}
		}
		lines = append(lines,
			Line{fmt.Sprintf("value 1x%d", subs), func(x int, span time.Duration) (Result, error) {
				return Run(payloads[x].value, cell(span))
			}},
			Line{fmt.Sprintf("pointer 1x%d", subs), func(x int, span time.Duration) (Result, error) {
				return Run(payloads[x].pointer, cell(span))
			}})
	}
	return Curve{
		Name: "payload", Title: "Payload",
		About: "Events of that size, by value, and by pointer to a value that is allocated for each event. The handler reads the first word.",
		X:     "bytes", Xs: slices.Sorted(maps.Keys(payloads)),
		Metrics: []Metric{NsPerDelivery, BytesPerDelivery},
		Plots:   []Metric{NsPerDelivery},
		Lines:   lines,
		Cross:   [][2]string{{"pointer 1x1", "value 1x1"}, {"pointer 1x10", "value 1x10"}},
	}
}

func processors() Curve {
	var lines []Line
	for _, c := range []Cell{{Producers: 1, Subscribers: 1}, {Producers: 4, Subscribers: 1}, {Producers: 1, Subscribers: 10}, {Producers: 4, Subscribers: 10}} {
		for _, line := range flooded([]Library{troupe, channel, kelindar}, " "+c.String(), func(int) Cell { return c }) {
			lines = append(lines, Line{line.Name, func(x int, span time.Duration) (Result, error) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(x))
				return line.Run(x, span)
			}})
		}
	}
	return Curve{
		Name: "gomaxprocs", Title: "GOMAXPROCS",
		About: fmt.Sprintf("The machine has %d processors: beyond that it is oversubscribed.", runtime.NumCPU()),
		X:     "GOMAXPROCS", Xs: []int{1, 2, 4, 8},
		Metrics: []Metric{NsPerDelivery},
		Plots:   []Metric{NsPerDelivery},
		Lines:   lines,
	}
}

func batchSizes() Curve {
	return Curve{
		Name: Batches, Title: "Batches",
		About: "`PublishBatch` against `Publish`, one right after the other, until all is handled. An event includes all of its deliveries.",
		X:     "events of a batch", Xs: []int{1, 8, 64, 512},
		Metrics: []Metric{NsPerEvent, SingleNs, BatchSpeedup},
		Plots:   []Metric{NsPerEvent},
		Lines:   batched(Throughput),
	}
}

func batchPublishing() Curve {
	c := batchSizes()
	c.Name, c.Title, c.Lines = BatchPublishing, "Batches, for the publisher", batched(Publishing)
	c.About = fmt.Sprintf("The time that publishers spend in `PublishBatch` and in `Publish` while no subscriber is at work: "+
		"%d events at a time into the mailboxes of paused subscribers. Filling the slice is part of a batch.", burst)
	return c
}

// batched has a line for each number of producers and subscribers.
func batched(scenario string) (lines []Line) {
	for _, c := range []Cell{{Producers: 1, Subscribers: 1}, {Producers: 2, Subscribers: 1}, {Producers: 1, Subscribers: 10}} {
		c.Scenario = scenario
		lines = append(lines, Line{c.String(), func(x int, span time.Duration) (Result, error) {
			c.Span = span
			return batches(c, x)
		}})
	}
	return lines
}

func slow() Curve {
	rate := func(l Library) func(int, time.Duration) (Result, error) {
		return func(_ int, span time.Duration) (Result, error) {
			res, err := Run(l, Cell{Scenario: Throughput, Producers: 1, Subscribers: 9, Span: span})
			if err == nil {
				res[EventsPerSecond] = 1e9 / (9 * res[NsPerDelivery])
			}
			return res, err
		}
	}
	return Curve{
		Name: "slow", Title: "A slow subscriber",
		About:   "What nine fast subscribers get of a producer, without and with a tenth one that takes a millisecond for each event and has a mailbox of 64.",
		Xs:      []int{10},
		Metrics: []Metric{EventsPerSecond, NsPerDelivery},
		Lines: []Line{
			{"without", rate(troupe)}, {"DropOldest", rate(besideSlow(mailbox.DropOldest))}, {"Block", rate(besideSlow(mailbox.Block))},
		},
		Versus: "without",
	}
}

func wakeUps() Curve {
	var lines []Line
	for _, l := range []Library{troupe, channel, kelindar} {
		lines = append(lines, Line{l.Name, func(x int, span time.Duration) (Result, error) {
			const rate = 1000
			return Run(l, Cell{Scenario: Load, Producers: 1, Subscribers: x, Rate: rate, Events: events(rate, span)})
		}})
	}
	return Curve{
		Name: "wake-ups", Title: "Wake-ups",
		About: "An event per millisecond for 1000 subscribers that have nothing else to do: a million wake-ups per second. " +
			"The latency is that of every tenth subscriber.",
		Xs:      []int{1000},
		Metrics: []Metric{Cores, P50, P99},
		Lines:   lines,
	}
}

// events is how many come at a rate in ten spans: what is not as fast as possible is measured for longer.
func events(rate int, span time.Duration) int { return max(1, int(span.Seconds()*10*float64(rate))) }

func failurePaths() Curve {
	var lines []Line
	for _, f := range failures() {
		lines = append(lines, Line{f.name, func(_ int, span time.Duration) (Result, error) {
			return Run(f.library(), Cell{Scenario: Throughput, Producers: 1, Subscribers: 1, Span: span})
		}})
	}
	return Curve{
		Name: "failures", Title: "Failures",
		About: "What an event costs by the way it goes, 1x1 and without a backoff. Dead letters go to the memory store, which is full " +
			"and gives up its oldest for each.",
		Xs:      []int{1},
		Metrics: []Metric{NsPerDelivery, AllocsPerDelivery, BytesPerDelivery},
		Lines:   lines,
		Versus:  "handled",
	}
}

func storms() Curve {
	healthy := func(l Library, span time.Duration) (Result, error) {
		return Run(l, Cell{Scenario: Load, Producers: 1, Subscribers: 1, Rate: stormRate, Events: events(stormRate, span)})
	}
	beside := func(cfg topics.SubscriberConfig) func(int, time.Duration) (Result, error) {
		return func(_ int, span time.Duration) (Result, error) {
			var rate float64
			res, err := healthy(besideStorm(cfg, &rate), span)
			if err == nil {
				res[FailuresPerSecond] = rate
			}
			return res, err
		}
	}
	return Curve{
		Name: "storm", Title: "A storm of failures",
		About: fmt.Sprintf("A healthy subscriber with %d events/s beside one on another topic that fails at every event, of which it is offered as many: "+
			"with the default policy, which waits between its five attempts, and with one attempt, so that all are dead letters.", stormRate),
		Xs:      []int{1},
		Metrics: []Metric{Cores, P50, P99, FailuresPerSecond},
		Lines: []Line{
			{"alone", func(_ int, span time.Duration) (Result, error) {
				res, err := healthy(troupe, span)
				if err == nil {
					res[FailuresPerSecond] = 0
				}
				return res, err
			}},
			{"backoff", beside(topics.SubscriberConfig{})},
			{"dead letters", beside(lettersOnly)},
		},
		Versus: "alone",
	}
}

func failureMemory() Curve {
	later := topics.SubscriberConfig{Ordering: topics.Parked, MaxParked: heldEvents, Retry: supervisor.Retry{BaseDelay: time.Hour, MaxDelay: time.Hour}}
	return Curve{
		Name: "failure-memory", Title: "What failures hold",
		About:   "Memory of each failed event while it is kept: an event is 16 bytes, a letter has its payload in JSON, the error and the attempt.",
		Xs:      []int{heldEvents},
		Metrics: []Metric{BytesPerFailure},
		Lines: []Line{
			{"dead letter in the memory store", func(int, time.Duration) (Result, error) {
				return held(lettersOnly, func(c actors.Counts) uint64 { return c.DeadLettered })
			}},
			{"event that waits aside for its retry", func(int, time.Duration) (Result, error) {
				return held(later, func(c actors.Counts) uint64 { return c.RetryWait })
			}},
		},
	}
}

func idleSubscribers() Curve {
	const bytesEach = 12 << 10 // with what the collector lets pile up
	return Curve{
		Name: "idle-subscribers", Title: "Idle subscribers",
		About: "Subscribers of one topic that have each handled one event. Unsubscribing is that of single ones among all the others, closing that of the runtime.",
		X:     "subscribers", Xs: []int{1000, 10_000, 100_000, 1_000_000}, Once: 100_000,
		Metrics: []Metric{BytesPerSubscriber, GoroutinesPerSubscriber, NsPerSubscribe, NsPerUnsubscribe, NsPerClose},
		Plots:   []Metric{BytesPerSubscriber, NsPerSubscribe, NsPerUnsubscribe, NsPerClose},
		Lines: []Line{{Ours, func(x int, _ time.Duration) (Result, error) {
			if err := needMemory(int64(x) * bytesEach); err != nil {
				return nil, err
			}
			return Run(troupe, Cell{Scenario: Idle, Producers: 1, Subscribers: x})
		}}},
	}
}
