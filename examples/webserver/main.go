// Webserver sells tickets over HTTP, and has the console of its runtime under /ops,
// behind a login. Dead letters are in a file and survive the process.
//
//	OPERATORS="ada:secret:operator bob:other:viewer" go run ./examples/webserver -store letters.db &
//	curl -d '{"event":"opera","seat":"A1","card":"valid"}' localhost:8080/orders
//	open http://localhost:8080/ops/
//
// A viewer sees names and counts, an operator also payloads, and may change things. On
// a network put TLS in front of it: a password travels with every request.
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
	store := flag.String("store", "letters.db", "the file of dead letters")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *addr, *store, os.Getenv("OPERATORS")); err != nil {
		slog.Error("webserver failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, store, operators string) error {
	who, err := parseStaff(operators)
	if err != nil {
		return fmt.Errorf("OPERATORS: %w", err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	slog.Info("listening", "addr", l.Addr().String(), "console", "http://"+l.Addr().String()+"/ops/")
	return serve(ctx, l, store, who, 20*time.Second)
}

// serve serves l until ctx ends, and then takes drain at most to finish requests and
// orders.
func serve(ctx context.Context, l net.Listener, store string, who staff, drain time.Duration) error {
	s, err := openShop(store)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	handler, err := s.routes(who)
	if err != nil {
		return errors.Join(err, l.Close(), s.close(context.WithoutCancel(ctx)))
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var fault error
	select {
	case <-ctx.Done():
	case fault = <-served:
	}

	// The console first, whose streams would hold the door open for as long as anybody
	// looks; its operations go on when the program is started again. Then the door, then
	// the work, and last the file that its dead letters go to.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	fault = errors.Join(fault, s.console.Close(end))
	door, closed := context.WithTimeout(end, drain/2)
	defer closed()
	if err := server.Shutdown(door); err != nil {
		fault = errors.Join(fault, fmt.Errorf("requests under way: %w", err), server.Close())
	}
	return errors.Join(fault, s.close(end))
}
