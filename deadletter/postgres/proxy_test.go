package postgres_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a network between the store and the server that can fail.
type proxy struct {
	url    string
	target string
	// cutAt ends a connection when what goes to the server has the text: behind, when
	// it has gone, and the answer never comes; or else before.
	cutAt  atomic.Pointer[string]
	behind atomic.Bool
	cuts   atomic.Int32
	down   atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, conns: map[net.Conn]struct{}{}}
	u.Host = l.Addr().String()
	p.url = u.String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		wg.Wait()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if p.down.Load() {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client] = struct{}{}
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	defer wg.Wait()
	defer server.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			break
		}
		at := p.cutAt.Load()
		hit := at != nil && bytes.Contains(buf[:n], []byte(*at))
		if hit && !p.behind.Load() {
			p.cuts.Add(1)
			break
		}
		if hit {
			client.Close() // before the answer
			p.cuts.Add(1)
		}
		if _, err := server.Write(buf[:n]); err != nil || hit {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
}

// cut ends every connection as a network does.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}
