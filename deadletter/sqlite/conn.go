package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"
)

// engine is a driver of our own: what it is given reaches no other user of the
// library in the process.
var engine = newEngine()

func newEngine() *sqlite.Driver {
	d := &sqlite.Driver{}
	registerFunctions(d)
	return d
}

// conn is one connection with its prepared statements. It is used by one
// goroutine at a time.
//
// It stands directly on the driver: preparing a statement costs more than most
// of ours take to run, and database/sql keeps none across a pool.
type conn struct {
	dc    driver.Conn
	stmts map[string]driver.Stmt
	named []driver.NamedValue // of the call that runs
	trace func(text string)   // is told of queries, if not nil
}

// maxStatements bounds the statements that queries of people leave behind.
const maxStatements = 256

// dsn makes the name by which the engine opens the file. The parameters are
// SQLite's own, pragmas are run in order.
func dsn(path, parameters string, pragmas ...string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: parameters}
	for _, p := range pragmas {
		u.RawQuery += "&_pragma=" + url.QueryEscape(p)
	}
	return u.String(), nil
}

func openConn(name string) (*conn, error) {
	dc, err := engine.Open(name)
	if err != nil {
		return nil, err
	}
	return &conn{dc: dc, stmts: map[string]driver.Stmt{}}, nil
}

func (c *conn) close() error {
	c.forget()
	return c.dc.Close()
}

func (c *conn) forget() {
	for _, s := range c.stmts {
		s.Close()
	}
	clear(c.stmts)
}

// usable reports whether the connection can be used again after an error.
func (c *conn) usable() bool {
	v, ok := c.dc.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *conn) prepare(text string) (driver.Stmt, error) {
	if s := c.stmts[text]; s != nil {
		return s, nil
	}
	if len(c.stmts) >= maxStatements {
		c.forget()
	}
	s, err := c.dc.(driver.ConnPrepareContext).PrepareContext(context.Background(), text)
	if err != nil {
		return nil, fmt.Errorf("%w, preparing %s", err, text)
	}
	c.stmts[text] = s
	return s, nil
}

// bind makes the engine's form of arguments, which are nil, string, []byte,
// int, int64 or float64. The engine copies them before it returns.
func (c *conn) bind(args []any) []driver.NamedValue {
	c.named = c.named[:0]
	for i, a := range args {
		if n, ok := a.(int); ok {
			a = int64(n)
		}
		c.named = append(c.named, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.named
}

// exec runs a statement without rows to its end, and returns how many rows it
// changed.
func (c *conn) exec(text string, args ...any) (int64, error) {
	s, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	// Without a context that can end, the engine starts no goroutine for it.
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// errStop ends a query early, without an error.
var errStop = errors.New("stop")

// query calls row with each row. The slice is reused, its values are not. A
// function that queries the same text meanwhile would disturb it.
func (c *conn) query(ctx context.Context, text string, args []any, row func([]any) error) error {
	if c.trace != nil {
		c.trace(text)
	}
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	values := make([]driver.Value, len(rows.Columns()))
	cells := make([]any, len(values))
	for err == nil {
		if err = rows.Next(values); err == nil {
			for i, v := range values {
				cells[i] = v
			}
			err = row(cells)
		}
	}
	if cerr := rows.Close(); errors.Is(err, io.EOF) || errors.Is(err, errStop) {
		err = cerr
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// number returns the one integer that a query gives, and 0 for none or NULL.
func (c *conn) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = c.query(ctx, text, args, func(v []any) error {
		n, _ = v[0].(int64)
		return errStop
	})
	return n, err
}

// textOf returns the one text that a query gives, and "" for none or NULL.
func (c *conn) textOf(ctx context.Context, text string, args ...any) (s string, err error) {
	err = c.query(ctx, text, args, func(v []any) error {
		s, _ = v[0].(string)
		return errStop
	})
	return s, err
}

// script runs statements that are not worth keeping, one after the other.
func (c *conn) script(text string) error {
	_, err := c.dc.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

// do is exec for a statement of which only the error counts.
func (c *conn) do(text string, args ...any) error {
	_, err := c.exec(text, args...)
	return err
}
