package sqlite_test

import (
	"context"
	"errors"
	"fmt"

	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// typical returns an ordinary letter: a payload of half a KiB in JSON, an error
// with variable parts, a chain of three types, three attempts. There are 40
// topics, 120 subscribers and 480 groups.
func typical(n int, at time.Time) deadletter.Letter {
	group := n * 7919 % 480
	causes := []string{"connection refused", "i/o timeout", "no such host", "unexpected EOF"}
	err := fmt.Sprintf("charge order %d: post https://cards-%d.example.com/v1/charges: %s after %d ms", n, group%17, causes[group%4], n%5000)
	l := deadletter.Letter{
		ID: deadletter.NewID(at), Node: fmt.Sprintf("host-%d", n%8),
		Topic: fmt.Sprintf("orders.region-%02d", group%40), Subscriber: fmt.Sprintf("billing-%03d", group%120),
		Sequence: uint64(n),
		Payload: fmt.Appendf(nil, `{"order":{"id":%d,"customer":{"id":%d,"name":"Customer %d","email":"customer-%[3]d@example.com"},"currency":"EUR","total":%d.%02d,`+
			`"lines":[{"sku":"SKU-%05d","quantity":%d,"price":1999},{"sku":"SKU-%05d","quantity":2,"price":499},{"sku":"SKU-%05d","quantity":1,"price":12900}]},`+
			`"shipping":{"street":"Long Street %d","city":"Springfield","zip":"%05d","country":"DE"},"trace":"%032x","created_at":"2026-11-21T03:%02d:%02dZ"}`,
			n, n%50000, n%50000, n%1000, n%100, n%99991, n%7, n%9973, n%997, n%300, n%99999, uint64(n)*0x9E3779B97F4A7C15, n/60%60, n%60),
		ContentType: "application/json", GoType: "shop.OrderPlaced", SchemaVersion: 1,
		Headers: map[string]string{"traceparent": fmt.Sprintf("00-%032x-%016x-01", n, n), "tenant": fmt.Sprintf("tenant-%d", n%20)},
		Reason:  []string{"attempts_exhausted", "attempts_exhausted", "attempts_exhausted", "rejected"}[group%4],
		Cause:   "error", Error: err, ErrorTypes: []string{"*fmt.wrapError", "*url.Error", "*net.OpError"},
		PublishedAt: at.Add(-time.Minute), EventID: fmt.Sprintf("event-%09d", n), CorrelationID: fmt.Sprintf("flow-%09d", n/3),
		Fingerprint: fmt.Sprintf("%016x", uint64(group+1)*0x9E3779B97F4A7C15),
	}
	for i := range 3 {
		l.AddAttempt(deadletter.Attempt{Number: i + 1, Started: at.Add(time.Duration(i-3) * time.Second), Duration: 50 * time.Millisecond, Cause: "error", Error: err})
	}
	return l
}

// Every letter is on the disk when Add returns.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{1, 32, 256, 1024} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := open(b, sqlite.Config{})
			// The letters are made before: their making is not the store's.
			const made = 64 << 10
			all := make([]deadletter.Letter, made)
			for i := range all {
				all[i] = typical(i, time.Now())
			}
			n := 0
			used := processorTime()
			b.ReportAllocs()
			for b.Loop() {
				at := n % (made - size)
				batch := all[at : at+size]
				for i := range batch {
					batch[i].ID = deadletter.NewID(time.Now())
				}
				if err := s.Add(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				n += size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "letters/s")
			b.ReportMetric(float64((processorTime()-used).Microseconds())/float64(n), "cpu-µs/letter")
			p, err := s.List(context.Background(), deadletter.Query{Limit: 1})
			if err != nil || p.Total != n {
				b.Fatalf("List: Total %d, %v, want %d", p.Total, err, n)
			}
		})
	}
}

// Updates that come together share a transaction.
func BenchmarkUpdate(b *testing.B) {
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			s := open(b, sqlite.Config{})
			mustAdd(b, s, letters(0, 10_000))
			if err := s.Indexed(b.Context()); err != nil {
				b.Fatal(err)
			}
			var next, failed atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for {
						n := int(next.Add(1)) - 1
						if n >= b.N {
							return
						}
						err := s.Update(context.Background(), numbered(n%10_000).ID, func(l *deadletter.Letter) error {
							if l.State == deadletter.StateOpen {
								_, err := l.BeginRedrive("ada", 1, day)
								return err
							}
							return l.EndRedrive(deadletter.OutcomeAborted, "", day)
						})
						if err != nil {
							failed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
			if failed.Load() > 0 {
				b.Fatalf("%d updates failed", failed.Load())
			}
		})
	}
}

// Change is the same, of many letters at once.
func BenchmarkChange(b *testing.B) {
	s := open(b, sqlite.Config{})
	mustAdd(b, s, letters(0, 10_000))
	if err := s.Indexed(b.Context()); err != nil {
		b.Fatal(err)
	}
	ids, err := s.IDs(b.Context(), deadletter.Query{})
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		results, err := s.Change(b.Context(), ids, func(l *deadletter.Letter) error {
			if l.State == deadletter.StateOpen {
				return l.Archive(deadletter.Closing{By: "ada", At: day})
			}
			return l.Restore()
		})
		if err := errors.Join(append(results, err)...); err != nil {
			b.Fatal(err)
		}
		n += len(ids)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "letters/s")
}

// An operation with a million items is one transaction.
func BenchmarkAddOperation(b *testing.B) {
	s := open(b, sqlite.Config{})
	ids := make([]string, 1_000_000)
	for i := range ids {
		ids[i] = deadletter.NewID(day)
	}
	for b.Loop() {
		op := deadletter.Operation{ID: deadletter.NewID(day), Kind: "redrive", CreatedAt: day}
		if err := s.AddOperation(b.Context(), op, ids); err != nil {
			b.Fatal(err)
		}
		if got, err := s.Operation(b.Context(), op.ID); err != nil || got.Items[deadletter.ItemPending] != len(ids) {
			b.Fatalf("Operation = %v, %v", got.Items, err)
		}
	}
}
