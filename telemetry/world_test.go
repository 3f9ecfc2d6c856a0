package telemetry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// once makes the first failure the last.
var once = supervisor.Retry{MaxAttempts: supervisor.NoRetry}

func ok(context.Context, int) error { return nil }

func newTelemetry(t testing.TB, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func open(t testing.TB, rt *troupetest.Runtime, name string, cfg ...topics.Config) *topics.Topic[int] {
	t.Helper()
	topic, err := topics.Open[int](rt.Runtime, name, cfg...)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func subscribe(t testing.TB, topic *topics.Topic[int], name string, handle topics.Handler[int], cfg ...topics.SubscriberConfig) *topics.Subscription {
	t.Helper()
	sub, err := topic.Subscribe(name, handle, cfg...)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func publish(t testing.TB, topic *topics.Topic[int], events ...int) {
	t.Helper()
	for _, ev := range events {
		if err := topic.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
}

// meters collects metrics when asked.
type meters struct {
	t        testing.TB
	reader   *sdkmetric.ManualReader
	provider *sdkmetric.MeterProvider
}

func newMeters(t testing.TB) *meters {
	reader := sdkmetric.NewManualReader()
	m := &meters{t, reader, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(0))}
	t.Cleanup(func() { _ = m.provider.Shutdown(context.Background()) })
	return m
}

// points is what one collection has found: values by metric and attributes, the
// latter in the encoding of attribute.DefaultEncoder.
type points map[string]map[string]float64

func (m *meters) collect() points {
	m.t.Helper()
	var data metricdata.ResourceMetrics
	if err := m.reader.Collect(context.Background(), &data); err != nil {
		m.t.Fatal(err)
	}
	all := points{}
	for _, scope := range data.ScopeMetrics {
		for _, metric := range scope.Metrics {
			values := map[string]float64{}
			all[metric.Name] = values
			switch d := metric.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					values[key(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					values[key(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					values[key(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					values[key(p.Attributes)] = float64(p.Count)
				}
			default:
				m.t.Fatalf("%s is a %T", metric.Name, d)
			}
		}
	}
	return all
}

// key renders attributes by their short names, in their order, without those
// that are the same everywhere.
func key(set attribute.Set) string {
	short := map[attribute.Key]string{
		"messaging.destination.name": "topic", "messaging.destination.subscription.name": "sub",
		"troupe.reason": "reason", "troupe.outcome": "outcome", "troupe.state": "state", "error.type": "error",
	}
	var list []attribute.KeyValue
	for _, kv := range set.ToSlice() {
		if name := short[kv.Key]; name != "" {
			list = append(list, attribute.String(name, kv.Value.AsString()))
		}
	}
	sorted := attribute.NewSet(list...)
	return sorted.Encoded(attribute.DefaultEncoder())
}

func (p points) want(t testing.TB, metric, attrs string, want float64) {
	t.Helper()
	got, ok := p[metric][attrs]
	if !ok || got != want {
		t.Errorf("%s{%s} = %v (there: %v), want %v; have %v", metric, attrs, got, ok, want, p[metric])
	}
}

func (p points) sum(metric string) (n float64) {
	for _, v := range p[metric] {
		n += v
	}
	return n
}
