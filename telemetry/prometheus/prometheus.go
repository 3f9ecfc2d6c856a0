// Package prometheus serves the metrics of package telemetry to Prometheus. It
// brings the OpenTelemetry SDK and the Prometheus client, which is why it is a
// package of its own.
//
//	exporter, err := prometheus.New(prometheus.Config{})
//	tel, err := telemetry.New(telemetry.Config{MeterProvider: exporter.MeterProvider(), Latency: true})
//	mux.Handle("GET /metrics", exporter)
//
// Names are those of package telemetry with underscores, units and _total, such
// as troupe_mailbox_depth, troupe_mailbox_age_seconds and
// troupe_delivery_outcomes_total.
package prometheus

import (
	"context"
	"fmt"
	"net/http"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

// Config describes an [Exporter]. The zero value works.
type Config struct {
	// Registry is what metrics are registered with and served from, such as
	// that of a host with metrics of its own. Nil is a new one.
	Registry *client.Registry
	// Options are further ones of the MeterProvider: a resource, views.
	Options []sdk.Option
}

// Exporter is an http.Handler that serves metrics in the formats of Prometheus.
// It is safe for concurrent use. Who may scrape is for the host to say.
type Exporter struct {
	provider *sdk.MeterProvider
	handler  http.Handler
}

// New returns an exporter without metrics. It listens to nothing.
func New(cfg Config) (*Exporter, error) {
	if cfg.Registry == nil {
		cfg.Registry = client.NewRegistry()
	}
	reader, err := exporter.New(exporter.WithRegisterer(cfg.Registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	// Package telemetry bounds cardinality by itself, with sums that stay right;
	// the limit of the SDK would cut off what it lets through.
	options := append([]sdk.Option{sdk.WithReader(reader), sdk.WithCardinalityLimit(0)}, cfg.Options...)
	return &Exporter{
		provider: sdk.NewMeterProvider(options...),
		handler:  promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{Registry: cfg.Registry}),
	}, nil
}

// MeterProvider is what telemetry.Config takes.
func (e *Exporter) MeterProvider() metric.MeterProvider { return e.provider }

// ServeHTTP takes what there is to measure at this moment and serves it.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.handler.ServeHTTP(w, r) }

// Shutdown ends the measurements: what is served from then on has none. See the
// MeterProvider of the SDK.
func (e *Exporter) Shutdown(ctx context.Context) error { return e.provider.Shutdown(ctx) }
