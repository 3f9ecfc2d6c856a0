package sqlite

import (
	"context"
	"sync"
	"time"
)

// spans remembers summaries of superblocks that are full, and of their blocks, as long as
// no letter is changed or removed: letters that only come go into the last block.
type spans struct {
	mu        sync.Mutex
	rewritten int64 // how often letters had been changed or removed
	supers    map[int64]*summary
	blocks    map[int64][]blockSummary // of a superblock, the last block first

	// The texts of some letters, see match, and when they were read.
	sample    []string
	sampledAt time.Time
}

type blockSummary struct {
	block int64
	of    *summary // nil if anything may be in it
}

// maxSpans bounds the superblocks of which summaries are remembered, of 16,384 letters and
// about 13 KiB each.
const maxSpans = 1024

// as begins to use what is known as of a number of changes, and reports whether it is not
// of later.
func (k *spans) as(rewritten int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.supers == nil || k.rewritten < rewritten || len(k.supers) >= maxSpans || len(k.blocks) >= maxSpans {
		k.rewritten, k.supers, k.blocks = rewritten, map[int64]*summary{}, map[int64][]blockSummary{}
	}
	return k.rewritten == rewritten
}

// use calls fn with what is known, if it is as of that number of changes.
func (k *spans) use(rewritten int64, fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rewritten == rewritten {
		fn()
	}
}

// blockScan reads along the blocks that may have letters a query selects, by their summaries,
// the last block first.
type blockScan struct {
	w         *where
	c         *conn
	known     *spans // nil if what is known is of another time
	last      int64  // the superblock that is not full
	rewritten int64
	supers    []int64        // that are left
	blocks    []blockSummary // of the superblock that is read
}

// scan begins at a block.
func (w *where) scan(ctx context.Context, c *conn, block int64) (*blockScan, error) {
	s := &blockScan{w: w, c: c}
	err := c.query(ctx, "SELECT n, (SELECT coalesce(max(seq), 0) FROM letter_rows) FROM counters WHERE name = 'rewritten'", nil, func(v []any) error {
		s.rewritten, s.last = v[0].(int64), v[1].(int64)>>blockBits>>superBits
		return nil
	})
	if err != nil {
		return nil, err
	}
	if w.known != nil && w.known.as(s.rewritten) {
		s.known = w.known
	}
	if s.supers, err = numbers(ctx, c, "SELECT block FROM superblocks WHERE block <= ? ORDER BY block DESC", block>>superBits); err != nil || len(s.supers) == 0 {
		return s, err
	}
	if err := s.fill(ctx); err != nil {
		return nil, err
	}
	for len(s.blocks) > 0 && s.blocks[0].block > block {
		s.blocks = s.blocks[1:]
	}
	return s, nil
}

// peek returns the next block that fits, and false if there is none.
func (s *blockScan) peek(ctx context.Context) (block int64, ok bool, err error) {
	for {
		for len(s.blocks) > 0 {
			b := s.blocks[0]
			if s.w.may == nil || b.of == nil || s.w.may(b.of) {
				return b.block, true, nil
			}
			s.blocks = s.blocks[1:]
		}
		if len(s.supers) == 0 {
			return 0, false, nil
		}
		if err := s.fill(ctx); err != nil {
			return 0, false, err
		}
	}
}

// take moves behind the next blocks that fit, and returns them.
func (s *blockScan) take(ctx context.Context, limit int) ([]int64, error) {
	var blocks []int64
	for len(blocks) < limit {
		block, ok, err := s.peek(ctx)
		if err != nil || !ok {
			return blocks, err
		}
		blocks = append(blocks, block)
		s.blocks = s.blocks[1:]
	}
	return blocks, nil
}

// fill reads the blocks of the next superblock, and none if it does not fit.
func (s *blockScan) fill(ctx context.Context) error {
	super := s.supers[0]
	s.supers, s.blocks = s.supers[1:], nil
	full := super < s.last && s.known != nil
	if s.w.may != nil {
		of, ok := (*summary)(nil), false
		if full {
			s.known.use(s.rewritten, func() { of, ok = s.known.supers[super] })
		}
		if !ok {
			err := s.c.query(ctx, "SELECT summary FROM superblocks WHERE block = ?", []any{super}, func(v []any) error {
				of = readSummary(v[0])
				return nil
			})
			if err != nil {
				return err
			}
			if full {
				s.known.use(s.rewritten, func() { s.known.supers[super] = of })
			}
		}
		if of != nil && !s.w.may(of) {
			return nil
		}
	}
	ok := false
	if full {
		s.known.use(s.rewritten, func() { s.blocks, ok = s.known.blocks[super] })
	}
	if ok {
		return nil
	}
	err := s.c.query(ctx, "SELECT block, summary FROM blocks WHERE block >= ? AND block < ? ORDER BY block DESC", []any{super << superBits, (super + 1) << superBits}, func(v []any) error {
		s.blocks = append(s.blocks, blockSummary{v[0].(int64), readSummary(v[1])})
		return nil
	})
	if full && err == nil {
		s.known.use(s.rewritten, func() { s.known.blocks[super] = s.blocks })
	}
	return err
}

// fewFitting is up to how many blocks are found before a look into them.
const fewFitting = 128

// maxBlock is above all blocks.
const maxBlock = int64(1) << 62

// fits returns the blocks that may have letters a query selects, if summaries say
// anything about it and they are few.
func (w *where) fits(ctx context.Context, c *conn) (blocks []int64, few bool, err error) {
	if w.may == nil {
		return nil, false, nil
	}
	s, err := w.scan(ctx, c, maxBlock)
	if err != nil {
		return nil, false, err
	}
	blocks, err = s.take(ctx, fewFitting+1)
	return blocks, err == nil && len(blocks) <= fewFitting, err
}

// summarizeStep is how many blocks are given a summary in one transaction.
const summarizeStep = 4

// summarize makes summaries of blocks that have none, as those that were written before
// there were any.
func (t *tx) summarize() error {
	blocks, err := numbers(context.Background(), t.c, "SELECT block FROM blocks WHERE summary IS NULL ORDER BY block DESC LIMIT ?", summarizeStep)
	for _, block := range blocks {
		if err == nil {
			err = t.summarizeBlock(block)
		}
	}
	if err != nil {
		t.broken = err
		return err
	}
	t.after = append(t.after, func() { t.s.writer.bare -= int64(len(blocks)) })
	return nil
}

func (t *tx) summarizeBlock(block int64) error {
	seqs, err := numbers(context.Background(), t.c, "SELECT seq FROM letter_rows WHERE seq >= ? AND seq < ?", block<<blockBits, (block+1)<<blockBits)
	if err != nil {
		return err
	}
	rows, err := readRows(context.Background(), t.c, seqs)
	if err != nil {
		return err
	}
	of := newSummary()
	for _, r := range rows {
		of.add(&r.letter)
	}
	if err := t.do("UPDATE blocks SET summary = ? WHERE block = ?", of.bytes(), block); err != nil {
		return err
	}
	// That of the superblock, once all of its blocks have theirs.
	super, whole := newSummary(), true
	err = t.query("SELECT summary FROM blocks WHERE block >= ? AND block < ?", []any{block >> superBits << superBits, (block>>superBits + 1) << superBits}, func(v []any) error {
		if one := readSummary(v[0]); one != nil {
			super.join(one)
		} else {
			whole = false
		}
		return nil
	})
	if err != nil || !whole {
		return err
	}
	return t.do("UPDATE superblocks SET summary = ? WHERE block = ?", super.bytes(), block>>superBits)
}
