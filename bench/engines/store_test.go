package engines_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/nats"
	"github.com/troupe-go/troupe/eventstore/postgres"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/runtime"
)

// stores are opened empty.
var stores = []struct {
	name string
	open func(b *testing.B) eventstore.Store
}{
	{"memory", func(*testing.B) eventstore.Store { return eventstore.NewMemory() }},
	{"nats", func(b *testing.B) eventstore.Store {
		s, err := nats.Open(b.Context(), nats.Config{Folder: b.TempDir()})
		check(b, err)
		return s
	}},
	{"postgres", func(b *testing.B) eventstore.Store {
		url := need(b, "TROUPE_POSTGRES")
		s, err := postgres.Open(b.Context(), postgres.Config{URL: url, Schema: schema(b, url)})
		check(b, err)
		return s
	}},
}

func eachStore(b *testing.B, run func(b *testing.B, s eventstore.Store)) {
	for _, one := range stores {
		b.Run(one.name, func(b *testing.B) {
			s := one.open(b)
			b.Cleanup(func() {
				ctx, cancel := background()
				defer cancel()
				if err := s.Close(ctx); err != nil {
					b.Error(err)
				}
			})
			run(b, s)
		})
	}
}

func counted(n int) []eventstore.Event {
	events := make([]eventstore.Event, n)
	for i := range events {
		events[i] = eventstore.Event{Type: "counted", Data: make([]byte, eventSize)}
	}
	return events
}

func perSecond(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s") }

// fill appends at least n events to streams of a category, a hundred at a time, and
// returns how many.
func fill(b *testing.B, s eventstore.Store, n int) (total int) {
	b.Helper()
	for ; total < n; total += 100 {
		_, err := s.Append(b.Context(), eventstore.Stream{Category: "account", ID: fmt.Sprint(total)}, eventstore.NoStream, counted(100)...)
		check(b, err)
	}
	return total
}

// BenchmarkStoreAppend appends to one stream by its version, one call after the other;
// b.N counts events.
func BenchmarkStoreAppend(b *testing.B) {
	for _, size := range []int{1, 10} {
		b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
			eachStore(b, func(b *testing.B, s eventstore.Store) {
				stream, at := eventstore.Stream{Category: "account", ID: "1"}, eventstore.NoStream
				b.ResetTimer()
				for n := 0; n < b.N; n += size {
					done, err := s.Append(b.Context(), stream, at, counted(size)...)
					check(b, err)
					at = done.Version
				}
				perSecond(b)
				if int(at) < b.N {
					b.Errorf("the stream is at %d after %d events", at, b.N)
				}
			})
		})
	}
}

// BenchmarkStoreRead reads a stream from its beginning.
func BenchmarkStoreRead(b *testing.B) {
	eachStore(b, func(b *testing.B, s eventstore.Store) {
		stream, at := eventstore.Stream{Category: "account", ID: "1"}, eventstore.NoStream
		for int(at) < b.N {
			done, err := s.Append(b.Context(), stream, at, counted(100)...)
			check(b, err)
			at = done.Version
		}
		b.ResetTimer()
		n := 0
		for ev, err := range s.Read(b.Context(), stream, 0) {
			check(b, err)
			if n++; ev.Version != eventstore.Version(n) {
				b.Fatalf("version %d, want %d", ev.Version, n)
			}
			if n == b.N {
				break
			}
		}
		perSecond(b)
		if n != b.N {
			b.Errorf("%d events, want %d", n, b.N)
		}
	})
}

// BenchmarkStoreCatchUp follows all streams from the beginning.
func BenchmarkStoreCatchUp(b *testing.B) {
	eachStore(b, func(b *testing.B, s eventstore.Store) {
		total := fill(b, s, b.N)
		b.ResetTimer()
		f, err := s.Follow(b.Context(), eventstore.Start)
		check(b, err)
		defer f.Close()
		n := 0
		for n < total {
			some, err := f.Next(b.Context(), 256)
			check(b, err)
			n += len(some)
		}
		b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
		if n != total {
			b.Errorf("%d events, want %d", n, total)
		}
	})
}

// BenchmarkStoreProject is a projection that counts, with its checkpoint in the store.
func BenchmarkStoreProject(b *testing.B) {
	eachStore(b, func(b *testing.B, s eventstore.Store) {
		total := int64(fill(b, s, b.N))
		rt, err := runtime.New(runtime.Config{Name: "bench"})
		check(b, err)
		defer func() {
			ctx, cancel := background()
			defer cancel()
			_, err := rt.Shutdown(ctx)
			check(b, err)
		}()
		var n atomic.Int64
		done := make(chan struct{})
		b.ResetTimer()
		_, err = projection.Open(rt, s, "count", func(context.Context, eventstore.Recorded) error {
			if n.Add(1) == total {
				close(done)
			}
			return nil
		})
		check(b, err)
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			b.Fatalf("%d of %d events are projected", n.Load(), total)
		}
		b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkStoreLive is from just before Append until a follower that waits has the
// event, one at a time.
func BenchmarkStoreLive(b *testing.B) {
	eachStore(b, func(b *testing.B, s eventstore.Store) {
		f, err := s.Follow(b.Context(), eventstore.Start)
		check(b, err)
		defer f.Close()
		stream := eventstore.Stream{Category: "account", ID: "1"}
		arrived := make(chan time.Time)
		go func() {
			defer close(arrived)
			for n := 0; n < b.N; {
				some, err := f.Next(b.Context(), 256)
				if err != nil {
					b.Error(err)
					return
				}
				for range some {
					arrived <- time.Now()
				}
				n += len(some)
			}
		}()
		all := make([]time.Duration, b.N)
		b.ResetTimer()
		for n := range b.N {
			at := time.Now()
			appended := make(chan error, 1)
			go func() {
				_, err := s.Append(b.Context(), stream, eventstore.Version(n), counted(1)...)
				appended <- err
			}()
			got, ok := <-arrived
			if !ok {
				b.FailNow()
			}
			all[n] = got.Sub(at)
			check(b, <-appended)
		}
		b.StopTimer()
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "p50-ns")
		b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
	})
}
