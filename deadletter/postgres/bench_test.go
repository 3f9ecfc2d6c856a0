package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/postgres"
)

// BenchmarkAdd commits letters of about 500 bytes, one or many at a time.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := open(b, postgres.Config{})
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += size {
				if err := s.Add(b.Context(), letters(i, min(i+size, b.N), "n")); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "letters/s")
			b.StopTimer()
			if a := adds(b, s, int64(b.N)); a.Open != int64(b.N) {
				b.Fatalf("account %+v", a)
			}
		})
	}
}

// BenchmarkList reads the first page of 50 of a store of 100,000 letters, with its total.
func BenchmarkList(b *testing.B) {
	s := open(b, postgres.Config{})
	const all = 100_000
	for i := 0; i < all; i += 1000 {
		batch := letters(i, i+1000, "n")
		for j := range batch {
			batch[j].Subscriber = fmt.Sprint("sub-", j%20)
			if (i+j)%1000 == 7 {
				batch[j].Error = "deadline exceeded"
			}
		}
		add(b, s, batch...)
	}
	exec(b, server(b), "VACUUM ANALYZE")
	for query, want := range map[string]int{
		"state:open": all, "sub:sub-3": all / 20, "deadline": all / 1000, "age:>1h": all, "payload.order:77 sub:sub-17": 1, "payload.order:77": 1,
	} {
		q := deadletter.Query{Where: parse(b, query), Now: day.Add(1000 * time.Hour)}
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				page, err := s.List(b.Context(), q)
				if err != nil || page.Total != want || len(page.Letters) != min(want, 50) {
					b.Fatalf("List %s = %d, %v, want %d", query, page.Total, err, want)
				}
			}
		})
	}
}
