package sqlite_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// TestScale measures a store of TROUPE_SQLITE_LETTERS letters, such as a million.
// With TROUPE_SQLITE_DIR it keeps the file there, and measures one that it finds.
//
//	TROUPE_SQLITE_LETTERS=1000000 go test -run TestScale -v -timeout 60m ./deadletter/sqlite
func TestScale(t *testing.T) {
	letters, _ := strconv.Atoi(os.Getenv("TROUPE_SQLITE_LETTERS"))
	if letters == 0 {
		t.Skip("TROUPE_SQLITE_LETTERS is not set")
	}
	dir := os.Getenv("TROUPE_SQLITE_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, "letters.db")
	ctx := t.Context()
	if _, err := os.Stat(path); err != nil {
		burst(t, path, letters)
	}
	start := time.Now()
	s, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Logf("open: %v", time.Since(start))
	start = time.Now()
	if err := s.Indexed(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("what was left to index: %v", time.Since(start))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("file: %d MiB, %d bytes a letter", info.Size()>>20, info.Size()/int64(letters))

	now := time.Now()
	for _, text := range []string{
		"", "state:open", "topic:orders.region-07", "sub:billing-017", "reason:rejected", "group:" + typical(7, now).Fingerprint,
		"topic:orders.region-1* state:open", "sub:billing-017 topic:orders.region-17 reason:rejected", "-sub:billing-0*",
		"age:>1h", "age:<1h", "age:>6d", "failed:>now-10m", "topic:orders.region-07 age:>1d",
		`err:"i/o timeout"`, "err:timeout", `err:"order 777777:"`, "springfield", "customer-31337@", `"sku-04711"`, "nosuchtextanywhere",
		"err:timeout sub:billing-017", "err:timeout state:resolved", "payload.order.id:123456", "payload.order.id:123456 group:" + typical(123456, now).Fingerprint,
		"node:host-3", "redrives:>0", "attempts:>=3", "header.tenant:tenant-7",
	} {
		where, err := search.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		q := deadletter.Query{Where: where, Now: now}
		start := time.Now()
		first, err := s.List(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		cold := time.Since(start)
		var times []time.Duration
		for range 20 {
			start := time.Now()
			p, err := s.List(ctx, q)
			if err != nil || p.Total != first.Total {
				t.Fatalf("List: Total %d, %v, want %d", p.Total, err, first.Total)
			}
			times = append(times, time.Since(start))
			if q.After = p.Next; q.After == "" {
				q.After = ""
			}
		}
		slices.Sort(times)
		t.Logf("%-60s %8d letters  first with count %9v  next pages p50 %8v max %8v", text, first.Total,
			cold.Round(10*time.Microsecond), times[10].Round(10*time.Microsecond), times[19].Round(10*time.Microsecond))
	}
	for name, call := range map[string]func() error{
		"groups": func() error { _, err := s.Groups(ctx, deadletter.GroupQuery{}); return err },
		"groups with sparks": func() error {
			_, err := s.Groups(ctx, deadletter.GroupQuery{Spark: 24, SparkSince: now.Add(-24 * time.Hour)})
			return err
		},
		"group":   func() error { _, err := s.Group(ctx, typical(7, now).Fingerprint); return err },
		"account": func() error { _, err := s.Account(ctx); return err },
		"timeline, 7 days": func() error {
			_, err := s.Timeline(ctx, deadletter.Query{}, now.AddDate(0, 0, -7), now, 84)
			return err
		},
		"timeline, 1 day": func() error {
			_, err := s.Timeline(ctx, deadletter.Query{}, now.AddDate(0, 0, -1), now, 96)
			return err
		},
		"IDs of all": func() error { _, err := s.IDs(ctx, deadletter.Query{}); return err },
		"verify":     func() error { _, err := s.Verify(ctx); return err },
	} {
		start := time.Now()
		if err := call(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%-20s %v", name, time.Since(start))
	}
}

// burst fills a new store as the dead-letter actor does: one batch after the
// other, which others make.
func burst(t *testing.T, path string, letters int) {
	s, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	begin := time.Now().AddDate(0, 0, -7)
	step := 7 * 24 * time.Hour / time.Duration(letters)
	const size = 1024
	batches := make(chan []deadletter.Letter, 16)
	go func() {
		defer close(batches)
		for n := 0; n < letters; {
			batch := make([]deadletter.Letter, min(size, letters-n))
			for i := range batch {
				batch[i] = typical(n, begin.Add(time.Duration(n)*step))
				n++
			}
			batches <- batch
		}
	}()
	start, n := time.Now(), 0
	used := processorTime()
	var slowest time.Duration
	for batch := range batches {
		one := time.Now()
		if err := s.Add(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(one))
		if n += len(batch); n%200_000 < size {
			t.Logf("%d letters in %v: %.0f/s, slowest Add %v, %.1f µs of a processor each, with making them", n, time.Since(start).Round(time.Millisecond),
				float64(n)/time.Since(start).Seconds(), slowest, float64((processorTime()-used).Microseconds())/float64(n))
		}
	}
	start = time.Now()
	if err := s.Indexed(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("full-text index: %v", time.Since(start))
}
