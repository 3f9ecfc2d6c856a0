package console_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/ops"
)

// stream is an open stream of events.
type stream struct {
	t     *testing.T
	lines chan string // closed at its end
	resp  *http.Response
}

func (w *world) stream(url string, change ...func(*http.Request)) *stream {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url+"/ops/api/v1/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, fn := range change {
		fn(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &stream{t: w.t, lines: make(chan string, 1000), resp: resp}
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			s.lines <- in.Text()
		}
	}()
	w.t.Cleanup(func() { resp.Body.Close() })
	return s
}

// until returns the line that has the text in it, "" if the stream ends before.
func (s *stream) until(text string) string {
	s.t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				return ""
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-late:
			s.t.Fatalf("no line with %q", text)
		}
	}
}

func pause(w *world, why string) {
	w.t.Helper()
	if err := w.desk.PauseSubscriber(w.t.Context(), ops.By{Name: "ann", Why: why}, "bills", "billing"); err != nil {
		w.t.Fatal(err)
	}
}

func TestEventsResume(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Heartbeat: 20 * time.Millisecond})
	s := w.stream(w.server.URL)
	if got := s.resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("Content-Type %q", got)
	}
	s.until(": here")
	s.until("still here") // a heartbeat: the watch has begun
	pause(w, "one")
	id := s.until("id: ")
	s.until(`"kind":"subscriber"`)
	s.resp.Body.Close()
	pause(w, "two") // while nobody looks
	last := strings.TrimPrefix(id, "id: ")
	again := w.stream(w.server.URL, func(r *http.Request) { r.Header.Set("Last-Event-ID", last) })
	next := strings.TrimPrefix(again.until("id: "), "id: ")
	a, err1 := strconv.ParseUint(last, 10, 64)
	b, err2 := strconv.ParseUint(next, 10, 64)
	if err1 != nil || err2 != nil || b <= a {
		t.Errorf("resumed behind %s with %s", last, next)
	}
	if status, text, _ := w.ask("GET", "api/v1/events", nil, func(r *http.Request) { r.Header.Set("Last-Event-ID", "x") }); status != 400 || !strings.Contains(text, "Last-Event-ID") {
		t.Errorf("Last-Event-ID x = %d %s", status, text)
	}
}

func TestEventsAreLimited(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, MaxStreams: 2})
	first, second := w.stream(w.server.URL), w.stream(w.server.URL)
	first.until("here")
	second.until("here")
	status, text, h := w.ask("GET", "api/v1/events", nil)
	if status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || !strings.Contains(text, "MaxStreams") {
		t.Errorf("a third stream = %d %s", status, text)
	}
	first.resp.Body.Close()
	for { // its room is given back as soon as the server sees it
		s := w.stream(w.server.URL)
		if s.resp.StatusCode == http.StatusOK {
			break
		}
		s.resp.Body.Close()
	}
}

// TestEventsEnd holds what ends a stream: its time, the console, the server.
func TestEventsEnd(t *testing.T) {
	ends := func(s *stream) {
		t.Helper()
		if line := s.until("no such line"); line != "" {
			t.Errorf("the stream goes on with %q", line)
		}
	}
	w := newWorld(t, console.Config{Sample: console.NoSamples, StreamTime: 50 * time.Millisecond})
	ends(w.stream(w.server.URL))

	w = newWorld(t, console.Config{Sample: console.NoSamples})
	s := w.stream(w.server.URL)
	s.until("here")
	if err := w.console.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends(s)
	if status, text := w.get("overview"); status != http.StatusServiceUnavailable {
		t.Errorf("a closed console = %d %s", status, text)
	}

	w = newWorld(t, console.Config{Sample: console.NoSamples})
	other := httptest.NewServer(http.StripPrefix("/ops", w.console))
	defer other.Close()
	stays, goes := w.stream(w.server.URL), w.stream(other.URL)
	stays.until("here")
	goes.until("here")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := other.Config.Shutdown(ctx); err != nil { // which waits for every request
		t.Errorf("shutdown with a stream: %v", err)
	}
	ends(goes)
	pause(w, "to see it")
	if stays.until(`"kind":"subscriber"`) == "" {
		t.Error("the shutdown of one server has ended the stream of another")
	}
}

// TestEventsWithhold leaves texts and topics out, as other answers do.
func TestEventsWithhold(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Heartbeat: 20 * time.Millisecond, Authorize: except(func(a console.Action) bool {
		return a.Topic == "vault" || a.Right == console.Payload
	})})
	s := w.stream(w.server.URL)
	s.until("still here")
	if err := w.desk.PauseSubscriber(t.Context(), ops.By{Name: "ann"}, "vault", "keeper"); err != nil {
		t.Fatal(err)
	}
	pause(w, secret)
	for {
		line := s.until("data: ")
		if strings.Contains(line, `"topic":"vault"`) {
			t.Errorf("an event of a topic that may not be seen: %s", line)
		}
		if strings.Contains(line, `"topic":"bills"`) {
			if !strings.Contains(line, `"text":"(withheld)"`) {
				t.Errorf("the text of an event is not withheld: %s", line)
			}
			return
		}
	}
}
