package nats

import (
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/troupe-go/troupe/engine"
)

// Message is engine.Delivery.Message of this engine.
type Message struct {
	// Msg is the message as it came. It must not be settled, nor changed.
	Msg *natsgo.Msg
	// Sequence is its number in the stream, and Stored when it was stored, by the
	// server's clock.
	Sequence uint64
	Stored   time.Time

	d    engine.Delivery
	sub  *Subscription
	from *source
	// All below is guarded by sub.mu.
	until      time.Time // the end of its lease
	settled    bool
	marked     bool     // there may be a note of it
	note       string   // the ID of a Mark whose answer has not come
	prev, next *Message // of those that are out
}

// ackSubject is the first part of the subjects to which acknowledgments go.
const ackSubject = "$JS.ACK"

var errNoAckSubject = errors.New("nats: the message has no subject to acknowledge it at")

// delivered is what the subject says to which a message is to be acknowledged.
type delivered struct {
	times  int
	stream uint64
	stored int64
}

// parseReply reads such a subject.
//
//	$JS.ACK.<stream>.<consumer>.<times delivered>.<stream seq>.<consumer seq>.<time>.<waiting>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>. …the same… [.<random>]
//
// Source: the architecture decision record ADR-15 of NATS.
func parseReply(reply string) (delivered, error) {
	var d delivered
	tokens, at := strings.Count(reply, ".")+1, 4
	switch {
	case tokens < 9 || tokens == 10 || !strings.HasPrefix(reply, ackSubject+"."):
		return d, errNoAckSubject
	case tokens > 9:
		at = 6
	}
	rest := reply
	for range at {
		_, rest, _ = strings.Cut(rest, ".")
	}
	var err error
	number := func() uint64 {
		var s string
		s, rest, _ = strings.Cut(rest, ".")
		n, e := strconv.ParseUint(s, 10, 64)
		if e != nil {
			err = errNoAckSubject
		}
		return n
	}
	d.times = int(number())
	d.stream = number()
	number()
	d.stored = int64(number())
	return d, err
}

// open makes a delivery of an arrival.
func (s *Subscription) open(a arrival) (*Message, error) {
	at, err := parseReply(a.msg.Reply)
	if err != nil {
		return nil, err
	}
	m := &Message{
		Msg: a.msg, Sequence: at.stream, Stored: time.Unix(0, at.stored),
		sub: s, from: a.from, until: a.at.Add(s.lease),
	}
	d := &m.d
	d.Position = "sequence " + strconv.FormatUint(at.stream, 10)
	d.Place = d.Position[len("sequence "):]
	if d.Attempt = at.times; d.Attempt == 1 && at.stream <= a.from.suspect {
		d.Attempt = 2
	}
	d.Message = m
	d.Record, d.Fault = s.topic.e.cfg.Envelope.Open(headers(a.msg.Header), a.msg.Data)
	if d.Fault != nil {
		d.Record.Data = a.msg.Data
		if d.Record.ID == "" {
			d.Record.ID = s.topic.name + "/" + d.Place
		}
	}
	return m, nil
}

// headers are those that are not the server's own.
func headers(h natsgo.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for name, values := range h {
			if len(values) == 0 || strings.HasPrefix(name, "Nats-") {
				continue
			}
			if !yield(name, values[0]) {
				return
			}
		}
	}
}
