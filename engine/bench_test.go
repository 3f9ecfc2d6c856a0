package engine_test

import (
	"iter"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// pair is a header.
type pair struct{ name, value string }

func sealed(b *testing.B, r *engine.Record) (headers []pair) {
	b.Helper()
	if _, err := engine.CloudEvents.Seal(r, func(name, value string) { headers = append(headers, pair{name, value}) }); err != nil {
		b.Fatal(err)
	}
	return headers
}

func benchRecord() engine.Record {
	return engine.Record{
		ID: "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", Key: "customer-17", Source: "shop", Type: "orders.placed",
		Time: time.Date(2026, 11, 22, 3, 4, 5, 678901234, time.UTC), ContentType: "application/json", SchemaVersion: 3,
		Data: make([]byte, 128),
	}
}

// BenchmarkSeal is what the envelope costs a publisher for each event, without the
// engine's own form of headers.
func BenchmarkSeal(b *testing.B) {
	r := benchRecord()
	n := 0
	set := func(_, value string) { n += len(value) }
	b.ReportAllocs()
	for b.Loop() {
		if body, err := engine.CloudEvents.Seal(&r, set); err != nil || len(body) != 128 {
			b.Fatal(err)
		}
	}
	if n == 0 {
		b.Fatal("no header was set")
	}
}

// BenchmarkOpen is what it costs a consumer.
func BenchmarkOpen(b *testing.B) {
	want := benchRecord()
	headers := sealed(b, &want)
	var seq iter.Seq2[string, string] = func(yield func(string, string) bool) {
		for _, h := range headers {
			if !yield(h.name, h.value) {
				return
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := engine.CloudEvents.Open(seq, want.Data); err != nil || r.ID != want.ID || !r.Time.Equal(want.Time) {
			b.Fatal(r, err)
		}
	}
}
