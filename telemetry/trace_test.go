package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// traced is a runtime whose spans are kept.
type traced struct {
	*troupetest.Runtime
	spans  *tracetest.SpanRecorder
	tracer trace.Tracer
}

func newTraced(t testing.TB, cfg telemetry.Config, more ...sdktrace.TracerProviderOption) *traced {
	t.Helper()
	w := &traced{spans: tracetest.NewSpanRecorder()}
	provider := sdktrace.NewTracerProvider(append(more, sdktrace.WithSpanProcessor(w.spans))...)
	w.tracer = provider.Tracer("test")
	cfg.TracerProvider = provider
	w.Runtime = troupetest.New(t, runtime.Config{Instrument: newTelemetry(t, cfg).Instrument()})
	return w
}

// named returns the spans of that name that have ended, in that order.
func (w *traced) named(name string) (spans []sdktrace.ReadOnlySpan) {
	for _, s := range w.spans.Ended() {
		if s.Name() == name {
			spans = append(spans, s)
		}
	}
	return spans
}

func (w *traced) one(t testing.TB, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := w.named(name)
	if len(spans) != 1 {
		t.Fatalf("%d spans %q, want 1", len(spans), name)
	}
	return spans[0]
}

func attr(s sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range s.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

func wantAttrs(t testing.TB, s sdktrace.ReadOnlySpan, want map[string]string) {
	t.Helper()
	for key, v := range want {
		if got := attr(s, key); got != v {
			t.Errorf("%s: %s = %q, want %q", s.Name(), key, got, v)
		}
	}
}

// wantLink checks that s is a trace of its own with a link to the publication.
func wantLink(t testing.TB, s, publication sdktrace.ReadOnlySpan) {
	t.Helper()
	if s.Parent().IsValid() || s.SpanContext().TraceID() == publication.SpanContext().TraceID() {
		t.Errorf("%s has parent %v, want none", s.Name(), s.Parent().SpanID())
	}
	if l := s.Links(); len(l) != 1 || l[0].SpanContext.SpanID() != publication.SpanContext().SpanID() {
		t.Errorf("%s has links %v, want one to %v", s.Name(), l, publication.SpanContext().SpanID())
	}
}

func TestTraceFollowsAnEventThroughTheMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		first, second := open(t, w.Runtime, "orders"), open(t, w.Runtime, "mails")
		subscribe(t, first, "billing", func(ctx context.Context, ev int) error {
			if d, ok := topics.DeliveryFrom(ctx); !ok || d.Subscriber != "billing" || d.Sequence != 1 {
				t.Errorf("DeliveryFrom = %+v, %v, want that of billing", d, ok)
			}
			_, span := w.tracer.Start(ctx, "charge")
			defer span.End()
			return second.Publish(ctx, ev)
		})
		subscribe(t, second, "mailer", ok)
		ctx, request := w.tracer.Start(t.Context(), "request")
		if err := first.Publish(ctx, 1); err != nil {
			t.Fatal(err)
		}
		request.End()
		w.Idle()

		published := w.one(t, "publish orders")
		if published.Parent().SpanID() != request.SpanContext().SpanID() || published.SpanKind() != trace.SpanKindProducer {
			t.Errorf("publish: parent %v, kind %v, want the request's, producer", published.Parent().SpanID(), published.SpanKind())
		}
		wantAttrs(t, published, map[string]string{
			"messaging.system": "troupe", "messaging.operation.name": "publish", "messaging.operation.type": "send",
			"messaging.destination.name": "orders",
		})
		process := w.one(t, "process orders")
		wantLink(t, process, published)
		if process.SpanKind() != trace.SpanKindConsumer || process.Status().Code != codes.Unset {
			t.Errorf("process: kind %v, status %v, want consumer, unset", process.SpanKind(), process.Status())
		}
		wantAttrs(t, process, map[string]string{
			"messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.destination.name": "orders",
			"messaging.destination.subscription.name": "billing", "troupe.event.sequence": "1", "troupe.delivery.attempt": "1",
		})
		// What the handler does is below its span.
		for _, name := range []string{"charge", "publish mails"} {
			if s := w.one(t, name); s.Parent().SpanID() != process.SpanContext().SpanID() {
				t.Errorf("%s: parent %v, want the handler's span", name, s.Parent().SpanID())
			}
		}
		wantLink(t, w.one(t, "process mails"), w.one(t, "publish mails"))
	})
}

