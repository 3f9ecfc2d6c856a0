package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/eventstore"
)

// Store is an [eventstore.Store] in a schema of a database, and an
// [eventstore.Transactor] whose transactions are pgx's. Methods are safe for
// concurrent use.
type Store struct {
	cfg  Config
	pool *pgxpool.Pool
	own  bool // the pool is ours
	bell *postgres.Bell

	shut   sync.Once
	mu     sync.Mutex
	closed bool
	// changed is closed when somebody has appended, or the store is closed, and replaced.
	changed chan struct{}
}

var (
	_ eventstore.Store              = (*Store)(nil)
	_ eventstore.Transactor[pgx.Tx] = (*Store)(nil)
)

// Open connects, and makes the schema if it is not there.
//
// Errors: those of the config; engine.ErrUnavailable, ErrUnauthorized; ErrNoTopic for a
// database that is not there; ErrMismatch for a schema of a newer version.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, pool: cfg.Pool, changed: make(chan struct{})}
	if s.pool == nil {
		pool, err := pgxpool.New(ctx, cfg.URL)
		if err != nil {
			return nil, postgres.Fault(ctx, "open", err)
		}
		s.pool, s.own = pool, true
	}
	err := s.migrate(ctx)
	if err == nil {
		err = s.refence(ctx)
	}
	if err != nil {
		if s.own {
			s.pool.Close()
		}
		return nil, postgres.Fault(ctx, "open", err)
	}
	s.bell = postgres.NewBell(postgres.BellConfig{
		Pool: s.pool, Channel: "troupe_" + cfg.Schema, Listen: cfg.Listen, OnError: cfg.OnError, OnConnect: s.refence,
		OnRing: func(string, bool) { s.wake() },
	})
	return s, nil
}

// Ready is that of [eventstore.Store].
func (s *Store) Ready(ctx context.Context) error {
	if err := s.enter(ctx, "ready"); err != nil {
		return err
	}
	var readOnly bool
	err := s.pool.QueryRow(ctx, "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean").Scan(&readOnly)
	if err == nil && readOnly {
		return &postgres.Error{Op: "ready", Kind: engine.ErrUnavailable, Err: errors.New("the server is read-only"), Fix: "lead the URL to the primary"}
	}
	return postgres.Fault(ctx, "ready", err)
}

// Close is that of [eventstore.Store]. It leaves a pool open that was given to it.
func (s *Store) Close(ctx context.Context) error {
	s.shut.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.wake()
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.bell.Close()
		if s.own {
			s.pool.Close()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgres: close: %w", context.Cause(ctx))
	}
}

// enter returns what stands against a call.
func (s *Store) enter(ctx context.Context, op string) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("postgres: %s: %w", op, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return closed(op)
	}
	return nil
}

func closed(op string) error { return fmt.Errorf("postgres: %s: %w", op, engine.ErrClosed) }

// failed is what a call returns that has failed.
func (s *Store) failed(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if s.enter(context.WithoutCancel(ctx), op) != nil {
		return closed(op)
	}
	return postgres.Fault(ctx, op, err)
}

func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// passing reports whether the same may be tried again at once.
func passing(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code == "23505" || said.Code == "40001" || said.Code == "40P01"
	}
	return false
}
