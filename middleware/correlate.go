package middleware

import (
	"context"
	"strconv"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// The headers by which events are told apart and put together.
const (
	// HeaderEventID is the event's own id.
	HeaderEventID = "event-id"
	// HeaderCorrelationID is the same for all events that go back to the same first
	// one: its event id.
	HeaderCorrelationID = "correlation-id"
	// HeaderCausationID is the id of the event whose handler has published this one.
	HeaderCausationID = "causation-id"
)

// Correlation says where an event belongs.
type Correlation struct {
	// EventID is the event's own id.
	EventID string
	// CorrelationID is that of all events that go back to the same first one. For
	// that one it is its own id.
	CorrelationID string
	// CausationID is the id of the event that this one follows from; empty for the
	// first.
	CausationID string
}

// Headers returns the headers for an event that follows from this one, as for
// topics.Meta. Add its own HeaderEventID, if it has one.
func (c Correlation) Headers() map[string]string {
	return map[string]string{HeaderCorrelationID: c.CorrelationID, HeaderCausationID: c.EventID}
}

// CorrelateConfig describes a [Correlate]. The zero value works.
type CorrelateConfig struct {
	// EventID returns the id of an event, such as a field of it. Nil, and where it
	// returns nothing, is the header HeaderEventID; and for an event without that,
	// its topic and sequence number, such as orders.placed/42, which are unique in
	// the life of the topic.
	EventID func(ctx context.Context, ev any) string
}

// Correlate puts the ids of the event into the context, for [CorrelationFrom]. It
// reads HeaderCorrelationID and HeaderCausationID; an event without the first is
// the first of its kind.
//
// Price: two small allocations for each event.
func Correlate(cfg CorrelateConfig) runtime.Middleware {
	return func(next runtime.Next) runtime.Next {
		return func(ctx context.Context, ev any) error {
			d, _ := actors.DeliveryFrom(ctx)
			c := &Correlation{CorrelationID: d.Headers[HeaderCorrelationID], CausationID: d.Headers[HeaderCausationID]}
			if cfg.EventID != nil {
				c.EventID = cfg.EventID(ctx, ev)
			}
			if c.EventID == "" {
				c.EventID = d.Headers[HeaderEventID]
			}
			if c.EventID == "" && d.Topic != "" {
				c.EventID = d.Topic + "/" + strconv.FormatUint(d.Sequence, 10)
			}
			if c.CorrelationID == "" {
				c.CorrelationID = c.EventID
			}
			return next(context.WithValue(ctx, correlationKey{}, c), ev)
		}
	}
}

type correlationKey struct{}

// CorrelationFrom returns the ids of the event that ctx belongs to, false without
// [Correlate]. Unlike those of a delivery they may be read at any time.
func CorrelationFrom(ctx context.Context) (Correlation, bool) {
	if c, ok := ctx.Value(correlationKey{}).(*Correlation); ok {
		return *c, true
	}
	return Correlation{}, false
}
