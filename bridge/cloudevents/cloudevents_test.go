package cloudevents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	cetest "github.com/cloudevents/sdk-go/v2/test"
	"github.com/troupe-go/troupe/bridge/cloudevents"
	"github.com/troupe-go/troupe/engine"
)

func full() engine.Record {
	return engine.Record{
		ID: "ïd 1", Key: "käy \"1\"", Source: "/shop", Type: "orders.placed", Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		ContentType: "application/json", SchemaVersion: 3, Data: []byte(`{"n":12345678901234567890}`),
		Headers: map[string]string{
			"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "ce-subject": "o-1", "ce-dataschema": "https://example.com/s",
			"ce-custom": "42",
		},
	}
}

func equal(t *testing.T, what string, got, want engine.Record) {
	t.Helper()
	if got.ID != want.ID || got.Key != want.Key || got.Source != want.Source || got.Type != want.Type || !got.Time.Equal(want.Time) ||
		got.ContentType != want.ContentType || got.SchemaVersion != want.SchemaVersion || !maps.Equal(got.Headers, want.Headers) {
		t.Errorf("%s = %+v, want %+v", what, got, want)
	}
	if !bytes.Equal(got.Data, want.Data) {
		t.Errorf("%s: data %q, want %q", what, got.Data, want.Data)
	}
}

// What the engines write, the SDK reads as the same event.
func TestSDKReadsTheBinaryMode(t *testing.T) {
	want := full()
	want.ID, want.Key = "id-1", "key-1" // the SDK does not decode what §3.1.3.2 of the binding has encoded
	headers := http.Header{}
	body, err := engine.CloudEvents.Seal(&want, headers.Set)
	if err != nil {
		t.Fatal(err)
	}
	e, err := binding.ToEvent(t.Context(), cehttp.NewMessage(headers, &closer{bytes.NewReader(body)}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := cloudevents.ToRecord(*e)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the SDK's event", got, want)
}

type closer struct{ *bytes.Reader }

func (*closer) Close() error { return nil }

// What the SDK writes, in either mode and with every kind of attribute, the engines
// read as the same event.
func TestEnginesReadWhatTheSDKWrites(t *testing.T) {
	for _, e := range cetest.Events() {
		if e.SpecVersion() != event.CloudEventsVersionV1 || len(e.ID()) == 0 {
			continue
		}
		want, err := cloudevents.ToRecord(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []struct {
			name     string
			ctx      context.Context
			envelope engine.Envelope
		}{
			{"binary", binding.WithForceBinary(t.Context()), engine.CloudEvents},
			{"structured", binding.WithForceStructured(t.Context()), cloudevents.Structured},
		} {
			req := httptest.NewRequest(http.MethodPost, "/", nil)
			if err := cehttp.WriteRequest(mode.ctx, binding.ToMessage(&e), req); err != nil {
				t.Fatal(err)
			}
			var body bytes.Buffer
			if req.Body != nil {
				body.ReadFrom(req.Body)
			}
			got, err := mode.envelope.Open(func(yield func(string, string) bool) {
				for name := range req.Header {
					if !yield(strings.ToLower(name), req.Header.Get(name)) {
						return
					}
				}
			}, body.Bytes())
			if err != nil {
				t.Errorf("%s: Open(%s) = %v", mode.name, e.ID(), err)
				continue
			}
			if mode.name == "structured" && json.Valid(want.Data) { // white space is free
				var a, b bytes.Buffer
				json.Compact(&a, got.Data)
				json.Compact(&b, want.Data)
				got.Data, want.Data = a.Bytes(), b.Bytes()
			}
			equal(t, mode.name, got, want)
		}
	}
}

// A record comes out of the structured mode as it went in.
func TestStructuredRoundTrip(t *testing.T) {
	text := full()
	text.Headers["x-other"] = " a b % é"
	raw := full()
	raw.ContentType, raw.Data = "application/octet-stream", []byte{0, 1, 0xff}
	lying := full()
	lying.Data = []byte("{not json")
	for name, want := range map[string]engine.Record{"json": text, "bytes": raw, "not what it says": lying, "no data": {ID: "1", Source: "/s", Type: "t"}} {
		headers := map[string]string{}
		body, err := cloudevents.Structured.Seal(&want, func(name, value string) { headers[name] = value })
		if err != nil {
			t.Errorf("%s: Seal() = %v", name, err)
			continue
		}
		if headers["content-type"] != cloudevents.ContentType || !json.Valid(body) {
			t.Errorf("%s: Seal() = %v, %s", name, headers, body)
		}
		got, err := cloudevents.Structured.Open(maps.All(headers), body)
		if err != nil {
			t.Errorf("%s: Open() = %v", name, err)
			continue
		}
		equal(t, name, got, want)
	}
}

// What is no event is refused, and its bytes are kept.
func TestStructuredFaults(t *testing.T) {
	sealed := map[string]string{"content-type": cloudevents.ContentType + "; charset=utf-8"}
	for _, body := range []string{`{`, `{}`, `{"specversion":"1.0","id":"","source":"/","type":"t"}`, `[]`} {
		r, err := cloudevents.Structured.Open(maps.All(sealed), []byte(body))
		if err == nil || errors.Is(err, engine.ErrNotSealed) {
			t.Errorf("Open(%s) = %+v, %v, want an error", body, r, err)
		}
	}
	r, err := cloudevents.Structured.Open(maps.All(map[string]string{"content-type": "application/json"}), []byte(`{}`))
	if !errors.Is(err, engine.ErrNotSealed) || string(r.Data) != "{}" || r.ContentType != "application/json" {
		t.Errorf("Open(foreign) = %+v, %v, want ErrNotSealed", r, err)
	}
}
