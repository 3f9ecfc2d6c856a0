package kafka

import (
	"iter"
	"strings"
	"unsafe"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
)

// CloudEvents' binding for Kafka, §3.2.4.1: attributes are headers with this prefix.
// The envelope has them with "ce-".
const (
	attribute       = "ce_"
	envelopesPrefix = "ce-"
)

// header is the name of a header of the envelope on Kafka, and envelopeHeader the way
// back. Those of each record are constants, so that they cost a comparison and no map.
func header(name string) string {
	switch name {
	case "ce-id":
		return "ce_id"
	case "ce-source":
		return "ce_source"
	case "ce-type":
		return "ce_type"
	case "ce-specversion":
		return "ce_specversion"
	case "ce-time":
		return "ce_time"
	case "ce-partitionkey":
		return "ce_partitionkey"
	case "ce-schemaversion":
		return "ce_schemaversion"
	case "ce-traceparent":
		return "ce_traceparent"
	case "ce-tracestate":
		return "ce_tracestate"
	case "ce-datacontenttype":
		return "ce_datacontenttype"
	}
	if rest, ok := strings.CutPrefix(name, envelopesPrefix); ok {
		return attribute + rest
	}
	return name
}

func envelopeHeader(name string) string {
	switch name {
	case "ce_id":
		return "ce-id"
	case "ce_source":
		return "ce-source"
	case "ce_type":
		return "ce-type"
	case "ce_specversion":
		return "ce-specversion"
	case "ce_time":
		return "ce-time"
	case "ce_partitionkey":
		return "ce-partitionkey"
	case "ce_schemaversion":
		return "ce-schemaversion"
	case "ce_traceparent":
		return "ce-traceparent"
	case "ce_tracestate":
		return "ce-tracestate"
	case "ce_datacontenttype":
		return "ce-datacontenttype"
	}
	if rest, ok := strings.CutPrefix(name, attribute); ok {
		return envelopesPrefix + rest
	}
	return name
}

// sealer makes messages of the records of one Publish. Their headers lie in one array,
// and the bytes of these in another: what is outgrown stays with those that have it.
type sealer struct {
	envelope engine.Envelope
	topic    string
	headers  []kgo.RecordHeader
	bytes    []byte
	set      func(name, value string) // header
}

func (s *sealer) seal(r *engine.Record, m *kgo.Record) error {
	from := len(s.headers)
	body, err := s.envelope.Seal(r, s.set)
	if err != nil {
		return err
	}
	m.Topic, m.Value, m.Timestamp = s.topic, body, r.Time
	m.Headers = s.headers[from:len(s.headers):len(s.headers)]
	if r.Key != "" {
		m.Key = s.keep(r.Key)
	}
	return nil
}

func (s *sealer) header(name, value string) {
	s.headers = append(s.headers, kgo.RecordHeader{Key: header(name), Value: s.keep(value)})
}

func (s *sealer) keep(v string) []byte {
	from := len(s.bytes)
	s.bytes = append(s.bytes, v...)
	return s.bytes[from:len(s.bytes):len(s.bytes)]
}

// opener opens messages, one after the other.
type opener struct {
	envelope engine.Envelope
	topic    string
	message  *kgo.Record
	headers  iter.Seq2[string, string] // each
}

func newOpener(envelope engine.Envelope, topic string) *opener {
	o := &opener{envelope: envelope, topic: topic}
	o.headers = o.each
	return o
}

// each yields the headers of the message as the envelope knows them. The values are
// not copied: what the client has fetched is nobody else's, and it is in use as long as
// the record is, whose data lies beside it.
func (o *opener) each(yield func(string, string) bool) {
	for i := range o.message.Headers {
		h := &o.message.Headers[i]
		if !yield(envelopeHeader(h.Key), unsafe.String(unsafe.SliceData(h.Value), len(h.Value))) {
			return
		}
	}
}

// open makes a delivery's record of its message. What has no envelope, or one that is
// broken, gets an ID of its place and what Kafka itself knows of it.
func (o *opener) open(m *kgo.Record, d *engine.Delivery) {
	o.message = m
	r, err := o.envelope.Open(o.headers, m.Value)
	if err != nil {
		d.Fault = err
		r.Data = m.Value
		r.ID = o.topic + "/" + d.Place
		if r.Type == "" {
			r.Type = o.topic
		}
	}
	if r.Key == "" {
		r.Key = string(m.Key)
	}
	if r.Time.IsZero() {
		r.Time = m.Timestamp
	}
	d.Record = r
}
