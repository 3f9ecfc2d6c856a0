package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/ops"
)

// Watch gives what happens from now on, or since the event with that number. It
// goes on until ctx ends: a stream that breaks off is connected again, after a
// pause that grows to 10 s, from the last event on. What cannot be given any more
// is an event of kind "lost". A console that refuses the stream, or that cannot be
// reached, is an event of kind "error" with the reason as its text, each time; a
// refusal for want of rights ends it.
func (c *Client) Watch(ctx context.Context, since uint64) iter.Seq[ops.Event] {
	return func(yield func(ops.Event) bool) {
		pause := minPause
		for ctx.Err() == nil {
			err := c.stream(ctx, &since, func(e ops.Event) bool {
				pause = minPause
				return yield(e)
			})
			var refused *Error
			switch {
			case errors.Is(err, errEnough) || ctx.Err() != nil:
				return
			case err != nil:
				if !yield(ops.Event{At: time.Now(), Kind: "error", Text: err.Error()}) {
					return
				}
				if errors.As(err, &refused) && refused.Status/100 == 4 {
					return
				}
			}
			select {
			case <-time.After(pause):
				pause = min(2*pause, maxPause)
			case <-ctx.Done():
			}
		}
	}
}

const minPause, maxPause = 100 * time.Millisecond, 10 * time.Second

var errEnough = errors.New("client: enough")

// stream gives the events of one connection. It returns nil when the server has
// ended it.
func (c *Client) stream(ctx context.Context, since *uint64, give func(ops.Event) bool) error {
	r, err := c.request(ctx, http.MethodGet, "events", nil, nil)
	if err != nil {
		return err
	}
	if *since > 0 {
		r.Header.Set("Last-Event-ID", strconv.FormatUint(*since, 10))
	}
	resp, err := c.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e ops.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return err
		}
		*since = e.Number
		if !give(e) {
			return errEnough
		}
	}
	return nil // however it ended, the next one goes on from here
}
