package sqlite

import (
	"context"
	"fmt"
	"math"
	"time"

	"modernc.org/sqlite"
)

// writer is the one connection that writes. It belongs to one goroutine, which
// makes the changes of all callers: those that wait together share a
// transaction, and so the wait for the disk.
type writer struct {
	c       *conn
	next    int64              // seq of the next letter
	newest  string             // no letter has a higher ID
	indexed int64              // letters up to that seq are in the full-text index
	classes map[classKey]int64 // some of those in the file
	stale   int64              // letters to index again
	bare    int64              // blocks without a summary
	rest    time.Time          // no indexing before, after a failure
	wrote   time.Time          // when the last change ended
	// load is the part of the time that changes took, in the last window.
	load       float64
	windowFrom time.Time
	working    time.Duration
	due        int64 // when the first deleted letter has to go, as of open
	added      int64 // letters since the last look at retention

	args    []any                // room for arguments
	inserts map[insertKey]string // statements
}

type classKey struct{ topic, subscriber, reason, fingerprint string }

const (
	// groupWeight is how many letters share a transaction at most, so that a
	// caller waits for no more than some tens of milliseconds of others' work.
	groupWeight = 1024
	// maxClasses bounds the writer's memory of classes.
	maxClasses = 50_000
)

// open connects to the file and brings its schema up to date.
func (w *writer) open(s *Store) error {
	c, err := openConn(s.name)
	if err != nil {
		return err
	}
	if err := w.prepare(c, s.path); err != nil {
		c.close()
		return err
	}
	w.c = c
	s.due.Store(w.due)
	return nil
}

func (w *writer) prepare(c *conn, path string) error {
	ctx := context.Background()
	// Nothing is changed in a file that is not ours.
	if err := recognize(c, path); err != nil {
		return err
	}
	// Before the first table, or it has no effect: room can be given back to the
	// disk, see maintain.
	if err := c.script("PRAGMA auto_vacuum = INCREMENTAL"); err != nil {
		return err
	}
	mode, err := c.textOf(ctx, "PRAGMA journal_mode = WAL")
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the disk does not support the journal that is needed: it is %s, not wal", mode)
	}
	// FULL waits for the disk at every commit. A checkpoint moves 64 MiB: the
	// pages of the indexes that a burst writes again and again go to the file
	// once.
	err = c.script("PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; " +
		"PRAGMA wal_autocheckpoint = 16384; PRAGMA journal_size_limit = 67108864")
	if err != nil {
		return err
	}
	// A file that cannot be written to is found now rather than by the first
	// letter.
	if err := c.script("BEGIN IMMEDIATE; PRAGMA user_version; ROLLBACK"); err != nil {
		return err
	}
	if err := migrate(c, path); err != nil {
		return err
	}
	if w.indexed, err = c.number(ctx, "SELECT n FROM counters WHERE name = 'indexed'"); err != nil {
		return err
	}
	last, err := c.number(ctx, "SELECT max(seq) FROM letter_rows")
	if err != nil {
		return err
	}
	if w.stale, err = c.number(ctx, "SELECT count(*) FROM stale"); err != nil {
		return err
	}
	if w.bare, err = c.number(ctx, "SELECT count(*) FROM blocks WHERE summary IS NULL"); err != nil {
		return err
	}
	if w.newest, err = c.textOf(ctx, "SELECT max(id) FROM letter_rows"); err != nil {
		return err
	}
	w.next = max(w.next, last+1, w.indexed+1)
	w.inserts = map[insertKey]string{}
	w.classes = map[classKey]int64{}
	w.due, err = c.number(ctx, "SELECT coalesce(min(purge_at), ?) FROM letter_rows WHERE purge_at IS NOT NULL", int64(math.MaxInt64))
	return err
}

// run makes changes until the store is closed.
func (s *Store) run() {
	defer close(s.done)
	defer s.shut()
	sweep := time.NewTimer(s.cfg.Sweep)
	defer sweep.Stop()
	spare := time.NewTimer(0)
	defer spare.Stop()
	for {
		// Retention is due also while changes never end; the full-text index, for
		// which search makes up, has the time that is left.
		select {
		case <-sweep.C:
			pause := s.cfg.Sweep
			if s.sweepAll() {
				pause = 0
			}
			sweep.Reset(pause)
		default:
		}
		select {
		case j, ok := <-s.jobs:
			if !ok {
				return
			}
			s.serve(j, sweep)
			continue
		default:
		}
		var index <-chan time.Time
		if in := s.indexIn(time.Now()); in >= 0 {
			spare.Reset(in)
			index = spare.C
		}
		select {
		case j, ok := <-s.jobs:
			if !ok {
				return
			}
			s.serve(j, sweep)
		case <-index:
			s.background(s.index)
		case <-sweep.C:
			sweep.Reset(0)
		}
	}
}

