package aggregate

import (
	"encoding/json"
	"fmt"

	"github.com/troupe-go/troupe/eventstore"
)

// maxCommandID leaves room for the number of an event in its ID.
const maxCommandID = 180

// command is a message to an aggregate.
type command[C any] struct {
	ID      string `json:"id"`
	Command C      `json:"command"`
	given   bool   // the command's ID is the caller's
}

// answer is what comes back.
type answer[E any] struct {
	Result[E]
	refused error
}

// commandCodec encodes commands by a schema.
type commandCodec[C any] struct{ schema *eventstore.Schema[C] }

type encodedCommand struct {
	ID          string `json:"id"`
	Type        string `json:"type"`
	Version     int    `json:"version"`
	ContentType string `json:"content_type"`
	Data        []byte `json:"data,omitempty"`
	// JSON is the data of a codec that encodes as such, so that people can read it.
	JSON json.RawMessage `json:"command,omitempty"`
}

func (c *commandCodec[C]) ContentType() string { return "application/json" }

func (c *commandCodec[C]) Marshal(v any) ([]byte, error) {
	m := v.(command[C])
	ev, err := c.schema.Encode(m.Command)
	if err != nil {
		return nil, err
	}
	e := encodedCommand{ID: m.ID, Type: ev.Type, Version: ev.SchemaVersion, ContentType: ev.ContentType}
	if ev.ContentType == c.ContentType() {
		e.JSON = ev.Data
	} else {
		e.Data = ev.Data
	}
	return json.Marshal(e)
}

func (c *commandCodec[C]) Unmarshal(data []byte, into any) error {
	m, ok := into.(*command[C])
	if !ok {
		return fmt.Errorf("aggregate: decode a command into %T", into)
	}
	var e encodedCommand
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	ev := eventstore.Event{Type: e.Type, SchemaVersion: e.Version, ContentType: e.ContentType, Data: e.Data}
	if e.Data == nil {
		ev.Data = e.JSON
	}
	c2, err := c.schema.Decode(ev)
	if err != nil {
		return err
	}
	m.ID, m.Command = e.ID, c2
	return nil
}
