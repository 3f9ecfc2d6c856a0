package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
)

// large fills a store, and measures pages, totals and the console on it.
func (r *run) large(ctx context.Context) (err error) {
	path := r.file("large.db")
	if r.store != "" {
		path = r.store
	}
	s, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now := time.Now()
	page, err := s.List(ctx, deadletter.Query{Limit: 1})
	if err != nil {
		return err
	}
	if page.Total == 0 {
		if err := r.fill(ctx, s, now); err != nil {
			return err
		}
	}
	took, err := timed(func() error { return r.indexed(ctx, path) })
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	r.out.line("The full-text index, which is filled when nothing else is to be done, took %v more. The file has %d MiB, %d bytes a letter.",
		took.Round(time.Second), info.Size()>>20, info.Size()/int64(r.letters))
	if err := r.pages(ctx, path, now); err != nil {
		return err
	}
	if err := r.counts(ctx, path, now); err != nil {
		return err
	}
	return r.console(ctx, s)
}

func (r *run) fill(ctx context.Context, s *sqlite.Store, now time.Time) error {
	const size = 1024
	begin, step := now.AddDate(0, 0, -7), 7*24*time.Hour/time.Duration(r.letters)
	made := make(chan []deadletter.Letter, 16) // made beside, as handlers do
	go func() {
		defer close(made)
		for n := 0; n < r.letters; n += size {
			select {
			case made <- batch(n, min(size, r.letters-n), func(n int) time.Time { return begin.Add(time.Duration(n) * step) }):
			case <-ctx.Done():
				return
			}
		}
	}()
	r.out.line("A burst of %d letters, batches of %d one after the other:", r.letters, size)
	r.out.table("letters", "letters/s until then", "letters/s of the last part", "µs of a processor each, with making them", "slowest Add")
	start, last, n, reported, used := time.Now(), time.Now(), 0, 0, processorTime()
	var slowest time.Duration
	for letters := range made {
		took, err := timed(func() error { return s.Add(ctx, letters) })
		if err != nil {
			return err
		}
		slowest = max(slowest, took)
		if n += len(letters); n-reported >= r.letters/10 || n == r.letters {
			total, part := float64(n)/time.Since(start).Seconds(), float64(n-reported)/time.Since(last).Seconds()
			each := float64((processorTime() - used).Nanoseconds()) / 1000 / float64(n-reported)
			r.say("%d letters, %.0f/s, the last %.0f/s, %.1f µs of a processor each", n, total, part, each)
			r.out.row(fmt.Sprint(n), fmt.Sprintf("%.0f", total), fmt.Sprintf("%.0f", part), fmt.Sprintf("%.1f", each), millis(slowest))
			last, reported, used = time.Now(), n, processorTime()
		}
	}
	r.out.line("")
	return ctx.Err()
}

// indexed waits until all letters are in the full-text index.
func (r *run) indexed(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	for tick := 0; ; tick++ {
		var done, all, bare int
		if err := db.QueryRowContext(ctx, "SELECT (SELECT n FROM counters WHERE name = 'indexed'), (SELECT max(seq) FROM letter_rows), (SELECT count(*) FROM blocks WHERE summary IS NULL)").Scan(&done, &all, &bare); err != nil {
			return err
		}
		if done >= all && bare == 0 {
			return nil
		}
		if tick%100 == 0 {
			r.say("full-text index: %d of %d", done, all)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// console measures the API over HTTP, as a browser on the same machine would see it.
func (r *run) console(ctx context.Context, s *sqlite.Store) error {
	c, err := console.New(nil, console.Config{Desk: ops.Offline(s), Sample: console.NoSamples})
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	server := httptest.NewServer(c)
	defer server.Close()
	page, err := s.List(ctx, deadletter.Query{Limit: 1})
	if err != nil {
		return err
	}
	r.out.line("## Console\n\nThe answers of its API on the same store, ten of each.")
	r.out.table("call", "median", "slowest", "bytes")
	get := func(path string, params ...string) error {
		v := url.Values{}
		for i := 0; i < len(params); i += 2 {
			v.Set(params[i], params[i+1])
		}
		var took timings
		var size int64
		for range 10 {
			d, err := timed(func() error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1/"+path+"?"+v.Encode(), nil)
				if err != nil {
					return err
				}
				resp, err := server.Client().Do(req)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if size, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("%s: %s", req.URL, resp.Status)
				}
				return err
			})
			if err != nil {
				return err
			}
			took = append(took, d)
		}
		name := path
		if q := v.Get("query"); q != "" {
			name += " " + q
		}
		r.say("%-60s %s", name, took.at(0.5))
		r.out.row("`"+name+"`", took.at(0.5), took.at(1), fmt.Sprint(size))
		return nil
	}
	calls := [][]string{{"overview"}, {"groups", "query", "state:open", "spark", "24"}, {"timeline", "spans", "48"}, {"letter", "id", page.Letters[0].ID},
		{"group", "fingerprint", fingerprint(7)}, {"operations"}, {"audit"}, {"verify"}, {"complete", "query", "sub:bil"}}
	for _, text := range consoleQueries() {
		calls = append(calls, []string{"letters", "query", text, "brief", "true", "quick", "true"})
	}
	for _, call := range calls {
		if err := get(call[0], call[1:]...); err != nil {
			return err
		}
	}
	r.out.line("")
	return nil
}

// consoleQueries are those of letters that the console is asked for.
func consoleQueries() []string {
	return []string{"", "state:open snoozed:no", "topic:orders.region-007", "err:timeout", "customer-31337@", "node:host-canary", "payload.order.total:>1000000"}
}
