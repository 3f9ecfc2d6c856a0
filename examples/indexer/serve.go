package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/user"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/runtime"
)

// server shows the pipeline and its dead letters in the browser until Ctrl-C.
type server struct {
	listener net.Listener
	says     io.Writer
	console  *console.Console
	http     http.Server
}

// listen opens the address of -serve. Whoever reaches it may do everything, so it has
// to be of this machine only.
func listen(addr string, says io.Writer) (*server, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("-serve %s: must be host:port, such as localhost:8081", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("-serve %s: must be an address of this machine only, such as localhost:8081: there is no login", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-serve %w", err)
	}
	return &server{listener: l, says: says}, nil
}

// start serves the console of rt.
func (s *server) start(rt *runtime.Runtime) (err error) {
	s.console, err = console.New(rt, console.Config{
		Environment: "indexer",
		Authorize:   func(*http.Request, console.Action) error { return nil },
		User:        func(*http.Request) string { return owner() },
	})
	if err != nil {
		return err
	}
	s.http = http.Server{Handler: s.console, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.http.Serve(s.listener) }() // ends with stop
	fmt.Fprintf(s.says, "console: http://%s/\n", s.listener.Addr())
	return nil
}

// wait tells that the work is done, and waits for Ctrl-C.
func (s *server) wait(ctx context.Context, status string) {
	fmt.Fprintf(s.says, "indexed: %s\nRepair a file and redrive its letter at http://%s/; Ctrl-C prints the result.\n", status, s.listener.Addr())
	<-ctx.Done()
}

// stop closes the door; what operations have begun is finished by the runtime.
func (s *server) stop(ctx context.Context) error {
	if s.console == nil {
		return s.listener.Close()
	}
	return errors.Join(s.console.Close(ctx), s.http.Shutdown(ctx))
}

// owner is who runs the program, for the audit trail.
func owner() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "owner"
}
