package rabbitmq

import (
	"net"
	"sync"
	"time"
)

// coalesced is a connection that writes what others have given it while it wrote: the
// client writes to the socket for every message and every acknowledgment, and most of
// their price is the system call. Nothing waits for more to come: an idle connection
// writes at once.
//
// A Write that returns nil has not reached the server. It need not: a record counts as
// stored when the server confirms it, and a settlement that is lost comes again.
//
// buf and err belong to mu. The goroutine of flush is the only one that writes.
type coalesced struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond // buf, err or closing
	buf     []byte
	spare   []byte
	err     error
	closing bool

	closed chan struct{} // closed when flush has ended
}

const (
	// coalescedMax is how much may wait before Write does.
	coalescedMax = 256 << 10
	// lastWords is how long Close lets the rest take.
	lastWords = time.Second
)

func coalesce(conn net.Conn) *coalesced {
	c := &coalesced{Conn: conn, closed: make(chan struct{})}
	c.changed.L = &c.mu
	go c.flush()
	return c
}

func (c *coalesced) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.buf) >= coalescedMax && c.err == nil && !c.closing {
		c.changed.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.closing {
		return 0, net.ErrClosed
	}
	c.buf = append(c.buf, p...)
	c.changed.Broadcast()
	return len(p), nil
}

func (c *coalesced) flush() {
	defer close(c.closed)
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.buf) == 0 && !c.closing {
			c.changed.Wait()
		}
		if len(c.buf) == 0 || c.err != nil {
			return
		}
		out := c.buf
		c.buf = c.spare[:0]
		c.changed.Broadcast()
		c.mu.Unlock()
		_, err := c.Conn.Write(out)
		c.mu.Lock()
		c.spare = out
		if cap(out) > 4*coalescedMax { // one large record must not keep its room for ever
			c.spare = nil
		}
		if err != nil {
			c.err = err
			c.changed.Broadcast()
			return
		}
	}
}

// Close writes the rest, if that takes no longer than lastWords, and closes.
func (c *coalesced) Close() error {
	c.mu.Lock()
	c.closing = true
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.Conn.SetWriteDeadline(time.Now().Add(lastWords)) // fails on a closed one
	<-c.closed
	return c.Conn.Close()
}
