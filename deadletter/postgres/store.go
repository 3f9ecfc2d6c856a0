package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/deadletter"
)

// Store is a [deadletter.Ledger] in a schema of a PostgreSQL database, which any number
// of processes share. Make it with [Open]. Its methods are safe for concurrent use.
type Store struct {
	cfg    Config
	pool   *pgxpool.Pool
	where  string
	closed atomic.Bool
	due    atomic.Int64 // when a letter of this node's has to go, at the earliest
	full   map[string]bool

	stop  context.CancelFunc
	ended sync.WaitGroup
}

var (
	_ deadletter.Fleet   = (*Store)(nil)
	_ deadletter.Checker = (*Store)(nil)
)

// Open connects, and makes the schema or brings it up to date, under a lock that nodes
// which start at once wait for.
//
// Errors: those of the configuration; an [*Error] that wraps ErrUnavailable,
// ErrUnauthorized, ErrReadOnly for a replica without Config.ReadOnly, ErrNotMade with
// it, or ErrNewer. Connections that are lost later are made again as they are needed.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: Config.URL: %w", err) // it leaves the password out
	}
	pc.MaxConns = int32(cfg.Conns)
	pc.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{cfg.Schema}.Sanitize()
	if pc.ConnConfig.RuntimeParams["application_name"] == "" {
		pc.ConnConfig.RuntimeParams["application_name"] = "troupe dead letters"
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	s := &Store{
		cfg:   cfg,
		where: fmt.Sprintf("%s@%s:%d/%s", pc.ConnConfig.User, pc.ConnConfig.Host, pc.ConnConfig.Port, pc.ConnConfig.Database),
		full:  map[string]bool{},
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, s.fault(err)
	}
	if err := s.migrate(ctx); err != nil {
		s.pool.Close()
		return nil, s.fault(err)
	}
	if err := s.knowDue(ctx); err != nil {
		s.pool.Close()
		return nil, s.fault(err)
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	if !cfg.ReadOnly {
		s.ended.Go(func() { s.sweeper(background) })
	}
	return s, nil
}

// Close waits for the calls that run and closes the connections. Later calls return
// deadletter.ErrClosed. It is idempotent and returns nil.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	s.ended.Wait()
	s.pool.Close()
	return nil
}

// ready is what every call begins with.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return deadletter.ErrClosed
	}
	return nil
}

// read calls fn within one transaction, which sees the store as of one moment.
func (s *Store) read(ctx context.Context, fn func(tx pgx.Tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := s.purged(ctx); err != nil {
		return err
	}
	return s.fault(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn))
}

// write calls fn within a transaction. Everything locks in one order: letters by their
// IDs, then groups by their fingerprints, then counters; so no two wait for each other.
// A function that is to be called once is not called again when the database has undone
// a transaction for another's sake: once says so.
func (s *Store) write(ctx context.Context, once bool, fn func(t *tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if s.cfg.ReadOnly {
		return &Error{Where: s.where, Fix: "open it without Config.ReadOnly, on the primary", Err: ErrReadOnly}
	}
	for try := 1; ; try++ {
		t := &tx{s: s, ctx: ctx, groups: map[string]*groupChange{}, counts: map[string]int64{}}
		err := pgx.BeginFunc(ctx, s.pool, func(p pgx.Tx) error {
			t.Tx = p
			if err := fn(t); err != nil {
				return err
			}
			return t.flush()
		})
		if err == nil {
			t.done()
			return nil
		}
		if once || try == 5 || !again(err) || ctx.Err() != nil {
			return s.fault(err)
		}
	}
}
