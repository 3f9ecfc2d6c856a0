package middleware_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/topics"
)

func TestCorrelateReadsTheHeaders(t *testing.T) {
	type ids = middleware.Correlation
	field := func(_ context.Context, ev any) string {
		if ev.(int) == 7 {
			return ""
		}
		return fmt.Sprint("o-", ev)
	}
	for _, c := range []struct {
		name    string
		ev      int
		headers map[string]string
		own     string // id of the publisher's
		id      func(context.Context, any) string
		want    ids
	}{
		{"first of its kind", 1, nil, "e1", nil, ids{"e1", "e1", ""}},
		{"a later one", 1, map[string]string{"correlation-id": "c", "causation-id": "e1"}, "e2", nil, ids{"e2", "c", "e1"}},
		{"id of the event's own", 1, nil, "e1", field, ids{"o-1", "o-1", ""}},
		{"without one it is the delivery's", 7, map[string]string{"correlation-id": "c"}, "e1", field, ids{"e1", "c", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			var got notes[ids]
			w.subscribe("s", func(ctx context.Context, _ int) error {
				ids, _ := middleware.CorrelationFrom(ctx)
				got.add(ids)
				return nil
			}, with(middleware.Correlate(middleware.CorrelateConfig{EventID: c.id})))
			if err := w.topic.PublishWith(t.Context(), c.ev, topics.Meta{Headers: c.headers, ID: c.own}); err != nil {
				t.Fatal(err)
			}
			w.Idle()
			got.want(t, "ids", c.want)
		})
	}
	if ids, ok := middleware.CorrelationFrom(t.Context()); ok {
		t.Errorf("outside of a handler: %v", ids)
	}
}

// Three handlers in a row: the correlation stays, the causation is the one before.
func TestHeadersOfACorrelationMakeAChain(t *testing.T) {
	w := newWorld(t)
	next, err := topics.Open[int](w.Runtime.Runtime, "next")
	if err != nil {
		t.Fatal(err)
	}
	var got notes[middleware.Correlation]
	handle := func(ctx context.Context, ev int) error {
		c, _ := middleware.CorrelationFrom(ctx)
		got.add(c)
		if ev == 3 {
			return nil
		}
		return next.PublishWith(ctx, ev+1, topics.Meta{Headers: c.Headers(), ID: fmt.Sprint("e", ev+1)})
	}
	correlate := with(middleware.Correlate(middleware.CorrelateConfig{}))
	w.subscribe("s", handle, correlate)
	if _, err := next.Subscribe("s", handle, correlate); err != nil {
		t.Fatal(err)
	}
	w.publishID(1, "e1")
	w.Idle()
	got.want(t, "ids", middleware.Correlation{EventID: "e1", CorrelationID: "e1"},
		middleware.Correlation{EventID: "e2", CorrelationID: "e1", CausationID: "e1"},
		middleware.Correlation{EventID: "e3", CorrelationID: "e1", CausationID: "e2"})
}
