// Httpserver takes mails over HTTP and sends them in the background, with retries.
//
//	go run ./examples/embedding/httpserver &
//	curl -d '{"to":"ann@example.org","text":"hello"}' localhost:8080/mails
//	curl localhost:8080/ready
//
// Ctrl-C, or SIGTERM, closes the door first and then finishes what was accepted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *addr); err != nil {
		slog.Error("httpserver failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	slog.Info("listening", "addr", l.Addr().String())
	return serve(ctx, l, func(_ context.Context, m Mail) error {
		slog.Info("sent", "to", m.To) // a real one talks to a mail server here
		return nil
	}, 20*time.Second)
}

// serve serves l until ctx ends, and then takes drain at most to finish requests
// and mails. It returns nil if all that was accepted has been sent.
func serve(ctx context.Context, l net.Listener, send func(context.Context, Mail) error, drain time.Duration) error {
	p, err := newPost(send)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: p.routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var fault error
	select {
	case <-ctx.Done():
	case fault = <-served:
	}

	// The door first, so that each request is answered by a runtime that still
	// takes its mail; then the work. ctx has ended, so the deadline is a new one, and
	// a slow client may use up half of it at most.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	door, closed := context.WithTimeout(end, drain/2)
	defer closed()
	if err := server.Shutdown(door); err != nil {
		fault = errors.Join(fault, fmt.Errorf("requests under way: %w", err), server.Close())
	}
	report, err := p.rt.Shutdown(end)
	return errors.Join(fault, err, report.Err())
}
