package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
)

// Order is what requests bring.
type Order struct {
	Event string `json:"event"`
	Seat  string `json:"seat"`
	Card  string `json:"card"`
}

// errCard is a failure that no retry helps: it becomes a dead letter at once.
var errCard = errors.New("card is refused")

// shop is the background work of the server, with its dead letters and console.
type shop struct {
	letters *sqlite.Store
	rt      *runtime.Runtime
	orders  *topics.Topic[Order]
	console *console.Console

	mu   sync.Mutex
	sold map[string]bool // event/seat
}

func openShop(store string) (*shop, error) {
	s := &shop{sold: map[string]bool{}}
	var err error
	s.letters, err = sqlite.Open(sqlite.Config{Path: store, OnError: func(err error) { slog.Error("dead letters", "error", err) }})
	if err != nil {
		return nil, err
	}
	s.rt, err = runtime.New(runtime.Config{Name: "tickets", DeadLetters: s.letters, Logger: telemetry.Slog(slog.Default().Handler())})
	if err != nil {
		return nil, errors.Join(err, s.letters.Close())
	}
	if s.orders, err = topics.Open[Order](s.rt, "orders.placed"); err == nil {
		_, err = s.orders.Subscribe("billing", s.bill, topics.SubscriberConfig{
			Timeout: 10 * time.Second, Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: 100 * time.Millisecond},
			Capacity: 1000, Overflow: mailbox.Reject, // a request does not wait for room
		})
	}
	if err != nil {
		_, closed := s.rt.Shutdown(context.Background())
		return nil, errors.Join(err, closed, s.letters.Close())
	}
	return s, nil
}

// bill sells a seat once, however often the order comes.
func (s *shop) bill(_ context.Context, o Order) error {
	if o.Card == "expired" {
		return supervisor.Permanent(fmt.Errorf("%w: %s", errCard, o.Card))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sold[o.Event+"/"+o.Seat] = true
	return nil
}

func (s *shop) routes(who staff) (http.Handler, error) {
	var err error
	// After the subscribers are there, for what it goes on with is for them.
	s.console, err = console.New(s.rt, console.Config{Environment: "example", Authorize: who.authorize, User: who.name})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.accept)
	mux.Handle("GET /live", telemetry.Live(s.rt))
	mux.Handle("GET /ready", telemetry.Ready(s.rt))
	mux.Handle("/ops/", who.login(http.StripPrefix("/ops", s.console)))
	return mux, nil
}

// accept takes an order: 202 means that it will be billed, or be a dead letter.
func (s *shop) accept(w http.ResponseWriter, r *http.Request) {
	var o Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
		http.Error(w, "order: "+err.Error(), http.StatusBadRequest)
		return
	}
	if o.Event == "" || o.Seat == "" {
		http.Error(w, `order: "event" and "seat" must not be empty`, http.StatusBadRequest)
		return
	}
	err := s.orders.Publish(r.Context(), o)
	var full *topics.FullError
	switch {
	case errors.As(err, &full), errors.Is(err, runtime.ErrClosed):
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// close finishes what was accepted, and then closes what the work stands on.
func (s *shop) close(ctx context.Context) error {
	report, err := s.rt.Shutdown(ctx)
	return errors.Join(err, report.Err(), s.letters.Close())
}
