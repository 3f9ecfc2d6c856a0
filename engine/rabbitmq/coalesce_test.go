package rabbitmq

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// TestCoalescedKeepsOrder writes from several goroutines under a lock, as the client
// does, and finds everything at the other end, in order, also what Close found.
func TestCoalescedKeepsOrder(t *testing.T) {
	a, b := tcpPair(t)
	c := coalesce(a)
	const writers, each = 4, 20_000
	var mu sync.Mutex
	var want []byte
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				p := binary.BigEndian.AppendUint64(nil, uint64(w*each+i))
				mu.Lock()
				if n, err := c.Write(p); n != len(p) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
				want = append(want, p...)
				mu.Unlock()
			}
		})
	}
	got := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(b)
		got <- data
	}()
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if data := <-got; !bytes.Equal(data, want) {
		t.Errorf("%d bytes arrived of %d, or in another order", len(data), len(want))
	}
	if _, err := c.Write([]byte{1}); err == nil {
		t.Error("Write after Close returned nil")
	}
}

// TestCoalescedIsBounded fills a connection that nobody reads, and ends it.
func TestCoalescedIsBounded(t *testing.T) {
	a, b := tcpPair(t)
	c := coalesce(a)
	failed := make(chan int)
	go func() {
		n := 0
		for {
			if _, err := c.Write(make([]byte, 32<<10)); err != nil {
				failed <- n
				return
			}
			n++
			c.mu.Lock()
			if len(c.buf) > coalescedMax+32<<10 {
				t.Errorf("%d bytes wait, want at most %d", len(c.buf), coalescedMax+32<<10)
			}
			c.mu.Unlock()
		}
	}()
	select {
	case n := <-failed:
		t.Fatalf("Write %d failed before anything was wrong", n)
	case <-time.After(100 * time.Millisecond):
	}
	begin := time.Now()
	_ = c.Close()
	<-failed
	if took := time.Since(begin); took > 10*lastWords {
		t.Errorf("Close took %v", took)
	}
	_ = b.Close()
}

// TestCoalescedTellsWhatFailed: an error of the network is the next Write's.
func TestCoalescedTellsWhatFailed(t *testing.T) {
	a, b := tcpPair(t)
	c := coalesce(a)
	defer c.Close()
	_ = b.Close()
	for until := time.Now().Add(10 * time.Second); ; {
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
		if time.Now().After(until) {
			t.Fatal("Write to a closed connection never failed")
		}
	}
}
