package middleware

import (
	"context"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
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
// topics.Meta: those that topics.Topic.PublishWith sets in a handler by itself,
// unless [CorrelateConfig].EventID says otherwise.
func (c Correlation) Headers() map[string]string {
	return map[string]string{actors.HeaderCorrelation: c.CorrelationID, actors.HeaderCausation: c.EventID}
}

// CorrelateConfig describes a [Correlate]. The zero value works.
type CorrelateConfig struct {
	// EventID returns the id of an event, such as a field of it. Nil, and where it
	// returns nothing, is that of the delivery, see actors.Delivery.ID.
	EventID func(ctx context.Context, ev any) string
}

// Correlate puts the ids of the event into the context, for [CorrelationFrom]. It
// reads the headers of the delivery; an event without a correlation id is the first
// of its kind.
//
// Price: three small allocations for each event.
func Correlate(cfg CorrelateConfig) runtime.Middleware {
	return func(next runtime.Next) runtime.Next {
		return func(ctx context.Context, ev any) error {
			d, _ := actors.DeliveryFrom(ctx)
			c := &Correlation{CorrelationID: d.Headers[actors.HeaderCorrelation], CausationID: d.Headers[actors.HeaderCausation]}
			if cfg.EventID != nil {
				c.EventID = cfg.EventID(ctx, ev)
			}
			if c.EventID == "" {
				c.EventID = d.ID()
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
