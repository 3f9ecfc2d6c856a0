package sqlite

import (
	"context"
	"errors"
	"sync"

	"modernc.org/sqlite"

	"github.com/troupe-go/troupe/deadletter"
)

// pool holds the connections that read. Each of its users sees the store as it
// was at one moment.
type pool struct {
	name string
	free chan *conn // as many as there may be; nil is one that is not open

	mu     sync.Mutex
	closed bool
	users  sync.WaitGroup
}

// readers is how many read at once. More only wait for the processors.
const readers = 8

func newPool(name string) *pool {
	p := &pool{name: name, free: make(chan *conn, readers)}
	for range readers {
		p.free <- nil
	}
	return p
}

// read calls fn within one transaction. It waits for a connection as long as
// ctx lasts.
func (p *pool) read(ctx context.Context, fn func(*conn) error) error {
	return p.outside(ctx, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := fn(c)
		// Nothing was written, so there is nothing that this could lose.
		if _, rerr := c.exec("ROLLBACK"); err == nil {
			err = rerr
		}
		return err
	})
}

// outside calls fn with a connection, outside of a transaction.
func (p *pool) outside(ctx context.Context, fn func(*conn) error) (err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return deadletter.ErrClosed
	}
	p.users.Add(1)
	p.mu.Unlock()
	defer p.users.Done()

	var c *conn
	select {
	case c = <-p.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	whole := false
	defer func() {
		// A connection that has seen a failure of the file is cheap to open again.
		var failed *sqlite.Error
		if c != nil && (!whole || errors.As(err, &failed) || !c.usable()) {
			c.close()
			c = nil
		}
		p.free <- c
	}()
	if c == nil {
		if c, err = openConn(p.name); err != nil {
			return err
		}
	}
	err = fn(c)
	whole = true
	return err
}

// fresh calls fn within one transaction of a new connection.
func (p *pool) fresh(ctx context.Context, fn func(*conn) error) error {
	return p.outside(ctx, func(*conn) error {
		c, err := openConn(p.name)
		if err != nil {
			return err
		}
		defer c.close()
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		return fn(c) // closing it ends the transaction, which wrote nothing
	})
}

// drop closes the connections, which are opened again when they are needed. It
// waits for those that are in use.
func (p *pool) drop() {
	for range readers {
		if c := <-p.free; c != nil {
			c.close()
		}
	}
	for range readers {
		p.free <- nil
	}
}

// close waits for the readers and closes their connections.
func (p *pool) close() {
	p.mu.Lock()
	already := p.closed
	p.closed = true
	p.mu.Unlock()
	p.users.Wait()
	if !already {
		p.drop()
	}
}
