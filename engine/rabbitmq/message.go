package rabbitmq

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// The envelope's headers as AMQP's: the binding of CloudEvents for AMQP 1.0, §3.1.3,
// whose prefix is "cloudEvents:" and which takes "cloudEvents_", too. The content type
// is the message's property, the ID also its message-id.
const (
	attrPrefix      = "ce-"
	bindingPrefix   = "cloudEvents:"
	otherPrefix     = "cloudEvents_"
	contentType     = "content-type"
	headerAttempts  = "x-troupe-attempts" // how often it was delivered before it was put off
	headerPlace     = "x-troupe-place"
	headerDelivered = "x-delivery-count" // the broker's; since 4.3, only of what failed
	headerAcquired  = "x-acquired-count" // the broker's since 4.3
)

// frameRoom is what AMQP has for the headers of a message, which are one frame, beside
// properties.
const (
	frameMax  = 128 << 10
	frameRoom = frameMax - 2048
	shortMax  = 255
)

var toBinding, fromBinding = func() (to, from map[string]string) {
	to, from = map[string]string{}, map[string]string{}
	for _, attr := range []string{
		"specversion", "id", "source", "type", "time", "partitionkey", "schemaversion", "traceparent", "tracestate",
		"subject", "dataschema", "datacontenttype",
	} {
		to[attrPrefix+attr] = bindingPrefix + attr
		from[bindingPrefix+attr] = attrPrefix + attr
		from[otherPrefix+attr] = attrPrefix + attr
	}
	return to, from
}()

// seal makes a message of a record.
func (t *Topic) seal(r *engine.Record, place string) (amqp.Publishing, error) {
	if limit := int(t.maxRecord.Load()); r.Size() > limit {
		return amqp.Publishing{}, fmt.Errorf("rabbitmq: topic %s: record %s has %d bytes of at most %d: %w",
			t.name, r.ID, r.Size(), limit, engine.ErrTooLarge)
	}
	p := amqp.Publishing{Headers: make(amqp.Table, 8+len(r.Headers)), DeliveryMode: amqp.Persistent}
	size := 0
	var fault error
	body, err := t.e.cfg.Envelope.Seal(r, func(name, value string) {
		if name == contentType && len(value) <= shortMax {
			p.ContentType = value
			return
		}
		if binding, ok := toBinding[name]; ok {
			name = binding
		} else if strings.HasPrefix(name, attrPrefix) {
			name = bindingPrefix + name[len(attrPrefix):]
		} else if ours(name) {
			fault = fmt.Errorf("rabbitmq: topic %s: record %s: header %q: is the broker's or the engine's own", t.name, r.ID, name)
		}
		if len(name) > shortMax {
			fault = fmt.Errorf("rabbitmq: topic %s: record %s: a header's name has %d bytes of at most %d: %w",
				t.name, r.ID, len(name), shortMax, engine.ErrTooLarge)
		}
		size += len(name) + len(value) + 6
		p.Headers[name] = value
	})
	if err = errors.Join(err, fault); err != nil {
		return p, err
	}
	if size > frameRoom {
		return p, fmt.Errorf("rabbitmq: topic %s: record %s has headers of %d bytes of at most %d: %w",
			t.name, r.ID, size, frameRoom, engine.ErrTooLarge)
	}
	p.Headers[headerPlace] = place
	if len(r.ID) <= shortMax {
		p.MessageId = r.ID
	}
	p.Body = body
	return p, nil
}

// ours reports whether a header is none of the record's.
func ours(name string) bool {
	switch name {
	case headerDelivered, headerAttempts, headerPlace, headerAcquired, "x-death":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

// headersOf gives the envelope the headers of a message as it has set them.
func headersOf(d *amqp.Delivery) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if d.ContentType != "" && !yield(contentType, d.ContentType) {
			return
		}
		for name, v := range d.Headers {
			if ours(name) {
				continue
			}
			value, ok := v.(string)
			if !ok { // others may write numbers and times
				value = fmt.Sprint(v)
			}
			if attr, ok := fromBinding[name]; ok {
				name = attr
			} else if rest, ok := strings.CutPrefix(name, bindingPrefix); ok {
				name = attrPrefix + rest
			} else if rest, ok := strings.CutPrefix(name, otherPrefix); ok {
				name = attrPrefix + rest
			} else {
				name = strings.ToLower(name)
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

// attempt counts how often the group has been given the message: what the broker has
// counted since it was last put off, and what was before. RabbitMQ 4.3 and later has two
// counts, and basic.nack adds to one of them only.
func attempt(d *amqp.Delivery) int {
	counted := max(integer(d.Headers[headerDelivered]), integer(d.Headers[headerAcquired]))
	return 1 + counted + integer(d.Headers[headerAttempts])
}

func integer(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	case int16:
		return int(n)
	case int8:
		return int(n)
	case byte:
		return int(n)
	case uint16:
		return int(n)
	case uint32:
		return int(n)
	case uint64:
		return int(n)
	}
	return 0
}

// placeOf returns what the publisher has named the message. One that others have
// written has the digest of what is in it: RabbitMQ has no positions.
func placeOf(d *amqp.Delivery) string {
	if place, ok := d.Headers[headerPlace].(string); ok && place != "" {
		return place
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d\n", d.MessageId, d.CorrelationId, d.ContentType, d.Timestamp.UnixNano())
	h.Write(d.Body)
	return "sha256-" + hex.EncodeToString(h.Sum(nil)[:16])
}
