package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres/internal/text"
)

// The names of a batch are a parameter each and not an array if all its records have
// the same, as those of one topic and one publisher do.
const insertSQL = `INSERT INTO {s}.records
	(topic, id, key, source, type, content_type, schema_version, time, nanos, headers, data)
SELECT $1, u.id, u.key, $2, $3, $4, $5, u.time, u.nanos, u.headers, u.data
FROM unnest($6::text[], $7::text[], $8::timestamptz[], $9::smallint[], $10::jsonb[], $11::bytea[])
	WITH ORDINALITY AS u (id, key, time, nanos, headers, data, n)
ORDER BY u.n
ON CONFLICT (id, topic) DO NOTHING`

const (
	maxID = 512 // of the 2.7 kB of a row of an index

	// A statement is no larger than this, but for a record that is.
	statementBytes   = 4 << 20
	statementRecords = 4096

	// As many publications are stored at once, each with those that came while the
	// one before was under way.
	maxWriters = 2
	writeLimit = 30 * time.Second
)

// publication is what one call of Publish wants stored.
type publication struct {
	records []engine.Record
	bytes   int
	done    chan error // has room for one
}

// Publish implements [engine.Topic]: all of the records are stored, or none. What
// several callers publish at once shares transactions, so that many callers cost the
// disk as much as one.
func (t *Topic) Publish(ctx context.Context, records []engine.Record) []error {
	if len(records) == 0 {
		return nil
	}
	if faults := t.check("publish "+t.name, records); faults != nil {
		return faults
	}
	if err := t.publish(ctx, records); err != nil {
		return all(err, len(records))
	}
	return nil
}

func all(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

var errOther = errors.New("postgres: not stored, since another record of the batch cannot be")

// check returns nil if all records can be stored. None is stored if one cannot, and
// the others' errors say so.
func (t *Topic) check(op string, records []engine.Record) []error {
	var faults []error
	for i := range records {
		err := t.checkOne(op, &records[i])
		if err == nil {
			continue
		}
		if faults == nil {
			faults = all(errOther, len(records))
		}
		faults[i] = err
	}
	return faults
}

func (t *Topic) checkOne(op string, r *engine.Record) error {
	tooLarge := func(err error) error {
		return &Error{Op: op, Kind: engine.ErrTooLarge, Err: err, Fix: "keep it elsewhere and publish where it is, or raise Config.MaxRecordBytes"}
	}
	switch {
	case r.ID == "":
		return fmt.Errorf("postgres: %s: a record must have an ID", op)
	case len(r.ID) > maxID:
		return tooLarge(fmt.Errorf("an ID of %d bytes, the limit is %d", len(r.ID), maxID))
	}
	if size := r.Size(); size > t.e.cfg.MaxRecordBytes {
		return tooLarge(fmt.Errorf("record %s has %d bytes, the limit is %d", r.ID, size, t.e.cfg.MaxRecordBytes))
	}
	return nil
}

func (t *Topic) publish(ctx context.Context, records []engine.Record) error {
	op := "publish " + t.name
	if t.e.life.Err() != nil {
		return closed(op)
	}
	if err := context.Cause(ctx); err != nil {
		return Fault(ctx, op, err)
	}
	p := &publication{records: records, done: make(chan error, 1)}
	for i := range records {
		p.bytes += records[i].Size()
	}
	t.mu.Lock()
	t.queue = append(t.queue, p)
	start := t.writers < maxWriters
	if start {
		t.writers++
	}
	t.mu.Unlock()
	if start && !t.e.start(t.write) {
		return closed(op)
	}
	select {
	case err := <-p.done:
		return err
	case <-t.e.life.Done():
		if t.withdraw(p) {
			return closed(op)
		}
		return <-p.done // Close waits for it
	case <-ctx.Done():
		// It is stored all the same if its turn has come.
		if t.withdraw(p) {
			return Fault(ctx, op, ctx.Err())
		}
		select {
		case err := <-p.done:
			return err
		default:
			return Fault(ctx, op, ctx.Err())
		}
	}
}

// withdraw reports whether the publication had not begun.
func (t *Topic) withdraw(p *publication) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, q := range t.queue {
		if q == p {
			t.queue = append(t.queue[:i], t.queue[i+1:]...)
			return true
		}
	}
	return false
}

