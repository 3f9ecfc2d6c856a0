package engine

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Envelope is the form of records as messages, the same on every engine. nil in an
// engine's configuration is [CloudEvents]. Methods are safe for concurrent use.
type Envelope interface {
	// Seal returns the body of r's message and sets its headers, whose names are
	// in lower case and, where they are attributes of CloudEvents, begin with
	// "ce-"; an engine whose binding has another prefix puts that in its place.
	Seal(r *Record, set func(name, value string)) (body []byte, err error)
	// Open makes a record of a message, with headers as Seal sets them. It keeps
	// body, and headers of others.
	Open(headers iter.Seq2[string, string], body []byte) (Record, error)
}

// CloudEvents is CloudEvents 1.0 in binary mode: the body is Record.Data, and the
// attributes are headers. The key is the extension partitionkey, the header
// traceparent is the extension of that name, and the schema version is the extension
// schemaversion. bridge/cloudevents has the structured mode.
//
// Source: CloudEvents 1.0.2, §3, and its extensions for partitioning and distributed
// tracing. It is written here, and not taken from the SDK, because it is on the path
// of each event; the SDK is what its tests compare it with.
var CloudEvents Envelope = binary{}

type binary struct{}

const (
	specVersion = "1.0"

	headerContentType = "content-type"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
)

// ours reports whether a field of the record makes this header. Attributes of CloudEvents
// that it has no field for, as ce-subject, are headers of it.
func ours(name string) bool {
	switch name {
	case "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-partitionkey", "ce-schemaversion",
		"ce-datacontenttype", "ce-traceparent", "ce-tracestate", headerContentType:
		return true
	}
	return false
}

func (binary) Seal(r *Record, set func(name, value string)) ([]byte, error) {
	if r.ID == "" {
		return nil, errors.New("engine: a record must have an ID")
	}
	set("ce-specversion", specVersion)
	set("ce-id", EscapeHeader(r.ID))
	set("ce-source", EscapeHeader(or(r.Source, "/")))
	set("ce-type", EscapeHeader(or(r.Type, "event")))
	if !r.Time.IsZero() {
		set("ce-time", r.Time.UTC().Format(time.RFC3339Nano))
	}
	if r.Key != "" {
		set("ce-partitionkey", EscapeHeader(r.Key))
	}
	if r.SchemaVersion != 0 {
		set("ce-schemaversion", strconv.Itoa(r.SchemaVersion))
	}
	if r.ContentType != "" {
		set(headerContentType, r.ContentType)
	}
	for name, value := range r.Headers {
		switch {
		case name == headerTraceParent:
			set("ce-traceparent", value)
		case name == headerTraceState:
			set("ce-tracestate", value)
		case ours(name):
			return nil, fmt.Errorf("engine: header %q: is what the record says by itself", name)
		default:
			set(name, EscapeHeader(value))
		}
	}
	return r.Data, nil
}

func (binary) Open(headers iter.Seq2[string, string], body []byte) (Record, error) {
	p := openings.Get().(*opening)
	p.record.Data = body
	headers(p.header)
	r, err := p.end()
	*p = opening{header: p.header}
	openings.Put(p)
	return r, err
}

// opening is a record whose headers are being read. A loop over them would do the same,
// but headers is a function that nobody knows, so that the record and all else that the
// loop writes to would be allocated anew for each. BenchmarkOpen says what that saves.
type opening struct {
	record  Record
	version string
	faults  []error
	header  func(name, value string) bool // take
}

var openings = sync.Pool{New: func() any {
	p := &opening{}
	p.header = p.take
	return p
}}

func (p *opening) take(name, value string) bool {
	r := &p.record
	switch name {
	case "ce-specversion":
		p.version = value
	case "ce-id":
		r.ID = UnescapeHeader(value)
	case "ce-source":
		r.Source = UnescapeHeader(value)
	case "ce-type":
		r.Type = UnescapeHeader(value)
	case "ce-time":
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			p.faults = append(p.faults, fmt.Errorf("ce-time: %w", err))
		}
		r.Time = t
	case "ce-partitionkey":
		r.Key = UnescapeHeader(value)
	case "ce-schemaversion":
		n, err := strconv.Atoi(value)
		if err != nil {
			p.faults = append(p.faults, fmt.Errorf("ce-schemaversion %q: must be a number", value))
		}
		r.SchemaVersion = n
	case headerContentType, "ce-datacontenttype":
		r.ContentType = value
	case "ce-traceparent":
		r.header(headerTraceParent, value)
	case "ce-tracestate":
		r.header(headerTraceState, value)
	default:
		r.header(name, UnescapeHeader(value))
	}
	return true
}

func (p *opening) end() (Record, error) {
	r := p.record
	if p.version == "" && r.ID == "" {
		return r, ErrNotSealed
	}
	if p.version != specVersion {
		p.faults = append(p.faults, fmt.Errorf("ce-specversion %q: must be %s", p.version, specVersion))
	}
	if r.ID == "" {
		p.faults = append(p.faults, errors.New("ce-id: is missing"))
	}
	if err := errors.Join(p.faults...); err != nil {
		return r, fmt.Errorf("engine: CloudEvents: %w", err)
	}
	return r, nil
}

// ErrNotSealed is that a message has no envelope: somebody else has written it. The
// runtime takes its bytes as an event of the topic's codec.
var ErrNotSealed = errors.New("engine: the message has no envelope")

func (r *Record) header(name, value string) {
	if r.Headers == nil {
		r.Headers = map[string]string{}
	}
	r.Headers[name] = value
}

// Size returns how many bytes the data and headers of a record are, without what a
// message adds.
func (r *Record) Size() int {
	n := len(r.Data) + len(r.ID) + len(r.Key) + len(r.Source) + len(r.Type) + len(r.ContentType)
	for name, value := range r.Headers {
		n += len(name) + len(value)
	}
	return n
}

// EscapeHeader makes a value fit for the header of any protocol: what is not printable
// ASCII, and the space, the quote and the percent sign, are percent-encoded. Source:
// the binding for HTTP, §3.1.3.2.
func EscapeHeader(s string) string {
	for i := 0; i < len(s); i++ {
		if unfit[s[i]] {
			return escapeAll(s)
		}
	}
	return s
}

// unfit is a table, since every byte of what identifies an event is looked at.
var unfit = func() (table [256]bool) {
	for c := range table {
		table[c] = c <= ' ' || c > '~' || c == '%' || c == '"'
	}
	return table
}()

func escapeAll(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; unfit[c] {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// UnescapeHeader is the inverse of EscapeHeader. It leaves what is not escaped as it is.
func UnescapeHeader(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
