package sqlite

import (
	"context"
	"database/sql/driver"
)

// fewFitting is up to how many blocks are found before a look into them.
const fewFitting = 128

// fitting are the blocks whose times and summaries allow a letter that is selected.
type fitting struct {
	// few says that blocks are all of them, the last first. If they are not, blocks
	// are none.
	few    bool
	blocks []int64
}

// fits finds the blocks of a query, once, if summaries say anything about it.
func (w *where) fits(ctx context.Context, c *conn) (*fitting, error) {
	if w.fit != nil {
		return w.fit, nil
	}
	w.fit = &fitting{}
	if w.may == nil {
		return w.fit, nil
	}
	h := w.test(func(v []driver.Value) bool {
		s := readSummary(v[0])
		return s == nil || w.may(s)
	})
	for _, alias := range []string{"b", "p"} {
		w.blockCond.add("troupe_test(?, "+alias+".summary)", h)
	}
	blocks, err := w.blocksFrom(ctx, c, maxBlock, fewFitting+1)
	if err == nil && len(blocks) <= fewFitting {
		w.fit.few, w.fit.blocks = true, blocks
	}
	return w.fit, err
}

// maxBlock is above all blocks.
const maxBlock = int64(1) << 62

// blocksFrom returns the last blocks up to one that fit, the last first.
func (w *where) blocksFrom(ctx context.Context, c *conn, block int64, limit int) ([]int64, error) {
	if w.fit != nil && w.fit.few {
		blocks := w.fit.blocks
		for len(blocks) > 0 && blocks[0] > block {
			blocks = blocks[1:]
		}
		return blocks[:min(limit, len(blocks))], nil
	}
	var cond condition
	cond.add("b.block <= ? AND p.block <= ?", block, block>>superBits)
	for _, b := range w.bounds {
		cond.add(b.of("b"), b.args...)
		cond.add(b.of("p"), b.args...)
	}
	cond.terms = append(cond.terms, w.blockCond.terms...)
	cond.args = append(cond.args, w.blockCond.args...)
	return numbers(ctx, c, "SELECT b.block "+everyBlock+" WHERE "+cond.sql()+lastFirst+" LIMIT ?", append(cond.args, limit)...)
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
