package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/engine/postgres/internal/text"
)

// boxedType is the content type of a record as JSON.
const boxedType = "application/vnd.troupe.record+json"

// boxed is the engine as the relay sees it: its records have whole records as their
// data, so that a dead letter has all that there is to send again.
type boxed struct{ *postgres.Engine }

func (b boxed) Open(ctx context.Context, topic string) (engine.Topic, error) {
	t, err := b.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	return boxedTopic{t}, nil
}

type boxedTopic struct{ *postgres.Topic }

// Publish takes what comes back from the dead letters.
func (t boxedTopic) Publish(ctx context.Context, records []engine.Record) []error {
	open := make([]engine.Record, len(records))
	for i := range records {
		if err := (recordCodec{}).Unmarshal(records[i].Data, &open[i]); err != nil {
			return slices.Repeat([]error{err}, len(records))
		}
	}
	return t.Topic.Publish(ctx, open)
}

func (t boxedTopic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	s, err := t.Topic.Subscribe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return boxedSubscription{s.(*postgres.Subscription)}, nil
}

type boxedSubscription struct{ *postgres.Subscription }

func (s boxedSubscription) Fetch(ctx context.Context, n int) ([]*engine.Delivery, error) {
	ds, err := s.Subscription.Fetch(ctx, n)
	for _, d := range ds {
		r := &d.Record
		data, fault := recordCodec{}.Marshal(*r)
		if fault != nil {
			d.Fault = fault
			continue
		}
		r.Data, r.ContentType, r.SchemaVersion = data, boxedType, 1
	}
	return ds, err
}

// recordCodec encodes records as JSON: the data as it is if it is JSON without any
// spaces, else as base64, so that every byte comes back. Text that JSON cannot hold is
// as in the tables.
type recordCodec struct{}

type recordJSON struct {
	ID            string            `json:"id"`
	Key           string            `json:"key,omitempty"`
	Source        string            `json:"source,omitempty"`
	Type          string            `json:"type,omitempty"`
	Time          time.Time         `json:"time,omitzero"`
	ContentType   string            `json:"content_type,omitempty"`
	SchemaVersion int               `json:"schema_version,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	Data          json.RawMessage   `json:"data,omitempty"`
	Base64        []byte            `json:"data_base64,omitempty"`
}

func (recordCodec) ContentType() string { return boxedType }

func (recordCodec) Marshal(event any) ([]byte, error) {
	r, ok := event.(engine.Record)
	if !ok {
		return nil, fmt.Errorf("outbox: %T is no record", event)
	}
	x := recordJSON{
		ID: text.To(r.ID), Key: text.To(r.Key), Source: text.To(r.Source), Type: text.To(r.Type), Time: r.Time,
		ContentType: text.To(r.ContentType), SchemaVersion: r.SchemaVersion, Headers: text.Map(r.Headers, text.To),
	}
	var compact bytes.Buffer
	if json.Compact(&compact, r.Data) == nil && bytes.Equal(compact.Bytes(), r.Data) && json.Valid(r.Data) {
		x.Data = r.Data
	} else {
		x.Base64 = r.Data
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil {
		return nil, fmt.Errorf("outbox: record %s: %w", r.ID, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (recordCodec) Unmarshal(data []byte, into any) error {
	r, ok := into.(*engine.Record)
	if !ok {
		return fmt.Errorf("outbox: %T is no record", into)
	}
	var x recordJSON
	if err := json.Unmarshal(data, &x); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	switch {
	case x.ID == "":
		return fmt.Errorf("outbox: the record must have an id")
	case x.Data != nil && x.Base64 != nil:
		return fmt.Errorf("outbox: record %s: has data and data_base64: remove one", x.ID)
	}
	*r = engine.Record{
		ID: text.From(x.ID), Key: text.From(x.Key), Source: text.From(x.Source), Type: text.From(x.Type), Time: x.Time,
		ContentType: text.From(x.ContentType), SchemaVersion: x.SchemaVersion, Headers: text.Map(x.Headers, text.From), Data: x.Base64,
	}
	if x.Data != nil {
		r.Data = x.Data
	}
	return nil
}
