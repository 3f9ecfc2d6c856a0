package prometheus_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/telemetry/prometheus"
	"github.com/troupe-go/troupe/topics"
)

func Example() {
	exporter, err := prometheus.New(prometheus.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	tel, err := telemetry.New(telemetry.Config{MeterProvider: exporter.MeterProvider()})
	if err != nil {
		fmt.Println(err)
		return
	}
	rt, _ := runtime.New(runtime.Config{Name: "shop", Instrument: tel.Instrument()})
	_, _ = tel.Watch(rt)
	orders, _ := topics.Open[string](rt, "orders.placed")
	_, _ = orders.Subscribe("billing", func(context.Context, string) error { return nil })
	_ = orders.Publish(context.Background(), "o-1")
	_, _ = rt.Shutdown(context.Background())

	w := httptest.NewRecorder()
	exporter.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil)) // mux.Handle("GET /metrics", exporter)
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "troupe_delivery_outcomes_total") {
			fmt.Print(line)
		}
	}
	_ = exporter.Shutdown(context.Background())
	// Output:
	// troupe_delivery_outcomes_total{messaging_destination_name="orders.placed",messaging_destination_subscription_name="billing",troupe_outcome="done",troupe_runtime="shop"} 1
}