// write stores what waits until nothing does.
func (t *Topic) write() {
	for {
		t.mu.Lock()
		if len(t.queue) == 0 {
			t.writers--
			t.mu.Unlock()
			return
		}
		n, bytes, count := 0, 0, 0
		for n < len(t.queue) && (n == 0 || bytes+t.queue[n].bytes <= statementBytes && count+len(t.queue[n].records) <= statementRecords) {
			bytes += t.queue[n].bytes
			count += len(t.queue[n].records)
			n++
		}
		turn := t.queue[:n:n]
		t.queue = append([]*publication(nil), t.queue[n:]...)
		t.mu.Unlock()
		t.store(turn)
	}
}

// store stores publications in one transaction, or each in its own if that fails for
// what one of them is.
func (t *Topic) store(turn []*publication) {
	batches := make([][]engine.Record, len(turn))
	for i, p := range turn {
		batches[i] = p.records
	}
	err := t.insert(batches)
	if err != nil && len(turn) > 1 && !engine.Temporary(err) && !errors.Is(err, engine.ErrClosed) {
		for _, p := range turn {
			t.store([]*publication{p})
		}
		return
	}
	if err == nil {
		t.e.published(t.id)
	}
	for _, p := range turn {
		p.done <- err
	}
}

// insert tries again what was in the way of others or met a connection that was dead:
// an ID is stored once, however often it is tried.
func (t *Topic) insert(batches [][]engine.Record) error {
	op := "publish " + t.name
	// Close waits for it: what has been accepted is stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.e.life), writeLimit)
	defer cancel()
	statements, err := t.statements(batches)
	if err != nil {
		return fmt.Errorf("postgres: %s: %w", op, err)
	}
	for try := 0; ; try++ {
		err := t.send(ctx, t.e.pool, statements)
		if err == nil {
			return nil
		}
		if try == 3 || !retryable(err) {
			return Fault(ctx, op, err)
		}
	}
}

// querier is a pool or a transaction.
type querier interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// send runs statements in one transaction: what a batch sends before it waits is one.
func (t *Topic) send(ctx context.Context, q querier, statements [][]any) error {
	var b pgx.Batch
	for _, args := range statements {
		b.Queue(t.e.insert, args...)
	}
	return q.SendBatch(ctx, &b).Close()
}

// statements returns the parameters of one insertSQL or more.
func (t *Topic) statements(batches [][]engine.Record) (list [][]any, err error) {
	total := 0
	for _, records := range batches {
		total += len(records)
	}
	var c columns
	for _, records := range batches {
		for i := range records {
			r := &records[i]
			size := r.Size()
			if len(c.id) > 0 && (!c.fits(r) || c.bytes+size > statementBytes || len(c.id) == statementRecords) {
				list, c = append(list, c.args(t.id)), columns{}
			}
			if len(c.id) == 0 {
				c.begin(r, min(total, statementRecords))
			}
			total--
			if err := c.add(r, size); err != nil {
				return nil, fmt.Errorf("record %s: %w", r.ID, err)
			}
		}
	}
	return append(list, c.args(t.id)), nil
}

// columns are records that share a statement.
type columns struct {
	source, kind, contentType string
	schemaVersion             int
	bytes                     int

	id, key []string
	time    []*time.Time
	nanos   []int16
	headers [][]byte
	data    [][]byte
}

func (c *columns) begin(r *engine.Record, n int) {
	c.source, c.kind, c.contentType, c.schemaVersion = r.Source, r.Type, r.ContentType, r.SchemaVersion
	c.id, c.key = make([]string, 0, n), make([]string, 0, n)
	c.time, c.nanos = make([]*time.Time, 0, n), make([]int16, 0, n)
	c.headers, c.data = make([][]byte, 0, n), make([][]byte, 0, n)
}

func (c *columns) fits(r *engine.Record) bool {
	return c.source == r.Source && c.kind == r.Type && c.contentType == r.ContentType && c.schemaVersion == r.SchemaVersion
}

func (c *columns) add(r *engine.Record, size int) error {
	doc, err := text.HeadersToJSON(r.Headers)
	if err != nil {
		return err
	}
	var at *time.Time
	var nanos int16
	if !r.Time.IsZero() {
		cut := r.Time.Truncate(time.Microsecond)
		nanos = int16(r.Time.Sub(cut))
		at = &cut
	}
	data := r.Data
	if data == nil {
		data = []byte{}
	}
	c.bytes += size
	c.id, c.key = append(c.id, text.To(r.ID)), append(c.key, text.To(r.Key))
	c.time, c.nanos = append(c.time, at), append(c.nanos, nanos)
	c.headers, c.data = append(c.headers, doc), append(c.data, data)
	return nil
}

func (c *columns) args(topic int32) []any {
	return []any{topic, text.To(c.source), text.To(c.kind), text.To(c.contentType), c.schemaVersion, c.id, c.key, c.time, c.nanos, c.headers, c.data}
}
