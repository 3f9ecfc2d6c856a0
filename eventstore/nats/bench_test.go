package nats_test

import (
	"fmt"
	"testing"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/nats"
)

var load = make([]byte, 128)

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name  string
		power bool
		n     int
	}{{"one", false, 1}, {"ten", false, 10}, {"one/power-safe", true, 1}, {"ten/power-safe", true, 10}} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, nats.Config{Folder: b.TempDir(), PowerSafe: c.power})
			events := make([]eventstore.Event, c.n)
			for i := range events {
				events[i] = eventstore.Event{Type: "counted", Data: load}
			}
			at := eventstore.NoStream
			b.ReportAllocs()
			for b.Loop() {
				done, err := s.Append(b.Context(), account, at, events...)
				if err != nil {
					b.Fatal(err)
				}
				at = done.Version
			}
			if want := eventstore.Version(b.N * c.n); at < want {
				b.Fatalf("the stream is at version %d, want %d", at, want)
			}
			b.ReportMetric(float64(b.N*c.n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkFollow is the way of a projection from the start.
func BenchmarkFollow(b *testing.B) {
	const total = 50_000
	s := open(b, nats.Config{Folder: b.TempDir()})
	events := make([]eventstore.Event, eventstore.MaxAppend)
	for i := range events {
		events[i] = eventstore.Event{Type: "counted", Data: load}
	}
	for i := 0; i < total; i += len(events) {
		if _, err := s.Append(b.Context(), eventstore.Stream{Category: "account", ID: fmt.Sprint(i)}, 0, events...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := s.Follow(b.Context(), eventstore.Start)
		if err != nil {
			b.Fatal(err)
		}
		for got := 0; got < total; {
			some, err := f.Next(b.Context(), 256)
			if err != nil {
				b.Fatal(err)
			}
			got += len(some)
		}
		f.Close()
	}
	b.ReportMetric(float64(b.N*total)/b.Elapsed().Seconds(), "events/s")
}
