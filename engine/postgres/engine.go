package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres/internal/text"
)

// Engine keeps topics in a schema of a database. Methods are safe for concurrent use.
type Engine struct {
	cfg  Config
	pool *pgxpool.Pool
	own  bool // the pool is ours

	insert string // SQL, made once

	// life ends with Close, done says so to those who wait.
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup
	shut sync.Once

	bell *Bell

	mu     sync.Mutex
	closed bool // nothing is started any more
	topics map[string]*Topic
	wakes  map[int32]map[waiter]struct{} // by topic
}

var _ engine.Engine = (*Engine)(nil)

// Open connects, and makes the schema if it is not there.
//
// Errors: those of the config; ErrUnavailable, ErrUnauthorized; ErrNoTopic for a
// database that is not there; ErrMismatch for a schema of a newer version.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, pool: cfg.Pool, topics: map[string]*Topic{}, wakes: map[int32]map[waiter]struct{}{}}
	if e.pool == nil {
		pool, err := pgxpool.New(ctx, cfg.URL)
		if err != nil {
			return nil, Fault(ctx, "open", err)
		}
		e.pool, e.own = pool, true
	}
	e.insert = e.sql(insertSQL)
	e.life, e.end = context.WithCancel(context.WithoutCancel(ctx))
	err := e.migrate(ctx)
	if err == nil {
		err = e.refence(ctx)
	}
	if err != nil {
		e.end()
		if e.own {
			e.pool.Close()
		}
		return nil, Fault(ctx, "open", err)
	}
	e.bell = NewBell(BellConfig{
		Pool: e.pool, Channel: e.channel(), Listen: cfg.Listen, OnError: cfg.OnError,
		// The server may be another than before, with a count of its own.
		OnConnect: e.refence,
		OnRing:    e.rung,
	})
	e.work.Go(e.clean)
	return e, nil
}

// Name implements [engine.Engine].
func (e *Engine) Name() string { return "postgres" }

// Ready returns nil if the server answers and can be written to.
func (e *Engine) Ready(ctx context.Context) error {
	if e.life.Err() != nil {
		return closed("ready")
	}
	var standby, readOnly bool
	err := e.pool.QueryRow(ctx, "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean").Scan(&standby, &readOnly)
	if err == nil && (standby || readOnly) {
		return &Error{Op: "ready", Kind: engine.ErrUnavailable, Err: errors.New("the server is read-only"), Fix: "lead the URL to the primary"}
	}
	return Fault(ctx, "ready", err)
}

// Open implements [engine.Engine]. A topic that is there with another Config.Keep is
// ErrMismatch.
func (e *Engine) Open(ctx context.Context, topic string) (engine.Topic, error) {
	return e.Topic(ctx, topic)
}

// Topic is Open, for those who publish in transactions of their own.
func (e *Engine) Topic(ctx context.Context, name string) (*Topic, error) {
	op := "open " + name
	if e.life.Err() != nil {
		return nil, closed(op)
	}
	if name == "" {
		return nil, errors.New("postgres: open: the name of a topic must not be empty")
	}
	e.mu.Lock()
	t := e.topics[name]
	e.mu.Unlock()
	if t != nil {
		return t, nil
	}
	var id int32
	var keep time.Duration
	find := func() error {
		return e.pool.QueryRow(ctx, e.sql("SELECT id, keep FROM {s}.topics WHERE name = $1"), text.To(name)).Scan(&id, &keep)
	}
	err := find()
	if errors.Is(err, pgx.ErrNoRows) {
		_, err = e.pool.Exec(ctx, e.sql("INSERT INTO {s}.topics (name, keep) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"), text.To(name), e.cfg.keep())
		if err == nil {
			err = find()
		}
	}
	if err != nil {
		return nil, Fault(ctx, op, err)
	}
	if keep != e.cfg.keep().Truncate(time.Microsecond) {
		return nil, &Error{
			Op: op, Kind: engine.ErrMismatch,
			Err: fmt.Errorf("the topic keeps records for %v, Config.Keep is %v", keep, e.cfg.keep()),
			Fix: fmt.Sprintf("set Config.Keep, or change the topic: UPDATE %s.topics SET keep = '%d microseconds' WHERE name = '%s'",
				e.cfg.Schema, e.cfg.keep().Microseconds(), strings.ReplaceAll(name, "'", "''")),
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.topics[name]; t != nil {
		return t, nil
	}
	t = newTopic(e, name, id)
	e.topics[name] = t
	return t, nil
}

// DropGroup forgets a group with its position and what it has not settled, which is
// what keeps records from being deleted. Its consumers get ErrNoTopic.
func (e *Engine) DropGroup(ctx context.Context, topic, group string) error {
	op := "drop group " + group + " of " + topic
	err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		var id int32
		err := tx.QueryRow(ctx, e.sql(`DELETE FROM {s}.groups g USING {s}.topics t
			WHERE t.id = g.topic AND t.name = $1 AND g.name = $2 RETURNING g.id`), text.To(topic), text.To(group)).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return &Error{Op: op, Kind: engine.ErrNoTopic, Err: errors.New("there is no such group")}
		}
		if err == nil {
			_, err = tx.Exec(ctx, e.sql("DELETE FROM {s}.deliveries WHERE grp = $1"), id)
		}
		return err
	})
	return Fault(ctx, op, err)
}

// Close ends what the engine has started, and its pool unless it was given one. It
// does not wait longer than ctx. What was accepted is stored.
func (e *Engine) Close(ctx context.Context) error {
	e.shut.Do(func() {
		e.end()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closed = true
		for _, waiters := range e.wakes {
			for w := range waiters {
				w.stop()
			}
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.work.Wait()
		e.bell.Close()
		if e.own {
			e.pool.Close()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgres: close: %w", context.Cause(ctx))
	}
}

func closed(op string) error { return fmt.Errorf("postgres: %s: %w", op, engine.ErrClosed) }

// wake has the consumers of a topic look.
func (e *Engine) wake(topic int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.wakes[topic] {
		w.wake()
	}
}

// published wakes who may have use for it, here at once and elsewhere soon.
func (e *Engine) published(topic int32) {
	e.wake(topic)
	e.bell.Ring(strconv.Itoa(int(topic)))
}

// rung hears of what others publish.
func (e *Engine) rung(payload string, all bool) {
	if all {
		e.wakeAll()
	} else if topic, err := strconv.ParseInt(payload, 10, 32); err == nil {
		e.wake(int32(topic))
	}
}

func (e *Engine) wakeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, waiters := range e.wakes {
		for w := range waiters {
			w.wake()
		}
	}
}

// start runs f, which Close waits for, unless the engine is closed.
func (e *Engine) start(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.work.Go(f)
	}
	return !e.closed
}

// waiter is what waits for records of a topic, until the engine is closed.
type waiter interface {
	wake()
	stop()
}

func (e *Engine) join(topic int32, w waiter) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	m := e.wakes[topic]
	if m == nil {
		m = map[waiter]struct{}{}
		e.wakes[topic] = m
	}
	m[w] = struct{}{}
	return true
}

func (e *Engine) leave(topic int32, w waiter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.wakes[topic], w)
}
