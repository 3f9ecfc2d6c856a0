package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
)

// maxBody is how large a request may be, in bytes.
const maxBody = 1 << 16

func (p *post) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mails", p.accept)
	mux.Handle("GET /live", telemetry.Live(p.rt))   // restart the process?
	mux.Handle("GET /ready", telemetry.Ready(p.rt)) // send it requests?
	mux.Handle("GET /state", telemetry.State(p.rt)) // for people; not for everybody
	return mux
}

// accept takes a mail: 202 means that it will be sent, or be a dead letter.
func (p *post) accept(w http.ResponseWriter, r *http.Request) {
	var m Mail
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&m)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "mail: "+err.Error(), http.StatusBadRequest)
		return
	case m.To == "":
		http.Error(w, `mail: "to" is empty: name who gets it`, http.StatusBadRequest)
		return
	}
	// The context of the request bounds this call. The mail outlives it.
	err = p.mails.Publish(r.Context(), m)
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
