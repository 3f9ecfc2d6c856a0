package prometheus_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/telemetry/prometheus"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"

	client "github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape returns what the exporter serves.
func scrape(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET = %d, %v: %s", response.StatusCode, err, body)
	}
	return string(body)
}

func newExporter(t testing.TB, cfg prometheus.Config) (*prometheus.Exporter, *telemetry.Telemetry) {
	t.Helper()
	exporter, err := prometheus.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exporter.Shutdown(context.Background()) })
	tel, err := telemetry.New(telemetry.Config{MeterProvider: exporter.MeterProvider(), Latency: true})
	if err != nil {
		t.Fatal(err)
	}
	return exporter, tel
}

func TestExporterServesWhatIsToBeSeen(t *testing.T) {
	exporter, tel := newExporter(t, prometheus.Config{})
	rt := troupetest.New(t, runtime.Config{Name: "shop", Instrument: tel.Instrument()})
	if _, err := tel.Watch(rt.Runtime); err != nil {
		t.Fatal(err)
	}
	topic, err := topics.Open[int](rt.Runtime, "orders.placed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Subscribe("billing", func(_ context.Context, ev int) error {
		if ev == 2 {
			panic(errors.New("boom"))
		}
		return nil
	}, topics.SubscriberConfig{}); err != nil {
		t.Fatal(err)
	}
	for ev := range 4 {
		if err := topic.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	rt.Idle()
	body := scrape(t, exporter)
	const who = `messaging_destination_name="orders.placed",messaging_destination_subscription_name="billing"`
	for _, want := range []string{
		`# TYPE troupe_mailbox_depth gauge`,
		`# TYPE troupe_delivery_outcomes_total counter`,
		`# TYPE messaging_process_duration_seconds histogram`,
		`troupe_mailbox_depth{` + who + `,troupe_runtime="shop"} 0`,
		`troupe_mailbox_capacity{` + who + `,troupe_runtime="shop"} 4096`,
		`troupe_mailbox_age_seconds{` + who + `,troupe_runtime="shop"} 0`,
		`troupe_delivery_outcomes_total{` + who + `,troupe_outcome="done",troupe_runtime="shop"} 3`,
		`troupe_delivery_outcomes_total{` + who + `,troupe_outcome="dead_lettered",troupe_reason="attempts_exhausted",troupe_runtime="shop"} 1`,
		`troupe_delivery_retries_total{` + who + `,troupe_runtime="shop"} 4`,
		`troupe_subscriber_restarts_total{` + who + `,troupe_runtime="shop"} 5`,
		`troupe_subscriber_state{` + who + `,troupe_runtime="shop",troupe_state="idle"} 1`,
		`messaging_client_sent_messages_total{messaging_destination_name="orders.placed",messaging_operation_name="publish",messaging_system="troupe",troupe_runtime="shop"} 4`,
		`messaging_process_duration_seconds_count{` + who + `,messaging_operation_name="process",messaging_system="troupe"} 3`,
		`messaging_process_duration_seconds_count{error_type="panic",` + who + `,messaging_operation_name="process",messaging_system="troupe"} 5`,
		`troupe_mailbox_wait_duration_seconds_count{` + who + `} 4`,
		`troupe_runtime_running{troupe_runtime="shop"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("not served: %s", want)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

// The limit of the SDK, 2000, would be in the way of a larger MaxSeries.
func TestExporterHasNoLimitOfItsOwn(t *testing.T) {
	exporter, _ := newExporter(t, prometheus.Config{})
	counter, err := exporter.MeterProvider().Meter("test").Int64Counter("many")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2200 {
		counter.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("i", i)))
	}
	body := scrape(t, exporter)
	if n := len(regexp.MustCompile(`(?m)^many_total\{`).FindAllString(body, -1)); n != 2200 || strings.Contains(body, "otel_metric_overflow") {
		t.Errorf("%d series, want 2200 without an overflow", n)
	}
}

func TestExporterSharesTheRegistryOfItsHost(t *testing.T) {
	registry := client.NewRegistry()
	hosts := client.NewCounter(client.CounterOpts{Name: "host_requests_total"})
	registry.MustRegister(hosts)
	exporter, tel := newExporter(t, prometheus.Config{Registry: registry})
	rt := troupetest.New(t, runtime.Config{})
	if _, err := tel.Watch(rt.Runtime); err != nil {
		t.Fatal(err)
	}
	body := scrape(t, exporter)
	if !strings.Contains(body, "host_requests_total 0") || !strings.Contains(body, "troupe_runtime_running") {
		t.Errorf("served:\n%s", body)
	}
}
