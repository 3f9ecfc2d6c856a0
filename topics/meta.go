package topics

import (
	"context"
	"maps"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
)

// Meta is what travels with an event beside its value.
//
// ID names the event for those who must not do the same thing twice. Give one
// that the publisher knows from elsewhere, or that [NewID] has made, if it has to
// be known here; else the event gets one by itself, see [Delivery].
type Meta = mailbox.Meta

// The headers in which an event says what it belongs to; see [Topic.PublishWith]
// and the methods of [Delivery].
const (
	HeaderCorrelation = actors.HeaderCorrelation
	HeaderCausation   = actors.HeaderCausation
)

// NewID returns a new ID for an event, for a Meta: a UUID of version 7, which sorts
// as text by the time it was made.
func NewID() string { return actors.NewID(time.Now()) }

// inherit returns a copy of the headers that says what an event follows from
// that is published with ctx.
func inherit(ctx context.Context, headers map[string]string) map[string]string {
	d, in := inHand(ctx)
	_, correlated := headers[HeaderCorrelation]
	_, caused := headers[HeaderCausation]
	if !in || correlated && caused {
		return maps.Clone(headers)
	}
	all := make(map[string]string, len(headers)+2)
	maps.Copy(all, headers)
	if !correlated {
		all[HeaderCorrelation] = d.CorrelationID()
	}
	if !caused {
		all[HeaderCausation] = d.ID()
	}
	return all
}

// inHand is DeliveryFrom for a context that may be used too late: a goroutine
// that outlives its handler had better publish before that, but must not end the
// process for the sake of two headers.
func inHand(ctx context.Context) (d Delivery, in bool) {
	defer func() {
		if recover() != nil {
			d, in = Delivery{}, false
		}
	}()
	return actors.DeliveryFrom(ctx)
}
