package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
			batch := make([]deadletter.Letter, size)
			n := 0
			start := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = typical(n, start.Add(time.Duration(n)*time.Microsecond))
					n++
				}
				if err := s.Add(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "letters/s")
			p, err := s.List(context.Background(), deadletter.Query{Limit: 1})
			if err != nil || p.Total != n {
				b.Fatalf("List: Total %d, %v, want %d", p.Total, err, n)
			}
		})
	}
}

var _ = os.Getenv
var _ = filepath.Join
