package nats

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

const (
	headerVersion = "ce-streamversion"
	metaPrefix    = "meta-"
)

// seal makes a message of an event. Its headers are those of CloudEvents.
func (s *Store) seal(stream eventstore.Stream, version eventstore.Version, ev eventstore.Event) *natsgo.Msg {
	m := natsgo.NewMsg(s.subject(stream))
	set := func(name, value string) { m.Header[name] = []string{value} }
	set("ce-specversion", "1.0")
	set("ce-id", pack(ev.ID))
	set("ce-source", "/"+s.cfg.Name)
	set("ce-type", ev.Type)
	set("ce-subject", pack(stream.String()))
	set("ce-time", ev.Time.Format(time.RFC3339Nano))
	set("ce-schemaversion", strconv.Itoa(ev.SchemaVersion))
	set(headerVersion, strconv.FormatInt(int64(version), 10))
	if ev.ContentType != "" {
		set("content-type", pack(ev.ContentType))
	}
	for name, value := range ev.Metadata {
		set(metaPrefix+name, pack(value))
	}
	m.Data = ev.Data
	return m
}

// unseal makes an event of a message.
func (s *Store) unseal(subject string, seq uint64, header natsgo.Header, data []byte) (eventstore.Recorded, error) {
	fault := func(err error) (eventstore.Recorded, error) {
		return eventstore.Recorded{}, fmt.Errorf("eventstore/nats: message %d of %s, subject %s: is no event: %w", seq, s.cfg.Name, subject, err)
	}
	r := eventstore.Recorded{Position: position(seq)}
	rest, ok := strings.CutPrefix(subject, s.cfg.Name+".")
	category, id, two := strings.Cut(rest, ".")
	if !ok || !two {
		return fault(fmt.Errorf("it has another subject: %w", engine.ErrMismatch))
	}
	var err error
	if id, err = unescape(id); err != nil {
		return fault(err)
	}
	r.Stream = eventstore.Stream{Category: category, ID: id}
	if r.Version, err = versionOf(header); err != nil {
		return fault(err)
	}
	for name, values := range header {
		if len(values) == 0 {
			continue
		}
		value := unpack(values[0])
		switch name {
		case "ce-id":
			r.ID = value
		case "ce-type":
			r.Type = value
		case "ce-time":
			if r.Time, err = time.Parse(time.RFC3339Nano, value); err != nil {
				return fault(err)
			}
		case "ce-schemaversion":
			if r.SchemaVersion, err = strconv.Atoi(value); err != nil {
				return fault(err)
			}
		case "content-type":
			r.ContentType = value
		default:
			if name, ok := strings.CutPrefix(name, metaPrefix); ok {
				if r.Metadata == nil {
					r.Metadata = map[string]string{}
				}
				r.Metadata[name] = value
			}
		}
	}
	r.Data = data
	return r, nil
}

func versionOf(header natsgo.Header) (eventstore.Version, error) {
	n, err := strconv.ParseInt(header.Get(headerVersion), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", headerVersion, err)
	}
	return eventstore.Version(n), nil
}

// pack percent-encodes what is not printable ASCII, spaces and percent signs: the client
// trims values.
func pack(s string) string {
	fit := true
	for i := range len(s) {
		fit = fit && s[i] > ' ' && s[i] < 0x7f && s[i] != '%'
	}
	if fit {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func unpack(s string) string {
	if strings.Contains(s, "%") {
		if u, err := url.PathUnescape(s); err == nil {
			return u
		}
	}
	return s
}

func position(seq uint64) eventstore.Position {
	return eventstore.Position(fmt.Sprintf("%016x", seq))
}

func sequence(p eventstore.Position) (uint64, error) {
	if p == eventstore.Start {
		return 0, nil
	}
	seq, err := strconv.ParseUint(string(p), 16, 64)
	if err != nil || len(p) != 16 || seq == 0 {
		return 0, fmt.Errorf("position %.40q: is none of this store: %w", string(p), engine.ErrMismatch)
	}
	return seq, nil
}