func TestTraceParentByChoice(t *testing.T) {
	for _, sampled := range []bool{true, false} {
		t.Run(fmt.Sprint("sampled ", sampled), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sampler := sdktrace.ParentBased(sdktrace.AlwaysSample())
				if !sampled {
					sampler = sdktrace.ParentBased(sdktrace.NeverSample(), sdktrace.WithRemoteParentNotSampled(sdktrace.NeverSample()))
				}
				w := newTraced(t, telemetry.Config{Parent: true}, sdktrace.WithSampler(sampler))
				topic := open(t, w.Runtime, "t")
				var seen trace.SpanContext
				var headers map[string]string
				subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
					seen = trace.SpanContextFromContext(ctx)
					d, _ := topics.DeliveryFrom(ctx)
					headers = d.Headers
					return nil
				})
				publish(t, topic, 1)
				w.Idle()
				if seen.IsSampled() != sampled || headers["traceparent"] == "" {
					t.Errorf("handler: sampled %v, headers %v, want %v and a traceparent", seen.IsSampled(), headers, sampled)
				}
				if !sampled {
					return
				}
				p, c := w.one(t, "publish t"), w.one(t, "process t")
				if c.Parent().SpanID() != p.SpanContext().SpanID() || c.SpanContext().TraceID() != p.SpanContext().TraceID() || len(c.Links()) > 0 {
					t.Errorf("process: parent %v, links %v, want that of the publication and none", c.Parent().SpanID(), c.Links())
				}
			})
		})
	}
}

func TestTraceOfWhatIsNotSampledTakesNoHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{}, sdktrace.WithSampler(sdktrace.NeverSample()))
		topic := open(t, w.Runtime, "t")
		var seen []topics.Delivery
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
			d, _ := topics.DeliveryFrom(ctx)
			seen = append(seen, d)
			return nil
		})
		publish(t, topic, 1)
		if err := topic.PublishWith(t.Context(), 2, topics.Meta{Headers: map[string]string{"a": "b"}}); err != nil {
			t.Fatal(err)
		}
		w.Idle()
		if len(seen) != 2 || seen[0].Headers != nil || len(seen[1].Headers) != 1 || seen[1].Headers["a"] != "b" {
			t.Errorf("deliveries = %+v, want headers none and a=b", seen)
		}
	})
}

func TestTraceEachAttemptIsASpanLinkedToThePublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t")
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
			switch d, _ := topics.DeliveryFrom(ctx); {
			case d.LetterID != "":
				return nil
			case d.Attempt == 1:
				return errBoom
			case d.Attempt == 2:
				panic("crash")
			case d.Attempt == 3:
				goruntime.Goexit()
			}
			return supervisor.Permanent(fmt.Errorf("no such order: %w", errBoom))
		})
		publish(t, topic, 7)
		w.WantLetters(deadletter.Letter{Subscriber: "s", Reason: supervisor.ReasonPermanent})
		letter := w.Letters()[0]
		if err := w.Redrive(t.Context(), letter.ID); err != nil {
			t.Fatal(err)
		}
		w.Idle()

		published, attempts := w.one(t, "publish t"), w.named("process t")
		if len(attempts) != 5 {
			t.Fatalf("%d spans of attempts, want 5", len(attempts))
		}
		for i, want := range []struct{ attempt, errorType, message, verdict string }{
			{"1", "*errors.errorString", "boom", ""},
			{"2", "panic", "panic: crash", ""},
			{"3", "goexit", supervisor.ErrGoexit.Error(), ""},
			{"4", "*fmt.wrapError", "no such order: boom", "permanent"},
			{"1", "", "", ""},
		} {
			s := attempts[i]
			wantLink(t, s, published)
			wantAttrs(t, s, map[string]string{"troupe.delivery.attempt": want.attempt, "error.type": want.errorType, "troupe.verdict": want.verdict})
			if s.Status().Description != want.message || (s.Status().Code == codes.Error) != (want.message != "") {
				t.Errorf("attempt %d: status %+v, want %q", i, s.Status(), want.message)
			}
			if len(s.Events()) != min(1, len(want.message)) {
				t.Errorf("attempt %d: events %v", i, s.Events())
			}
		}
		stack := func(s sdktrace.ReadOnlySpan) string {
			for _, kv := range s.Events()[0].Attributes {
				if kv.Key == "exception.stacktrace" {
					return kv.Value.AsString()
				}
			}
			return ""
		}
		if got := stack(attempts[1]); !strings.HasPrefix(got, "github.com/troupe-go/troupe/telemetry_test.TestTraceEachAttempt") || strings.Contains(got, "troupe/actors") {
			t.Errorf("stack of the panic = %q, want the handler's frames alone", got)
		}
		if attr(attempts[4], "troupe.letter.id") != letter.ID {
			t.Errorf("redelivery: letter %q, want %q", attr(attempts[4], "troupe.letter.id"), letter.ID)
		}
		if !strings.Contains(letter.Headers["traceparent"], published.SpanContext().TraceID().String()) {
			t.Errorf("letter's headers = %v, want the trace of its publication", letter.Headers)
		}
	})
}

