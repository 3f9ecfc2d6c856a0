package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// metered is a runtime whose metrics can be collected.
type metered struct {
	*troupetest.Runtime
	*meters
	stop func() error
}

func newMetered(t testing.TB, cfg telemetry.Config, rtCfg ...runtime.Config) *metered {
	t.Helper()
	w := &metered{meters: newMeters(t)}
	cfg.MeterProvider = w.provider
	tel := newTelemetry(t, cfg)
	var c runtime.Config
	if len(rtCfg) > 0 {
		c = rtCfg[0]
	}
	c.Instrument = tel.Instrument()
	w.Runtime = troupetest.New(t, c)
	var err error
	if w.stop, err = tel.Watch(w.Runtime.Runtime); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestMetricsShowTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMetered(t, telemetry.Config{})
		topic := open(t, w.Runtime, "orders")
		subscribe(t, topic, "good", ok)
		subscribe(t, topic, "bad", func(_ context.Context, ev int) error {
			switch ev {
			case 1:
				return errBoom // and again
			case 2:
				return supervisor.Permanent(errBoom)
			case 3:
				return supervisor.Skip(errBoom)
			case 4:
				panic("crash")
			}
			return nil
		}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 2}})
		subscribe(t, topic, "choosy", ok, topics.SubscriberConfig{Filter: topics.Where(func(ev int) bool { return ev > 3 })})
		newest, err := topic.Subscribe("newest", ok, topics.SubscriberConfig{Overflow: mailbox.DropOldest, Capacity: 2})
		if err != nil {
			t.Fatal(err)
		}
		newest.Pause()
		publish(t, topic, 1, 2, 3, 4, 5)
		time.Sleep(time.Minute)
		synctest.Wait()
		lonely := open(t, w.Runtime, "lonely", topics.Config{Unrouted: topics.RejectUnrouted})
		_ = lonely.Publish(t.Context(), 1)
		lost := open(t, w.Runtime, "lost", topics.Config{Unrouted: topics.DeadLetterUnrouted})
		publish(t, lost, 1)
		synctest.Wait()

		p := w.collect()
		p.want(t, "troupe.delivery.outcomes", "outcome=filtered,sub=choosy,topic=orders", 3)
		p.want(t, "messaging.client.sent.messages", "topic=orders", 5)
		p.want(t, "messaging.client.sent.messages", "topic=lonely", 0)
		p.want(t, "messaging.client.sent.messages", "error=no_subscriber,topic=lonely", 1)
		p.want(t, "messaging.client.consumed.messages", "sub=good,topic=orders", 5)
		p.want(t, "messaging.client.consumed.messages", "sub=bad,topic=orders", 1)
		p.want(t, "messaging.client.consumed.messages", "error=_OTHER,sub=bad,topic=orders", 6)
		p.want(t, "troupe.delivery.outcomes", "outcome=done,sub=good,topic=orders", 5)
		p.want(t, "troupe.delivery.outcomes", "outcome=done,sub=bad,topic=orders", 1)
		p.want(t, "troupe.delivery.outcomes", "outcome=dead_lettered,reason=attempts_exhausted,sub=bad,topic=orders", 2)
		p.want(t, "troupe.delivery.outcomes", "outcome=dead_lettered,reason=permanent,sub=bad,topic=orders", 1)
		p.want(t, "troupe.delivery.outcomes", "outcome=dropped,reason=skipped,sub=bad,topic=orders", 1)
		p.want(t, "troupe.delivery.outcomes", "outcome=dropped,reason=overflow_oldest,sub=newest,topic=orders", 3)
		p.want(t, "troupe.delivery.outcomes", `outcome=dead_lettered,reason=no_subscriber,sub=(other),topic=lost`, 1)
		p.want(t, "troupe.delivery.retries", "sub=bad,topic=orders", 2)
		p.want(t, "troupe.subscriber.restarts", "sub=bad,topic=orders", 2)
		p.want(t, "troupe.subscriber.pauses", "sub=newest,topic=orders", 1)
		p.want(t, "troupe.subscriber.state", "state=paused,sub=newest,topic=orders", 1)
		p.want(t, "troupe.mailbox.depth", "sub=newest,topic=orders", 2)
		p.want(t, "troupe.mailbox.depth", "sub=good,topic=orders", 0)
		p.want(t, "troupe.mailbox.capacity", "sub=newest,topic=orders", 2)
		p.want(t, "troupe.mailbox.age", "sub=newest,topic=orders", 60)
		p.want(t, "troupe.mailbox.age", "sub=good,topic=orders", 0)
		p.want(t, "troupe.topic.unrouted", "topic=lost", 1)
		p.want(t, "troupe.runtime.running", "", 1)
		p.want(t, "troupe.letters.waiting", "", 0)
		p.want(t, "troupe.letters.failing", "", 0)
		if _, there := p["messaging.process.duration"]; there {
			t.Error("latencies are collected, although nobody asked for them")
		}
		total := w.Snapshot().Total
		if got, want := p.sum("troupe.delivery.outcomes"), float64(total.Done+total.DeadLettered+total.TotalDropped()+total.Filtered); got != want {
			t.Errorf("outcomes = %v, want %v", got, want)
		}

		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if p := w.collect(); len(p) != 0 {
			t.Errorf("collected after stop: %v", p)
		}
	})
}

func TestMetricsOfTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrokenStore()
		w := newMetered(t, telemetry.Config{}, runtime.Config{DeadLetters: store})
		topic := open(t, w.Runtime, "t")
		subscribe(t, topic, "hangs", func(_ context.Context, ev int) error {
			if ev == 1 {
				time.Sleep(time.Hour)
			}
			return nil
		}, topics.SubscriberConfig{Timeout: time.Second, Grace: time.Second})
		slow := subscribe(t, topic, "slow", ok, topics.SubscriberConfig{Capacity: 1})
		slow.Pause()
		publish(t, topic, 1)
		held := make(chan error)
		go func() { held <- topic.Publish(t.Context(), 2) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		p := w.collect()
		p.want(t, "troupe.handler.zombies", "sub=hangs,topic=t", 1)
		p.want(t, "troupe.handler.abandoned", "sub=hangs,topic=t", 1)
		p.want(t, "troupe.delivery.parked", "sub=hangs,topic=t", 1)
		p.want(t, "troupe.letters.waiting", "", 1)
		p.want(t, "troupe.letters.failing", "", 1)
		p.want(t, "troupe.topic.publishers_waiting", "topic=t", 1)
		slow.Resume()
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		store.mend()
		time.Sleep(time.Hour)
		w.Idle()
		p = w.collect()
		p.want(t, "troupe.handler.zombies", "sub=hangs,topic=t", 0)
		p.want(t, "troupe.letters.failing", "", 0)
		p.want(t, "troupe.topic.publishers_waiting", "topic=t", 0)
		if _, err := w.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		p = w.collect()
		p.want(t, "troupe.runtime.running", "", 0)
		p.want(t, "messaging.client.sent.messages", "topic=t", 2)
	})
}

func TestLatenciesAreThoseOfAttemptsAndOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMetered(t, telemetry.Config{Latency: true, MaxSeries: 2})
		topic := open(t, w.Runtime, "t")
		for _, name := range []string{"a", "b", "c", "d"} {
			subscribe(t, topic, name, func(ctx context.Context, _ int) error {
				time.Sleep(30 * time.Millisecond)
				if d, _ := topics.DeliveryFrom(ctx); d.Attempt == 1 {
					return errBoom
				}
				return nil
			})
		}
		publish(t, topic, 1, 2)
		w.Idle()
		p := w.collect()
		p.want(t, "troupe.mailbox.wait.duration", "sub=a,topic=t", 2)
		p.want(t, "messaging.process.duration", "sub=b,topic=t", 2)
		p.want(t, "messaging.process.duration", "error=error,sub=b,topic=t", 2)
		p.want(t, "troupe.mailbox.wait.duration", "sub=(other),topic=(other)", 4)
		p.want(t, "messaging.process.duration", "sub=(other),topic=(other)", 4)
	})
}

func TestLatenciesAndTracesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		w := newMetered(t, telemetry.Config{Latency: true, TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
		topic := open(t, w.Runtime, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { panic("crash") }, topics.SubscriberConfig{Retry: once})
		publish(t, topic, 1)
		w.Idle()
		w.collect().want(t, "messaging.process.duration", "error=panic,sub=s,topic=t", 1)
		if n := len(spans.Ended()); n != 2 {
			t.Errorf("%d spans, want 2", n)
		}
	})
}

func TestWatchTwoRuntimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		tel := newTelemetry(t, telemetry.Config{MeterProvider: m.provider})
		var stops []func() error
		for _, name := range []string{"one", "two"} {
			rt := troupetest.New(t, runtime.Config{Name: name})
			stop, err := tel.Watch(rt.Runtime)
			if err != nil {
				t.Fatal(err)
			}
			stops = append(stops, stop)
			if _, err := tel.Watch(rt.Runtime); err == nil {
				t.Error("watched twice")
			}
		}
		if err := stops[0](); err != nil {
			t.Fatal(err)
		}
		rt := troupetest.New(t, runtime.Config{Name: "one"})
		if _, err := tel.Watch(rt.Runtime); err != nil {
			t.Errorf("Watch of a name that is free again: %v", err)
		}
	})
}

func TestConfigReportsEveryFaultAtOnce(t *testing.T) {
	_, err := telemetry.New(telemetry.Config{MaxSeries: -1, Latency: true, Parent: true})
	want := "telemetry: config: MaxSeries -1: must be positive\nLatency true: needs a MeterProvider\nParent true: needs a TracerProvider"
	if fmt.Sprint(err) != want {
		t.Errorf("New: %v, want %s", err, want)
	}
}

func TestNothingIsWatchedByDefault(t *testing.T) {
	tel := newTelemetry(t, telemetry.Config{})
	if in := tel.Instrument(); in.Publishing != nil || in.Handling != nil {
		t.Errorf("Instrument = %+v, want the zero value", in)
	}
	m := newMeters(t)
	if in := newTelemetry(t, telemetry.Config{MeterProvider: m.provider}).Instrument(); in.Publishing != nil || in.Handling != nil {
		t.Errorf("Instrument for metrics alone = %+v, want the zero value", in)
	}
	rt := troupetest.New(t)
	stop, err := tel.Watch(rt.Runtime)
	if err != nil || stop() != nil {
		t.Errorf("Watch without a MeterProvider: %v", err)
	}
}

var errStore = errors.New("disk full")
