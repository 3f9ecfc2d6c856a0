package main

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// adds measures how fast a new store takes letters from one caller, by the size of its batches.
// The letters are made before.
func (r *run) adds(ctx context.Context) error {
	r.out.line("## Adding\n\nLetters that one caller adds to a new store; each Add is on the disk when it returns.")
	r.out.table("letters in one Add", "letters/s", "Add, median", "Add, slowest", "letters")
	for _, size := range []int{1, 32, 256, 1024} {
		s, err := sqlite.Open(sqlite.Config{Path: r.file(fmt.Sprintf("add-%d.db", size))})
		if err != nil {
			return err
		}
		var took timings
		var spent time.Duration
		n := 0
		for limit := time.Duration(float64(8*time.Second) * r.share); spent < limit && n < r.letters; n += size {
			letters := batch(n, size, func(int) time.Time { return time.Now() })
			d, err := timed(func() error { return s.Add(ctx, letters) })
			if err != nil {
				return err
			}
			took, spent = append(took, d), spent+d
		}
		if p, err := s.List(ctx, deadletter.Query{Limit: 1}); err != nil || p.Total != n {
			return fmt.Errorf("the store has %d letters, %v, want %d", p.Total, err, n)
		}
		if err := s.Close(); err != nil {
			return err
		}
		rate := fmt.Sprintf("%.0f", float64(n)/spent.Seconds())
		r.say("Add of %d: %s letters/s", size, rate)
		r.out.row(fmt.Sprint(size), rate, took.at(0.5), took.at(1), fmt.Sprint(n))
	}
	r.out.line("")
	return nil
}