func TestTraceOfWhatMeansNoHarmIsNoError(t *testing.T) {
	for verdict, err := range map[string]error{"skip": supervisor.Skip(errBoom), "finished": supervisor.ErrFinished} {
		t.Run(verdict, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTraced(t, telemetry.Config{})
				topic := open(t, w.Runtime, "t")
				subscribe(t, topic, "s", func(context.Context, int) error { return err })
				publish(t, topic, 1)
				w.Idle()
				s := w.one(t, "process t")
				if s.Status().Code != codes.Unset || attr(s, "troupe.verdict") != verdict {
					t.Errorf("status %+v, verdict %q, want unset, %s", s.Status(), attr(s, "troupe.verdict"), verdict)
				}
			})
		})
	}
}

type nasty struct{}

func (*nasty) Error() string { panic("no message") }

func TestTraceEndsWhateverTheErrorIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return (*nasty)(nil) }, topics.SubscriberConfig{Retry: once})
		publish(t, topic, 1)
		w.Idle()
		if s := w.one(t, "process t"); s.Status().Code != codes.Error || attr(s, "error.type") != "*telemetry_test.nasty" {
			t.Errorf("status %+v, error.type %q", s.Status(), attr(s, "error.type"))
		}
	})
}

func TestTraceOfABatchIsOnePublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t")
		var handled []int
		subscribe(t, topic, "s", func(_ context.Context, ev int) error { handled = append(handled, ev); return nil })
		if n, err := topic.PublishBatch(t.Context(), []int{1, 2, 3}); n != 3 || err != nil {
			t.Fatalf("PublishBatch = %d, %v", n, err)
		}
		w.Idle()
		if !slices.Equal(handled, []int{1, 2, 3}) {
			t.Errorf("handled %v", handled)
		}
		p := w.one(t, "publish t")
		wantAttrs(t, p, map[string]string{"messaging.batch.message_count": "3"})
		if spans := w.named("process t"); len(spans) != 3 {
			t.Errorf("%d spans of handlers, want 3", len(spans))
		} else {
			for _, s := range spans {
				wantLink(t, s, p)
			}
		}
	})
}

func TestTraceOfARefusedPublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t", topics.Config{Unrouted: topics.RejectUnrouted})
		if err := topic.Publish(t.Context(), 1); !errors.Is(err, topics.ErrNoSubscriber) {
			t.Fatalf("Publish: %v", err)
		}
		if n, err := topic.PublishBatch(t.Context(), []int{1, 2}); n != 0 || !errors.Is(err, topics.ErrNoSubscriber) {
			t.Fatalf("PublishBatch = %d, %v", n, err)
		}
		if _, err := w.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := topic.Publish(t.Context(), 1); !errors.Is(err, runtime.ErrClosed) {
			t.Fatalf("Publish: %v", err)
		}
		for i, want := range []string{"no_subscriber", "no_subscriber", "closed"} {
			s := w.named("publish t")[i]
			if s.Status().Code != codes.Error || attr(s, "error.type") != want {
				t.Errorf("publish %d: status %+v, error.type %q, want %q", i, s.Status(), attr(s, "error.type"), want)
			}
		}
	})
}