// serve makes the change of a job and of those that wait with it.
func (s *Store) serve(j *job, sweep *time.Timer) {
	from := time.Now()
	s.commit(s.gather(j))
	s.writer.worked(from, time.Now())
	// A burst does not wait for the next sweep to be bounded.
	if s.writer.added > sweepStep && s.cfg.Retention.bounded() {
		s.writer.added = 0
		sweep.Reset(0)
	}
}

// shut closes everything. With the last connection the engine moves its log into
// the file.
func (s *Store) shut() {
	s.readers.close()
	if c := s.writer.c; c != nil {
		s.leave(c)
	}
	s.lock.Close()
}

// leave closes a connection. If another file has come in the place of ours, the
// log by that name is not ours to remove either.
func (s *Store) leave(c *conn) {
	if s.present() != nil {
		if p, ok := c.dc.(sqlite.FileControl); ok {
			_, _ = p.FileControlPersistWAL("main", 1)
		}
	}
	_ = c.close() // everything acknowledged is on the disk
}

// gather returns the job with others that wait, until their letters are many.
func (s *Store) gather(first *job) []*job {
	var group []*job
	weight := 0
	take := func(j *job) {
		if j.state.CompareAndSwap(jobWaits, jobTaken) {
			group = append(group, j)
			weight += j.weight
		}
	}
	take(first)
	for weight < groupWeight {
		select {
		case j, ok := <-s.jobs:
			if !ok {
				return group
			}
			take(j)
		default:
			return group
		}
	}
	return group
}

// commit makes the changes of a group in one transaction: all, or none if the
// file fails. A change that its caller is to blame for has written nothing, and
// fails alone.
func (s *Store) commit(group []*job) {
	if len(group) == 0 {
		return
	}
	failed := s.transact(func(t *tx) error {
		for _, j := range group {
			j.err = j.run(t)
			if t.broken != nil {
				return t.broken
			}
		}
		return nil
	})
	for _, j := range group {
		if failed != nil {
			j.err = fault(s.path, failed)
		}
		close(j.done)
	}
}

// background does a part of the maintenance.
func (s *Store) background(work func(*tx) error) {
	if err := fault(s.path, s.transact(work)); err != nil {
		if s.cfg.OnError != nil {
			s.cfg.OnError(err)
		}
		s.writer.rest = time.Now().Add(time.Second)
	}
}

// transact runs fn in a transaction and waits until it is on the disk. After an
// error nothing of it is.
func (s *Store) transact(fn func(*tx) error) error {
	if err := s.present(); err != nil {
		return err
	}
	w := &s.writer
	if w.c == nil {
		if err := w.open(s); err != nil {
			return err
		}
	}
	t := newTx(s)
	err := w.c.do("BEGIN IMMEDIATE")
	if err == nil {
		if err = fn(t); err == nil {
			err = t.flush()
		}
		if err == nil {
			err = w.c.do("COMMIT")
		}
	}
	if err != nil {
		s.rollback(err)
		return err
	}
	for _, did := range t.after {
		did()
	}
	// What has been written to a file that has gone meanwhile is lost.
	return s.present()
}

// rollback brings the connection and what is remembered of the file back to
// where they were.
func (s *Store) rollback(why error) {
	w := &s.writer
	clear(w.classes)
	// Some failures have ended the transaction already.
	_ = w.c.do("ROLLBACK")
	n, err := w.c.number(context.Background(), "SELECT n FROM counters WHERE name = 'indexed'")
	w.indexed = n
	if n, serr := w.c.number(context.Background(), "SELECT count(*) FROM stale"); serr == nil {
		w.stale = n
	}
	// What a connection knows of a file that cannot be read or written does not
	// heal with the file; a new one does.
	if err != nil || !w.c.usable() || ofFile(why) {
		s.leave(w.c)
		w.c = nil
	}
}
