package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The full-text index is filled when there is nothing else to write: it costs
// more than all the rest of an Add. A search looks into the index for letters up
// to the watermark, and at those behind it, and the stale ones whose text has
// changed since, one by one; so it finds what is there at any moment.

const (
	// indexStep is how many letters are indexed in one transaction, if no change
	// comes in between.
	indexStep = 1024
	// quiet is how long nothing was written before letters are indexed: the
	// pauses between the batches of a burst are no time to spare.
	quiet = 25 * time.Millisecond
	// longTail is how many letters may wait for that. With more, they are indexed
	// in every pause, unless changes take more than busy of the time.
	longTail = 20_000
	busy     = 0.6
)

// behind reports whether there are letters to index, or blocks to summarize.
func (s *Store) behind() bool {
	w := &s.writer
	return w.c != nil && (w.indexed < w.next-1 || w.stale > 0 || w.bare > 0)
}

// indexIn is how long the writer waits for changes before it indexes letters, or
// negative if there are none.
func (s *Store) indexIn(now time.Time) time.Duration {
	w := &s.writer
	switch {
	case !s.behind():
		return -1
	case now.Before(w.rest):
		return w.rest.Sub(now)
	case w.next-w.indexed > longTail && w.load < busy:
		return 0
	}
	return max(0, w.wrote.Add(quiet).Sub(now))
}

// worked notes how long changes took, for the load.
func (w *writer) worked(from, until time.Time) {
	w.wrote = until
	if w.windowFrom.IsZero() {
		w.windowFrom = from
	}
	w.working += until.Sub(from)
	if window := until.Sub(w.windowFrom); window > 500*time.Millisecond {
		w.load = float64(w.working) / float64(window)
		w.windowFrom, w.working = until, 0
	}
}

// index brings some letters into the full-text index, until a change waits.
func (s *Store) index(t *tx) error {
	w := &s.writer
	type body struct {
		seq  int64
		text string
	}
	var bodies []body
	read := func(v []any) error {
		b, err := scanBody(v[1:])
		bodies = append(bodies, body{v[0].(int64), b})
		return err
	}
	switch {
	case w.indexed < w.next-1:
	case w.stale > 0:
		return s.indexStale(t)
	default:
		return t.summarize()
	}
	upTo := w.indexed
	for upTo < w.next-1 && upTo < w.indexed+indexStep && (upTo == w.indexed || len(s.jobs) == 0) {
		bodies = bodies[:0]
		end := min(upTo+16, w.next-1)
		if err := t.query("SELECT seq, "+bodyColumns+" FROM letter_rows WHERE seq > ? AND seq <= ?", []any{upTo, end}, read); err != nil {
			return err
		}
		for _, b := range bodies {
			if err := t.do("INSERT INTO texts (rowid, body) VALUES (?, ?)", b.seq, b.text); err != nil {
				return err
			}
		}
		upTo = end
	}
	w.indexed = upTo // rollback reads it again
	return t.do("UPDATE counters SET n = ? WHERE name = 'indexed'", upTo)
}

// indexStale indexes letters again whose text has changed.
func (s *Store) indexStale(t *tx) error {
	w := &s.writer
	type body struct {
		seq  int64
		text any
	}
	var bodies []body
	err := t.query("SELECT s.seq, "+bodyColumns+" FROM stale s LEFT JOIN letter_rows l ON l.seq = s.seq LIMIT ?", []any{indexStep / 8}, func(v []any) error {
		b := body{seq: v[0].(int64)}
		if v[1] != nil {
			whole, err := scanBody(v[1:])
			if err != nil {
				return err
			}
			b.text = whole
		}
		bodies = append(bodies, b)
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range bodies {
		if err := t.do("DELETE FROM texts WHERE rowid = ?", b.seq); err != nil {
			return err
		}
		if b.text != nil {
			if err := t.do("INSERT INTO texts (rowid, body) VALUES (?, ?)", b.seq, b.text); err != nil {
				return err
			}
		}
		if err := t.do("DELETE FROM stale WHERE seq = ?", b.seq); err != nil {
			return err
		}
	}
	w.stale, err = t.number("SELECT count(*) FROM stale")
	return err
}

// match is the query of the index for letters that have all the needles: the three
// rarest of their runs of three characters. All of them would find little less, at
// many times the price where most letters have some: the index reads along each.
// What is found is looked at in any case.
func (w *where) match(ctx context.Context, c *conn) (string, error) {
	if w.terms != "" {
		return w.terms, nil
	}
	var runs []string
	// First those that do not overlap: of runs that are equally rare they say more.
	for offset := range minNeedle {
		for _, n := range w.needles {
			chars := []rune(n)
			for i := offset; i <= len(chars)-minNeedle; i += minNeedle {
				if run := string(chars[i : i+minNeedle]); !slices.Contains(runs, run) && len(runs) < mostRuns {
					runs = append(runs, run)
				}
			}
		}
	}
	common := map[string]int{}
	if len(runs) > fewRuns {
		sample, err := w.known.texts(ctx, c)
		if err != nil {
			return "", err
		}
		for _, body := range sample {
			for _, run := range runs {
				if strings.Contains(body, run) {
					common[run]++
				}
			}
		}
		slices.SortStableFunc(runs, func(a, b string) int { return common[a] - common[b] })
		runs = runs[:fewRuns]
	}
	terms := make([]string, len(runs))
	for i, run := range runs {
		terms[i] = fmt.Sprintf(`"%s"`, strings.ReplaceAll(run, `"`, `""`))
	}
	w.terms = strings.Join(terms, " ")
	return w.terms, nil
}

const (
	fewRuns  = 3
	mostRuns = 64
	sampled  = 32 // letters in which runs are counted
	// sampleFor is how long they are remembered: reading them takes a millisecond,
	// and what is common does not change as fast.
	sampleFor = time.Minute
)

// texts are those of the last letters, or of some that were the last a while ago.
func (k *spans) texts(ctx context.Context, c *conn) (sample []string, err error) {
	if k != nil {
		k.mu.Lock()
		if time.Since(k.sampledAt) < sampleFor {
			sample = k.sample
		}
		k.mu.Unlock()
	}
	if sample != nil {
		return sample, nil
	}
	err = c.query(ctx, "SELECT "+bodyColumns+" FROM letter_rows WHERE seq > (SELECT max(seq) FROM letter_rows) - ?", []any{sampled}, func(v []any) error {
		body, err := scanBody(v)
		sample = append(sample, body)
		return err
	})
	if k != nil && err == nil {
		k.mu.Lock()
		k.sample, k.sampledAt = sample, time.Now()
		k.mu.Unlock()
	}
	return sample, err
}
