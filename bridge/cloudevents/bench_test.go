package cloudevents_test

import (
	"maps"
	"testing"

	"github.com/troupe-go/troupe/bridge/cloudevents"
	"github.com/troupe-go/troupe/engine"
)

// BenchmarkEnvelope seals and opens one event of each mode.
func BenchmarkEnvelope(b *testing.B) {
	for name, envelope := range map[string]engine.Envelope{"binary": engine.CloudEvents, "structured": cloudevents.Structured} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := full()
			for b.Loop() {
				headers := make(map[string]string, 12)
				body, err := envelope.Seal(&r, func(name, value string) { headers[name] = value })
				if err != nil {
					b.Fatal(err)
				}
				if got, err := envelope.Open(maps.All(headers), body); err != nil || got.ID != r.ID {
					b.Fatal(got, err)
				}
			}
		})
	}
}
