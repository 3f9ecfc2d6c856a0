package exchange_test

import (
	"bytes"
	"encoding/json"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter/exchange"
)

// The SDK of CloudEvents says what a valid event is, and reads the same payload.
func TestEventsAreValidCloudEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := letter().Draw(t, "letter")
		var b bytes.Buffer
		w, err := exchange.NewWriter(&b, exchange.CloudEvents)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(l); err != nil {
			t.Fatal(err)
		}
		var e cloudevents.Event
		if err := json.Unmarshal(b.Bytes(), &e); err != nil {
			t.Fatalf("%v:\n%s", err, b.Bytes())
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("%v:\n%s", err, b.Bytes())
		}
		if !bytes.Equal(e.Data(), l.Payload) {
			t.Fatalf("the payload is %q, want %q", e.Data(), l.Payload)
		}
		for name, value := range e.Extensions() {
			if err := new(cloudevents.EventContextV1).SetExtension(name, value); err != nil {
				t.Fatalf("extension %s: %v", name, err)
			}
		}

		// And what the SDK writes again is the same letter.
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		for line, err := range exchange.Read(bytes.NewReader(text), exchange.CloudEvents) {
			if err != nil {
				t.Fatalf("after the SDK: %v:\n%s", err, text)
			}
			if string(line.Letter.Payload) != string(l.Payload) && !json.Valid(l.Payload) || line.Letter.Error != l.Error || line.Letter.ID != l.ID {
				t.Fatalf("after the SDK the letter is\n%+v, want\n%+v", line.Letter, l)
			}
		}
	})
}
