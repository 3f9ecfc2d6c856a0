package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A publication and what its handlers make of it are spans that know of each
// other.
func ExampleNew() {
	spans := tracetest.NewSpanRecorder() // a program has an exporter here
	tel, err := telemetry.New(telemetry.Config{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(),
		Latency:        true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	rt, err := runtime.New(runtime.Config{Name: "shop", Instrument: tel.Instrument()})
	if err != nil {
		fmt.Println(err)
		return
	}
	stop, err := tel.Watch(rt)
	if err != nil {
		fmt.Println(err)
		return
	}
	orders, _ := topics.Open[string](rt, "orders.placed")
	_, _ = orders.Subscribe("billing", func(context.Context, string) error { return nil })
	_ = orders.Publish(context.Background(), "o-1")
	_, _ = rt.Shutdown(context.Background())
	_ = stop()

	for _, s := range spans.Ended() {
		fmt.Println(s.SpanKind(), s.Name(), "links:", len(s.Links()))
	}
	// Unordered output:
	// producer publish orders.placed links: 0
	// consumer process orders.placed links: 1
}

func ExampleSlog() {
	plain := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	rt, _ := runtime.New(runtime.Config{Name: "shop", Logger: telemetry.Slog(plain)})
	orders, _ := topics.Open[string](rt, "orders.placed")
	_, _ = orders.Subscribe("billing", func(context.Context, string) error {
		return supervisor.Permanent(fmt.Errorf("no such customer"))
	})
	_ = orders.Publish(context.Background(), "o-1")
	_, _ = rt.Shutdown(context.Background())
	// Output:
	// level=INFO msg="subscriber started" runtime=shop topic=orders.placed subscriber=billing
	// level=WARN msg=dead-lettered runtime=shop topic=orders.placed subscriber=billing sequence=1 attempt=1 cause=error error="no such customer" reason=permanent
	// level=INFO msg="subscriber stopped" runtime=shop topic=orders.placed subscriber=billing reason=shutdown
}

func ExampleReady() {
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	mux := http.NewServeMux()
	mux.Handle("GET /live", telemetry.Live(rt))
	mux.Handle("GET /ready", telemetry.Ready(rt))
	mux.Handle("GET /state", telemetry.State(rt)) // not for everybody
	_, _ = rt.Shutdown(context.Background())

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready", nil))
	fmt.Println(w.Code)
	fmt.Print(w.Body)
	// Output:
	// 503
	// {
	//   "runtime": "shop",
	//   "state": "closed",
	//   "status": "fail",
	//   "faults": [
	//     {
	//       "kind": "state",
	//       "message": "runtime shop: closed"
	//     }
	//   ]
	// }
}
