package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-go/troupe/ops"
)

// streams bounds the streams of events and ends them with the console, or with
// the server they are on: a server that shuts down waits for every request.
type streams struct {
	room  chan struct{}
	ended chan struct{}
	once  sync.Once

	mu      sync.Mutex
	servers map[*http.Server]chan struct{} // closed when it shuts down
}

func (s *streams) init(most int) {
	s.room, s.ended, s.servers = make(chan struct{}, most), make(chan struct{}), map[*http.Server]chan struct{}{}
}

func (s *streams) end() { s.once.Do(func() { close(s.ended) }) }

// follow returns what is closed when the request's server shuts down. It is called
// for every request, so that a stream is never the first.
func (s *streams) follow(r *http.Request) <-chan struct{} {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	down, known := s.servers[server]
	if !known {
		down = make(chan struct{})
		s.servers[server] = down
		server.RegisterOnShutdown(sync.OnceFunc(func() {
			close(down)
			s.mu.Lock()
			delete(s.servers, server)
			s.mu.Unlock()
		}))
	}
	return down
}

// events streams what happens until the reader leaves, StreamTime is over, or the
// server or console ends; the reader then connects again and says what it knows.
func (c *call) events() error {
	since, err := c.since()
	if err != nil {
		return err
	}
	select {
	case c.streams.room <- struct{}{}:
	default:
		return &fault{
			status: http.StatusServiceUnavailable, code: "too_many_streams", message: "console: as many streams of events as may be",
			fix: "close a page, or raise console.Config.MaxStreams",
		}
	}
	defer func() { <-c.streams.room }()
	down := c.streams.follow(c.r)
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // of a proxy
	if c.r.Method == http.MethodHead {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.cfg.StreamTime)
	defer cancel()
	happened := make(chan ops.Event)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for e := range c.desk.Watch(ctx, since) {
			select {
			case happened <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		<-watching
	}()
	out := &patient{ctl: http.NewResponseController(c.w), w: c.w}
	send := func(format string, args ...any) bool {
		_, err := fmt.Fprintf(out, format, args...)
		return err == nil && out.ctl.Flush() == nil
	}
	if !send("retry: 2000\n: here\n\n") {
		return nil
	}
	beat := time.NewTicker(c.cfg.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case e := <-happened:
			if c.may(Metadata, e.Topic) != nil {
				continue
			}
			if !c.sees(e.Topic) {
				hide(&e.Text)
			}
			data, err := json.Marshal(e)
			if err != nil || !send("id: %d\nevent: %s\ndata: %s\n\n", e.Number, "happened", data) {
				return nil
			}
		case <-beat.C:
			if !send(": still here\n\n") {
				return nil
			}
		case <-watching:
			return nil
		case <-ctx.Done():
			return nil
		case <-down:
			return nil
		case <-c.streams.ended:
			return nil
		}
	}
}

// since is the number of the last event that the reader knows.
func (c *call) since() (uint64, error) {
	name, last := "Last-Event-ID", c.r.Header.Get("Last-Event-ID")
	if last == "" {
		name, last = "since", c.text("since")
	}
	if last == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(last, 10, 64)
	if err != nil {
		return 0, bad(name, "console: "+name+" "+quote(last)+" is not the number of an event", "leave it out to begin with now")
	}
	return n, nil
}
