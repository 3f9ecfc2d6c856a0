package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/runtime"
)

// probeTimeout is how long a runtime may take to answer a probe.
const probeTimeout = 2 * time.Second

// Health is the body of the answers of [Live] and [Ready].
type Health struct {
	Runtime string        `json:"runtime"`
	State   runtime.State `json:"state,omitempty"` // empty if the runtime does not answer
	// Status is ok or fail.
	Status string `json:"status"`
	// Faults are why the status is fail.
	Faults []runtime.Fault `json:"faults,omitempty"`
	// Warnings need a person, and do not make the status fail.
	Warnings []runtime.Fault `json:"warnings,omitempty"`
}

// The kinds of faults that are found here.
const (
	// FaultWedged is that of a runtime that does not answer.
	FaultWedged runtime.FaultKind = "wedged"
	// FaultCheck is that of a [Check] that has returned an error, or has not returned.
	FaultCheck runtime.FaultKind = "check"
)

// Check says what is not ready beside the runtime, such as a read model that has not
// caught up: projection.Projection.Ready is one. It is called for each request, all
// checks at once, with a context that ends after 2 s, and should end with that.
type Check func(ctx context.Context) error

// Live returns a handler that says whether the process works: 200 while rt
// answers, that is, its root supervisor decides and its account can be read,
// and 503 when that takes longer than 2 s. What is wrong with single subscribers
// is a warning, because a restart of the process would harm all others; so is
// the state of a runtime that drains or is closed, which must not be killed for
// that. The body is a [Health].
func Live(rt *runtime.Runtime) http.Handler {
	p := &prober{rt: rt}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.answer(w, r, func(runtime.Fault) bool { return false })
	})
}

// Ready returns a handler that says whether rt should be given work: 200 if it
// runs, no full mailbox holds publishers back, and the dead-letter store works,
// else 503 with what is not so. Subscribers that are escalated, cooling down or
// hung are warnings. So far for rt; each of the checks has to return nil, too. The body
// is a [Health].
func Ready(rt *runtime.Runtime, checks ...Check) http.Handler {
	p := &prober{rt: rt, checks: checks}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.answer(w, r, func(f runtime.Fault) bool { return f.Kind != runtime.FaultSubscriber })
	})
}

// prober asks a runtime, with one goroutine at most that waits for the answer:
// one that is wedged must not gather them.
type prober struct {
	rt     *runtime.Runtime
	checks []Check

	mu      sync.Mutex
	pending chan struct{} // closed when the probe that runs has its answer
	last    runtime.Snapshot
}

// probe returns a snapshot that is as old as the question, or false.
func (p *prober) probe(ctx context.Context) (runtime.Snapshot, bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for round, fresh := 0, false; ; round++ {
		p.mu.Lock()
		if fresh {
			defer p.mu.Unlock()
			return p.last, true
		}
		pending, ours := p.pending, p.pending == nil
		if ours {
			pending = make(chan struct{})
			p.pending = pending
			go p.ask(pending)
		}
		p.mu.Unlock()
		select {
		case <-pending:
			fresh = ours || round > 0 // else it was asked before us
		case <-ctx.Done():
			return runtime.Snapshot{}, false
		}
	}
}

func (p *prober) ask(answered chan struct{}) {
	// Without a limit: whether it takes too long is for those to say who wait.
	_ = p.rt.Actors().Ping(context.Background()) // a tree that has stopped has answered
	snap := p.rt.Snapshot()
	p.mu.Lock()
	p.last, p.pending = snap, nil
	p.mu.Unlock()
	close(answered)
}

// check asks all checks. One that does not return is left behind.
func (p *prober) check(ctx context.Context) (faults []runtime.Fault) {
	if len(p.checks) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answers := make([]chan error, len(p.checks))
	for i, check := range p.checks {
		answers[i] = make(chan error, 1)
		go func() {
			err := errors.New("a check panicked")
			if r := panics.Try(func() { err = check(ctx) }); r != nil {
				err = fmt.Errorf("%w: %v", err, r.Value)
			}
			answers[i] <- err
		}()
	}
	for i, answer := range answers {
		var err error
		select {
		case err = <-answer:
		case <-ctx.Done():
			select { // both may be so
			case err = <-answer:
			default:
				err = fmt.Errorf("check %d does not answer within %v", i+1, probeTimeout)
			}
		}
		if err != nil {
			faults = append(faults, runtime.Fault{Kind: FaultCheck, Message: err.Error()})
		}
	}
	return faults
}

func (p *prober) answer(w http.ResponseWriter, r *http.Request, bad func(runtime.Fault) bool) {
	h := Health{Runtime: p.rt.Name(), Status: "ok"}
	if snap, ok := p.probe(r.Context()); !ok {
		h.Faults = []runtime.Fault{{Kind: FaultWedged, Message: "runtime " + h.Runtime + ": does not answer within " + probeTimeout.String()}}
	} else {
		h.State = snap.State
		for _, f := range snap.Faults() {
			if bad(f) {
				h.Faults = append(h.Faults, f)
			} else {
				h.Warnings = append(h.Warnings, f)
			}
		}
	}
	h.Faults = append(h.Faults, p.check(r.Context())...)
	status := http.StatusOK
	if len(h.Faults) > 0 {
		h.Status, status = "fail", http.StatusServiceUnavailable
	}
	writeJSON(w, status, h)
}

// State returns a handler that shows runtime.Runtime.Describe: as text, or as
// JSON to a request with ?format=json or one that accepts application/json only.
// It shows names and configuration, so it is not for everybody.
func State(rt *runtime.Runtime) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := rt.Describe()
		if wantsJSON(r) {
			writeJSON(w, http.StatusOK, d)
			return
		}
		head(w, "text/plain; charset=utf-8", http.StatusOK)
		_, _ = w.Write([]byte(d.String())) // who has gone cannot be told
	})
}

func wantsJSON(r *http.Request) bool {
	switch r.URL.Query().Get("format") {
	case "json":
		return true
	case "":
		return r.Header.Get("Accept") == "application/json"
	}
	return false
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	head(w, "application/json", status)
	_, _ = w.Write(append(body, '\n'))
}

func head(w http.ResponseWriter, contentType string, status int) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
}
