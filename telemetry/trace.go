package telemetry

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/actors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The attributes that the conventions do not have.
const (
	keySequence = attribute.Key("troupe.event.sequence")
	keyAttempt  = attribute.Key("troupe.delivery.attempt")
	keyLetter   = attribute.Key("troupe.letter.id")
	keyVerdict  = attribute.Key("troupe.verdict")
)

var system = semconv.MessagingSystemKey.String("troupe")

// publishing makes the spans of publications on one topic.
type publishing struct {
	t     *Telemetry
	name  string
	kind  trace.SpanStartOption
	attrs trace.SpanStartOption
}

func newPublishing(t *Telemetry, topic string) *publishing {
	return &publishing{t: t, name: "publish " + topic, kind: trace.WithSpanKind(trace.SpanKindProducer),
		attrs: trace.WithAttributes(system, semconv.MessagingOperationName("publish"), semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(topic))}
}

// Begin makes publishing an actors.Publishing.
func (p *publishing) Begin(ctx context.Context, n int, headers map[string]string) (context.Context, map[string]string) {
	ctx, span := p.t.tracer.Start(ctx, p.name, p.kind, p.attrs)
	if n > 1 {
		span.SetAttributes(semconv.MessagingBatchMessageCount(n))
	}
	if span.SpanContext().IsSampled() || p.t.cfg.Parent {
		if headers == nil {
			headers = make(map[string]string, 2)
		}
		p.t.cfg.Propagator.Inject(ctx, propagation.MapCarrier(headers))
	}
	return ctx, headers
}

func (p *publishing) End(ctx context.Context, _ int, err error) {
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, message(err))
		span.SetAttributes(semconv.ErrorTypeKey.String(refusal(err)))
	}
}

// processing makes the spans of one subscriber's attempts.
type processing struct {
	t     *Telemetry
	name  string
	kind  trace.SpanStartOption
	attrs trace.SpanStartOption
}

func newProcessing(t *Telemetry, topic, subscriber string) *processing {
	return &processing{t: t, name: "process " + topic, kind: trace.WithSpanKind(trace.SpanKindConsumer),
		attrs: trace.WithAttributes(system, semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess,
			semconv.MessagingDestinationName(topic), semconv.MessagingDestinationSubscriptionName(subscriber))}
}

// Begin makes processing an actors.Handling.
func (p *processing) Begin(ctx context.Context) context.Context {
	d, _ := actors.DeliveryFrom(ctx)
	if len(d.Headers) > 0 {
		ctx = p.t.cfg.Propagator.Extract(ctx, propagation.MapCarrier(d.Headers))
	}
	options := make([]trace.SpanStartOption, 0, 4)
	options = append(options, p.kind, p.attrs)
	if !p.t.cfg.Parent {
		options = append(options, trace.WithNewRoot())
		if creation := trace.SpanContextFromContext(ctx); creation.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: creation}))
		}
	}
	ctx, span := p.t.tracer.Start(ctx, p.name, options...)
	if span.IsRecording() {
		span.SetAttributes(keySequence.Int64(int64(d.Sequence)), keyAttempt.Int(d.Attempt))
		if d.LetterID != "" {
			span.SetAttributes(keyLetter.String(d.LetterID))
		}
	}
	return ctx
}

func (p *processing) End(ctx context.Context, _ time.Duration, err error) {
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if err == nil || !span.IsRecording() {
		return
	}
	f := describe(err)
	if f.verdict != "" {
		span.SetAttributes(keyVerdict.String(f.verdict))
	}
	if f.verdict == verdictSkip || f.verdict == verdictFinished {
		return // it has done what it meant to
	}
	exception := []attribute.KeyValue{semconv.ExceptionType(f.typ), semconv.ExceptionMessage(f.message)}
	if f.stack != "" {
		exception = append(exception, semconv.ExceptionStacktrace(f.stack))
	}
	span.AddEvent(semconv.ExceptionEventName, trace.WithAttributes(exception...))
	span.SetStatus(codes.Error, f.message)
	span.SetAttributes(semconv.ErrorTypeKey.String(f.typ))
}
