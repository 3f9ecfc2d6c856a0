package exchange

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter"
)

// event is a letter as a CloudEvents 1.0 event
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
//
// The event is the one that died: its type is the payload's Go type, its time when
// it was published, its data the payload. Its id is the letter's, since one event
// may have died for many subscribers, and id and source together name an event.
type event struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time,omitempty"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
	DataBase64      []byte          `json:"data_base64,omitempty"`

	// Extensions of others.
	TraceParent  string `json:"traceparent,omitempty"`
	TraceState   string `json:"tracestate,omitempty"`
	PartitionKey string `json:"partitionkey,omitempty"`

	// Ours, for those who read events without knowing letters.
	DLID         string `json:"dlid"`
	DLTopic      string `json:"dltopic,omitempty"`
	DLSubscriber string `json:"dlsubscriber,omitempty"`
	DLReason     string `json:"dlreason,omitempty"`
	DLGroup      string `json:"dlgroup,omitempty"`
	DLState      string `json:"dlstate,omitempty"`
	DLAttempts   int32  `json:"dlattempts"`
	DLFirst      string `json:"dlfirst,omitempty"`
	DLLast       string `json:"dllast,omitempty"`
	DLErrType    string `json:"dlerrtype,omitempty"`
	DLErrMsg     string `json:"dlerrmsg,omitempty"`
	// DLLetter is the whole letter but for its payload, as a line of JSONLines. It
	// is binary, since attributes must not have control characters in them.
	DLLetter []byte `json:"dlletter"`
}

// maxAttribute bounds what an attribute repeats of the letter.
const maxAttribute = 1024

func encodeEvent(l deadletter.Letter) ([]byte, error) {
	header := func(name string) string {
		for k, v := range l.Headers {
			if strings.EqualFold(k, name) {
				return attribute(v)
			}
		}
		return ""
	}
	errType := ""
	if len(l.ErrorTypes) > 0 {
		errType = l.ErrorTypes[0]
	}
	e := event{
		SpecVersion: "1.0",
		ID:          cmp.Or(attribute(l.ID), "letter"),
		Source:      "/troupe/topics/" + url.PathEscape(l.Topic),
		Type:        cmp.Or(attribute(l.GoType), "troupe.event"),
		Subject:     attribute(l.Subscriber),
		Time:        timestamp(l.PublishedAt),
		TraceParent: header("traceparent"), TraceState: header("tracestate"), PartitionKey: header("partitionkey"),
		DLID: attribute(l.ID), DLTopic: attribute(l.Topic), DLSubscriber: attribute(l.Subscriber), DLReason: attribute(l.Reason),
		DLGroup: attribute(l.Fingerprint), DLState: string(l.State), DLAttempts: int32(min(max(l.AttemptCount, 0), 1<<31-1)),
		DLFirst: timestamp(l.FirstFailedAt), DLLast: timestamp(l.LastFailedAt),
		DLErrType: attribute(errType), DLErrMsg: attribute(l.Error),
	}
	isJSON := l.ContentType == ""
	if media, _, err := mime.ParseMediaType(l.ContentType); err == nil && attribute(l.ContentType) == l.ContentType {
		e.DataContentType = l.ContentType
		// For application/vnd.order+json, too, the specification wants JSON, but what
		// most programs read events with, sdk-go, wants a text then.
		isJSON = media == "application/json"
	}
	switch {
	case len(l.Payload) == 0:
	case isJSON && embeds(l.Payload):
		e.Data = l.Payload
	default:
		e.DataBase64 = l.Payload
	}
	l.Payload = nil
	var err error
	if e.DLLetter, err = encodeJSON(l); err != nil {
		return nil, err
	}
	return marshal(e)
}

// embeds reports whether a payload can be written into an event and read out of it
// without a byte being changed.
func embeds(payload []byte) bool {
	if !utf8.Valid(payload) || !json.Valid(payload) {
		return false
	}
	var b bytes.Buffer
	return json.Compact(&b, payload) == nil && bytes.Equal(b.Bytes(), payload) && !bytes.Equal(payload, []byte("null"))
}

func decodeEvent(text []byte) (deadletter.Letter, error) {
	// Extensions of others are no business of ours.
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return deadletter.Letter{}, err
	}
	switch {
	case e.SpecVersion != "1.0":
		return deadletter.Letter{}, fmt.Errorf("specversion %q: must be 1.0", e.SpecVersion)
	case e.ID == "" || e.Source == "" || e.Type == "":
		return deadletter.Letter{}, errors.New("an event without id, source or type")
	case e.Data != nil && e.DataBase64 != nil:
		return deadletter.Letter{}, errors.New("an event with data and data_base64")
	case len(e.DLLetter) == 0:
		return deadletter.Letter{}, errors.New("an event that is no dead letter: it has no dlletter")
	}
	l, err := decodeJSON(e.DLLetter)
	if err != nil {
		return deadletter.Letter{}, fmt.Errorf("dlletter: %w", err)
	}
	if e.DLID != attribute(l.ID) {
		return deadletter.Letter{}, fmt.Errorf("dlid %q: must be the ID in dlletter, %q", e.DLID, l.ID)
	}
	l.Payload = e.DataBase64
	if e.Data != nil {
		l.Payload = e.Data
	}
	return l, nil
}

// attribute makes the value of an attribute of a text: no control characters, no
// code points that are none, no blanks around it, since blanks alone are as good as
// none, and no more than is good for a header.
func attribute(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef {
			return utf8.RuneError
		}
		return r
	}, s) // bytes that are no UTF-8 become utf8.RuneError
	s = strings.TrimSpace(s)
	if len(s) <= maxAttribute {
		return s
	}
	cut := maxAttribute
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// timestamp writes a time that RFC 3339 can hold.
func timestamp(t time.Time) string {
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
