package main

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// filters are queries of every field, and of combinations: common values, rare ones, and those
// that no letter has.
func filters() []string {
	return []string{
		"", "state:open", "state:open snoozed:no", "snoozed:yes", "state:resolved", "state:archived", "topic:orders.region-007", "sub:billing-017", "reason:rejected",
		"group:" + fingerprint(7), "topic:orders.region-1* state:open", "-sub:billing-0*", "topic:*97",
		"cause:panic", "type:*url.Error", "type:*fs.PathError", "has:stack", `panic:"index out of range [8]"`, "stack:charge.go", "gotype:shop.OrderPlaced", "content:text/plain",
		"age:>1h", "age:<1h", "age:>6d", "failed:>now-10m", "first:<now-167h", "published:<now-167h", "resolved:>now-1h", "topic:orders.region-007 age:>1d",
		"attempts:>=3", "attempts:>=12", "attempts:>99", "redrives:>0", "redrives:>=4", "size:>20000", "size:>1000000", "seq:777777", "closed:edited", "closed:by_hand", "op:nothing",
		"node:host-3", "node:host-canary", "node:nowhere", "node:host-c*", "node:host-canary age:>3d", "node:host-canary attempts:>=12 state:open", "node:host-canary or attempts:>99",
		`err:"i/o timeout"`, "err:timeout", `err:"order 7777:"`, `err:"disk quota"`, `err:"after 4999 ms"`, "err:timeout sub:billing-019", "err:timeout state:resolved",
		"springfield", "customer-31337@", "nosuchtextanywhere", "zz", "-springfield", "payload.order.id:7777", "payload.order.total:>1000000", "payload.order.total:<0", "payload.order.lines.quantity:6 state:archived",
		"event:event-000007777", "corr:flow-000002592", "causation:none", "header.tenant:tenant-7", "header.tenant:nobody", "imported:*.jsonl", "id:0*",
	}
}

const (
	pagesOfEach  = 100
	asksOfEach   = 5
	patientSteps = 250 * time.Millisecond
)

// pages measures pages of 50 letters in each filter.
func (r *run) pages(ctx context.Context, path string, now time.Time) error {
	r.out.line("## Pages\n\n%d letters, pages of 50, quick, as the console and the command line ask: a page that takes longer than %v ends there with what it has found, and the next looks on. "+
		"The first page is asked for by %d readers that know nothing yet, the next ones up to page %d, one behind the other. *Processor* is the time of a processor that the page takes, in the median. "+
		"*Full* is how long it takes until 50 letters are there or the store is searched, in steps of %v that show what has been found.",
		r.letters, deadletter.DefaultWithin, asksOfEach, pagesOfEach, patientSteps)
	r.out.table("query", "first, median", "first, slowest", "processor", "next, median", "next, p99", "processor", "last reached", "full", "letters until then")
	var firsts, nexts timings
	for _, text := range filters() {
		where, err := search.Parse(text)
		if err != nil {
			return err
		}
		row, err := r.filter(ctx, path, deadletter.Query{Where: where, Now: now, Quick: true})
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		r.say("%-48s first %10s %10s cpu %10s  next %10s %10s cpu %10s (%d)  full %10s (%d)", text, row.first.at(0.5), row.first.at(1), row.used.at(0.5), row.next.at(0.5), row.next.at(0.99), row.nextUsed.at(0.5), row.pages, millis(row.full), row.found)
		r.out.row("`"+text+"`", row.first.at(0.5), row.first.at(1), row.used.at(0.5), row.next.at(0.5), row.next.at(0.99), row.nextUsed.at(0.5), fmt.Sprint(row.pages), millis(row.full), fmt.Sprint(row.found))
		firsts, nexts = append(firsts, row.first.median()), append(nexts, row.next.median())
	}
	r.out.line("")
	r.out.line("Of the medians of the %d filters the worst is %s for the first page and %s for the next ones.", len(firsts), firsts.at(1), nexts.at(1))
	return nil
}

type filterRow struct {
	first, next    timings
	used, nextUsed timings // of a processor
	pages          int
	full           time.Duration
	found          int
}

func (r *run) filter(ctx context.Context, path string, q deadletter.Query) (row filterRow, err error) {
	for range asksOfEach {
		if err := asked(path, func(s *sqlite.Store) error {
			used := processorTime()
			d, err := timed(func() error { _, err := s.List(ctx, q); return err })
			row.first, row.used = append(row.first, d), append(row.used, processorTime()-used)
			return err
		}); err != nil {
			return row, err
		}
	}
	err = asked(path, func(s *sqlite.Store) error {
		p, err := s.List(ctx, q)
		q := q
		for row.pages = 1; err == nil && p.Next != "" && row.pages < pagesOfEach; row.pages++ {
			q.After = p.Next
			var d time.Duration
			used := processorTime()
			d, err = timed(func() error { p, err = s.List(ctx, q); return err })
			row.next, row.nextUsed = append(row.next, d), append(row.nextUsed, processorTime()-used)
		}
		return err
	})
	if err != nil {
		return row, err
	}
	return row, asked(path, func(s *sqlite.Store) error {
		q := q
		row.full, err = timed(func() error {
			for row.found < deadletter.DefaultLimit {
				p, err := s.List(ctx, q)
				if err != nil {
					return err
				}
				row.found += len(p.Letters)
				if p.Next == "" {
					break
				}
				q.After, q.Within, q.Limit = p.Next, patientSteps, deadletter.DefaultLimit-row.found
			}
			return nil
		})
		return err
	})
}

// asked opens the store for reading, with nothing remembered.
func asked(path string, fn func(*sqlite.Store) error) error {
	s, err := sqlite.OpenReadOnly(path)
	if err != nil {
		return err
	}
	defer s.Close()
	// The connection is made by the first who reads.
	if _, err := s.Account(context.Background()); err != nil {
		return err
	}
	return fn(s)
}

// counted are filters whose letters are counted one by one, or by the full-text index.
func counted() []string {
	return []string{"topic:orders.region-007", "age:>1h", "attempts:>=3", "redrives:>0", "node:host-canary", `err:"disk quota"`, "customer-31337@", "payload.order.id:7777", "header.tenant:tenant-7"}
}

// counts measures exact totals that nobody has asked for before.
func (r *run) counts(ctx context.Context, path string, now time.Time) error {
	r.out.line("## Totals\n\nExact, of queries that nobody has asked before; then they are known until a letter changes.")
	r.out.table("query", "letters", "first", "again")
	for _, text := range counted() {
		where, err := search.Parse(text)
		if err != nil {
			return err
		}
		if err := asked(path, func(s *sqlite.Store) error {
			q := deadletter.Query{Where: where, Now: now, Limit: 1}
			var p deadletter.Page
			first, err := timed(func() error { p, err = s.List(ctx, q); return err })
			if err != nil {
				return err
			}
			again, err := timed(func() error { p, err = s.List(ctx, q); return err })
			r.say("%-48s %8d letters, first %10s, again %10s", text, p.Total, millis(first), millis(again))
			r.out.row("`"+text+"`", fmt.Sprint(p.Total), millis(first), millis(again))
			return err
		}); err != nil {
			return err
		}
	}
	r.out.line("")
	return nil
}
