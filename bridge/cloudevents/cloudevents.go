// Package cloudevents is for programs that share topics with others who speak
// CloudEvents: [Structured] is the envelope whose messages are whole events in JSON,
// for systems that carry no headers or have readers who want one document;
// [FromRecord] and [ToRecord] are the way to the events of the CloudEvents SDK and back.
//
// Engines use the binary mode by themselves, engine.CloudEvents, which needs no SDK.
package cloudevents

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"mime"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/troupe-go/troupe/engine"
)

// The extensions that a record's fields make.
const (
	partitionKey  = "partitionkey"
	schemaVersion = "schemaversion"
	traceParent   = "traceparent"
	traceState    = "tracestate"
)

// attrPrefix is how a record names attributes that it has no field for.
const attrPrefix = "ce-"

// ContentType is that of the messages of Structured.
const ContentType = "application/cloudevents+json"

// Structured is CloudEvents 1.0 in structured mode: the body is the whole event as
// JSON, with data that is JSON as it is and other data in base64. Headers of a record
// that are no attributes travel as headers of the message.
//
// It costs about three times the binary mode (BenchmarkEnvelope). Source: CloudEvents 1.0.2, JSON format.
var Structured engine.Envelope = structured{}

type structured struct{}

func (structured) Seal(r *engine.Record, set func(name, value string)) ([]byte, error) {
	e, err := FromRecord(*r)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("cloudevents: %w", err)
	}
	set("content-type", ContentType)
	for name, value := range r.Headers {
		if !isAttribute(name) {
			set(name, engine.EscapeHeader(value))
		}
	}
	return body, nil
}

func (structured) Open(headers iter.Seq2[string, string], body []byte) (engine.Record, error) {
	others := map[string]string{}
	sealed, contentType := false, ""
	for name, value := range headers {
		if name == "content-type" {
			media, _, err := mime.ParseMediaType(value)
			sealed, contentType = err == nil && media == ContentType, value
			continue
		}
		others[name] = engine.UnescapeHeader(value)
	}
	if !sealed {
		return engine.Record{Data: body, ContentType: contentType, Headers: others}, engine.ErrNotSealed
	}
	var e event.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return engine.Record{Data: body, Headers: others}, fmt.Errorf("cloudevents: %w", err)
	}
	r, err := ToRecord(e)
	for name, value := range others {
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[name] = value
	}
	return r, err
}

// isAttribute reports whether a record's header is an attribute of its event.
func isAttribute(name string) bool {
	return name == traceParent || name == traceState || strings.HasPrefix(name, attrPrefix)
}

// FromRecord makes an event of a record. Headers that are no attributes are left out,
// as CloudEvents has no place for them.
//
// Errors: what is not valid in CloudEvents, all at once.
func FromRecord(r engine.Record) (event.Event, error) {
	e := event.New()
	e.SetID(r.ID)
	e.SetSource(or(r.Source, "/"))
	e.SetType(or(r.Type, "event"))
	if !r.Time.IsZero() {
		e.SetTime(r.Time)
	}
	if r.Key != "" {
		e.SetExtension(partitionKey, r.Key)
	}
	if r.SchemaVersion != 0 {
		e.SetExtension(schemaVersion, r.SchemaVersion)
	}
	for name, value := range r.Headers {
		switch attr := strings.TrimPrefix(name, attrPrefix); {
		case !isAttribute(name):
		case attr == "subject":
			e.SetSubject(value)
		case attr == "dataschema":
			e.SetDataSchema(value)
		default:
			e.SetExtension(attr, value)
		}
	}
	if r.ContentType != "" {
		e.SetDataContentType(r.ContentType)
	}
	if len(r.Data) > 0 {
		e.DataEncoded = r.Data
		e.DataBase64 = !isJSON(r.ContentType) || !json.Valid(r.Data)
	}
	if err := e.Validate(); err != nil {
		return e, fmt.Errorf("cloudevents: %w", err)
	}
	return e, nil
}

// isJSON is what the JSON format keeps as it is.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"))
}

// ToRecord makes a record of an event. Attributes that a record has no field for are
// its headers, with "ce-" before their names.
//
// Errors: what is not valid in CloudEvents, all at once; the version of the schema is
// no number.
func ToRecord(e event.Event) (engine.Record, error) {
	if err := e.Validate(); err != nil {
		return engine.Record{Data: e.Data()}, fmt.Errorf("cloudevents: %w", err)
	}
	r := engine.Record{
		ID: e.ID(), Source: e.Source(), Type: e.Type(), Time: e.Time(), ContentType: e.DataContentType(), Data: e.Data(),
	}
	var faults []error
	header := func(name, value string) {
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[name] = value
	}
	if s := e.Subject(); s != "" {
		header(attrPrefix+"subject", s)
	}
	if s := e.DataSchema(); s != "" {
		header(attrPrefix+"dataschema", s)
	}
	for name, value := range e.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			faults = append(faults, fmt.Errorf("cloudevents: extension %s: %w", name, err))
			continue
		}
		switch name {
		case partitionKey:
			r.Key = text
		case schemaVersion:
			n, err := types.ToInteger(value)
			if err != nil {
				faults = append(faults, fmt.Errorf("cloudevents: extension %s %q: must be a number", name, text))
			}
			r.SchemaVersion = int(n)
		case traceParent, traceState:
			header(name, text)
		default:
			header(attrPrefix+name, text)
		}
	}
	return r, errors.Join(faults...)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
