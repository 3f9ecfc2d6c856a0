// Package demo is a shop that fails: what an operator needs to try dead letters on.
package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// DefaultURL is where a demo listens that was told nothing else.
const DefaultURL = "http://127.0.0.1:8321/"

// repairPath takes a POST that repairs the tax service.
const repairPath = "/demo/repair"

// Config describes a demo.
type Config struct {
	// In repairs the tax service with each line; nil does not.
	In  io.Reader
	Out io.Writer
	// Addr is where the console listens.
	Addr string
	// Dir is the folder of the store and the socket, which is kept. Empty is a
	// temporary one.
	Dir string
	// For is how long it goes on, zero until its context ends. Once ends it when the
	// shop has failed in all its ways.
	For  time.Duration
	Once bool
	// Seed says which orders there are.
	Seed uint64
	// Ready is told where the console is. Nil is not.
	Ready func(url, socket, store string)
}

// Run opens the shop and returns when ctx has ended and everything is closed.
func Run(ctx context.Context, cfg Config) (err error) {
	dir := cfg.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "troupe-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if cfg.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.For)
		defer cancel()
	}
	path := filepath.Join(dir, "letters.db")
	store, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	rt, err := runtime.New(runtime.Config{Name: "shop", DeadLetters: store})
	if err != nil {
		return err
	}
	s, err := newShop(rt, cfg.Seed)
	if err != nil {
		return errors.Join(err, shutdown(rt, nil))
	}
	desk, err := ops.New(rt, ops.Config{Fixes: fixes()})
	if err != nil {
		return errors.Join(err, shutdown(rt, nil))
	}
	defer func() { err = errors.Join(err, shutdown(rt, desk)) }()
	return s.serve(ctx, cfg, desk, dir, path)
}

// shutdown ends the runtime and the desk; what waits for another attempt is a letter.
func shutdown(rt *runtime.Runtime, desk *ops.Desk) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, err := rt.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // a paused subscriber keeps its events: they are letters now
	}
	if desk != nil {
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, desk.Close(closing))
	}
	return err
}

func (s *shop) serve(ctx context.Context, cfg Config, desk *ops.Desk, dir, store string) (err error) {
	c, err := console.New(s.rt, console.Config{
		Desk: desk, Environment: "demo", Sample: time.Second,
		// Who reaches a loopback address of this machine may do everything here. A
		// program of your own asks who it is.
		Authorize: func(*http.Request, console.Action) error { return nil },
	})
	if err != nil {
		return err
	}
	closing := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.Background(), 5*time.Second)
	}
	defer func() {
		end, cancel := closing()
		defer cancel()
		err = errors.Join(err, c.Close(end))
	}()
	mux := http.NewServeMux()
	mux.Handle("POST "+repairPath, http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.repair(cfg.Out)
		w.WriteHeader(http.StatusNoContent)
	})))
	mux.Handle("/", c)
	tcp, err := listen(cfg.Addr)
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "troupe.sock")
	unix, err := console.Listen(socket)
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 2)
	go func() { served <- server.Serve(tcp) }()
	go func() { served <- server.Serve(unix) }()
	defer func() {
		end, cancel := closing()
		defer cancel()
		_ = c.Close(end) // ends streams, which a shutdown would wait for
		err = errors.Join(err, server.Shutdown(end))
		for range 2 {
			if e := <-served; !errors.Is(e, http.ErrServerClosed) {
				err = errors.Join(err, e)
			}
		}
	}()
	address := "http://" + tcp.Addr().String() + "/"
	fmt.Fprintf(cfg.Out, "The console is at %s; the shop opens.\n", address)
	if err := s.history(ctx, desk); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := s.welcome(ctx, cfg.Out, desk, address, socket, store); err != nil {
		return err
	}
	if cfg.Ready != nil {
		cfg.Ready(address, socket, store)
	}
	if cfg.Once {
		return nil
	}
	if cfg.In != nil {
		go s.listenFor(cfg.In, cfg.Out) // until the program ends: a terminal cannot be closed
	}
	s.traffic(ctx)
	fmt.Fprintln(cfg.Out, "\nThe shop closes.")
	return nil
}

// listen wants a loopback address: everybody who reaches the console may do
// everything.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w (--addr 127.0.0.1:0 takes any port)", err)
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = l.Close()
		return nil, fmt.Errorf("--addr %s: must be an address of this machine alone, such as 127.0.0.1:8321: the demo lets everybody do everything", addr)
	}
	return l, nil
}

// listenFor repairs the tax service with the first line.
func (s *shop) listenFor(in io.Reader, out io.Writer) {
	if bufio.NewScanner(in).Scan() {
		s.repair(out)
	}
}

func (s *shop) repair(out io.Writer) {
	if s.taxes.up.CompareAndSwap(false, true) {
		fmt.Fprintln(out, "\nThe tax service works again.")
	}
}

// Repair repairs the tax service of the demo that is there.
func Repair(ctx context.Context, server string) error {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" {
		return fmt.Errorf("%q: must be the address of a demo, such as %s", server, DefaultURL)
	}
	u.Path = repairPath
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s answers %s", u, resp.Status)
	}
	return nil
}
