package watermill

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/engine"
)

// hexed begins the names of headers whose name in the metadata is not one that every
// engine can carry: what follows is that name, in hex.
const hexed = "watermill-x-"

func headerName(key string) string {
	const plain = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	if key != "" && strings.Trim(key, plain) == "" && !strings.HasPrefix(key, "ce-") &&
		!strings.HasPrefix(key, hexed) && key != "content-type" {
		return key
	}
	return hexed + hex.EncodeToString([]byte(key))
}

func metadataKey(header string) string {
	if rest, ok := strings.CutPrefix(header, hexed); ok {
		if key, err := hex.DecodeString(rest); err == nil {
			return string(key)
		}
	}
	return header
}

// recordOf is a message as a record. Its ID is the UUID, or a new one if it has none.
func recordOf(m *message.Message, cfg *PublisherConfig, topic string) engine.Record {
	r := engine.Record{ID: m.UUID, Source: cfg.Source, Type: topic, Time: time.Now(), ContentType: cfg.ContentType, Data: m.Payload}
	if cfg.Key != nil {
		r.Key = cfg.Key(m)
	}
	if t := m.Metadata.Get("content-type"); t != "" {
		r.ContentType = t
	}
	if r.ID == "" {
		r.ID = watermill.NewUUID()
	}
	for name, value := range m.Metadata {
		if r.Headers == nil {
			r.Headers = make(map[string]string, len(m.Metadata))
		}
		r.Headers[headerName(name)] = value
	}
	return r
}

// messageOf is a record as a message. What a topic of Troupe has published comes with
// its encoded event as the payload.
func messageOf(d *engine.Delivery) *message.Message {
	m := message.NewMessage(d.Record.ID, d.Record.Data)
	for name, value := range d.Record.Headers {
		m.Metadata.Set(metadataKey(name), value)
	}
	return m
}