func TestTraceOfActorsThatAreToldDirectly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		type question struct{ reply func(int) }
		ref, err := topics.Spawn(w.Runtime.Runtime, "counter", func() topics.Behavior[question] {
			return topics.Behavior[question]{Receive: func(ctx context.Context, q question) error {
				q.reply(42)
				return nil
			}}
		})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := actors.Ask(t.Context(), ref, func(reply func(int)) question { return question{reply} }); n != 42 || err != nil {
			t.Fatalf("Ask = %d, %v", n, err)
		}
		w.Idle()
		wantLink(t, w.one(t, "process counter"), w.one(t, "publish counter"))
	})
}

// A handler that publishes into its own full mailbox is told so, with a context
// that spans have been put into.
func TestTraceLeavesTheGuardAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t")
		var got error
		subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
			if ev == 1 {
				for got == nil {
					got = topic.Publish(ctx, 2)
				}
			}
			return nil
		}, topics.SubscriberConfig{Capacity: 1})
		publish(t, topic, 1)
		w.Idle()
		if !errors.Is(got, topics.ErrWouldDeadlock) {
			t.Errorf("Publish = %v, want ErrWouldDeadlock", got)
		}
	})
}

func TestTraceOfAnAbandonedHandlerEndsWhenItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t")
		subscribe(t, topic, "s", func(context.Context, int) error {
			time.Sleep(time.Minute)
			return nil
		}, topics.SubscriberConfig{Timeout: time.Second, Grace: time.Second})
		publish(t, topic, 1)
		time.Sleep(10 * time.Second)
		w.WantLetters(deadletter.Letter{Reason: supervisor.ReasonHung})
		if n := len(w.named("process t")); n != 0 {
			t.Errorf("%d spans have ended, want none", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := w.one(t, "process t"); s.EndTime().Sub(s.StartTime()) != time.Minute {
			t.Errorf("span took %v, want 1m", s.EndTime().Sub(s.StartTime()))
		}
	})
}

// A shutdown in the middle of everything: every span that has begun ends.
func TestTraceThroughAShutdownInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTraced(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t")
		subscribe(t, topic, "slow", func(ctx context.Context, ev int) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
				return errBoom
			}
		})
		subscribe(t, topic, "fast", ok)
		for i := range 20 {
			publish(t, topic, i)
		}
		time.Sleep(1500 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if begun, ended := len(w.spans.Started()), len(w.spans.Ended()); begun != ended || begun < 41 {
			t.Errorf("%d spans began, %d ended, want the same and 41 at least", begun, ended)
		}
	})
}

// brokenProcessor panics, as code of the program's may.
type brokenProcessor struct{}

func (brokenProcessor) OnStart(context.Context, sdktrace.ReadWriteSpan) { panic("processor") }
func (brokenProcessor) OnEnd(sdktrace.ReadOnlySpan)                     { panic("processor") }
func (brokenProcessor) Shutdown(context.Context) error                  { return nil }
func (brokenProcessor) ForceFlush(context.Context) error                { return nil }

func TestTraceProcessorThatPanicsHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(brokenProcessor{}))
		rt := troupetest.New(t, runtime.Config{Instrument: newTelemetry(t, telemetry.Config{TracerProvider: provider}).Instrument()})
		topic := open(t, rt, "t")
		handler := troupetest.NewHandler[int](t)
		subscribe(t, topic, "s", handler.Handle)
		publish(t, topic, 1, 2)
		rt.Idle()
		handler.WantEvents(1, 2)
		if c := rt.Snapshot().Total; c.Failures != 0 || c.Restarts != 0 {
			t.Errorf("counts = %+v, want no failure", c)
		}
	})
}
