package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope names the tracer and the meter.
const scope = "github.com/troupe-go/troupe/telemetry"

// Config describes a [Telemetry]. The zero value watches nothing.
type Config struct {
	// TracerProvider makes spans. Nil makes none and costs nothing.
	TracerProvider trace.TracerProvider
	// Parent makes the span of a publication the parent of those of its
	// handlers, for one readable trace, instead of a link between traces. Then
	// what is not sampled travels, too, so that its handlers are not.
	Parent bool
	// Propagator writes span contexts into headers and reads them. Nil is W3C
	// trace context.
	Propagator propagation.TextMapPropagator
	// MeterProvider makes metrics. Nil makes none.
	MeterProvider metric.MeterProvider
	// Latency adds histograms, which handlers pay for: two readings of the
	// clock and two recordings for each attempt (BenchmarkHandling).
	Latency bool
	// MaxSeries is how many subscribers of a runtime, and how many topics, have
	// series of their own; see the package. Zero is 1000.
	MaxSeries int
}

func (c Config) withDefaults() Config {
	if c.MaxSeries == 0 {
		c.MaxSeries = 1000
	}
	if c.Propagator == nil {
		c.Propagator = propagation.TraceContext{}
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	if c.MaxSeries < 1 {
		faults = append(faults, fmt.Errorf("MaxSeries %d: must be positive", c.MaxSeries))
	}
	if c.Latency && c.MeterProvider == nil {
		faults = append(faults, errors.New("Latency true: needs a MeterProvider"))
	}
	if c.Parent && c.TracerProvider == nil {
		faults = append(faults, errors.New("Parent true: needs a TracerProvider"))
	}
	return errors.Join(faults...)
}

// Telemetry is where the runtimes of a program are watched from. It is safe for
// concurrent use.
type Telemetry struct {
	cfg     Config
	tracer  trace.Tracer // nil for none
	meter   metric.Meter // nil for none
	account *instruments
	latency *latencies // nil for none

	mu      sync.Mutex
	watched map[string]bool // names of runtimes
}

// New prepares what the configuration asks for. It reports everything that is
// wrong with that at once, and what the MeterProvider refuses.
func New(cfg Config) (*Telemetry, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("telemetry: config: %w", err)
	}
	t := &Telemetry{cfg: cfg, watched: map[string]bool{}}
	if cfg.TracerProvider != nil {
		t.tracer = cfg.TracerProvider.Tracer(scope)
	}
	if cfg.MeterProvider == nil {
		return t, nil
	}
	t.meter = cfg.MeterProvider.Meter(scope)
	var err error
	if t.account, err = newInstruments(t.meter); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if cfg.Latency {
		if t.latency, err = newLatencies(t.meter, cfg.MaxSeries); err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
	}
	return t, nil
}

// Instrument returns what runtime.Config.Instrument takes: spans, if there is a
// TracerProvider, and latencies, if they are asked for. Without both it is the
// zero value, which costs nothing.
func (t *Telemetry) Instrument() actors.Instrument {
	var in actors.Instrument
	if t.tracer != nil {
		in.Publishing = func(topic string) actors.Publishing { return newPublishing(t, topic) }
	}
	if t.tracer != nil || t.latency != nil {
		in.Handling = t.handling
	}
	return in
}

func (t *Telemetry) handling(topic, subscriber string) actors.Handling {
	var both around
	if t.latency != nil {
		both.latency = t.latency.of(topic, subscriber)
	}
	if t.tracer == nil {
		return both.latency
	}
	both.trace = newProcessing(t, topic, subscriber)
	if t.latency == nil {
		return both.trace
	}
	return &both
}

// around is a span with the latencies in it, so that these have exemplars.
type around struct {
	trace   *processing
	latency *latency
}

// Begin makes around an actors.Handling.
func (a *around) Begin(ctx context.Context) context.Context {
	return a.latency.Begin(a.trace.Begin(ctx))
}

// End ends the span whatever becomes of the latencies.
func (a *around) End(ctx context.Context, took time.Duration, err error) {
	defer a.trace.End(ctx, took, err)
	a.latency.End(ctx, took, err)
}
