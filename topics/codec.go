package topics

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/sourcegraph/conc/panics"
)

// Codec turns events into bytes and back, for dead letters. Methods are safe
// for concurrent use. A panic in one is an error.
type Codec interface {
	// ContentType names the encoding, such as application/json. A letter is
	// decoded only by a codec of the same name.
	ContentType() string
	// Marshal encodes an event.
	Marshal(event any) ([]byte, error)
	// Unmarshal decodes into the event that into points to.
	Unmarshal(data []byte, into any) error
}

// jsonCodec is the default.
type jsonCodec struct{}

func (jsonCodec) ContentType() string                   { return "application/json" }
func (jsonCodec) Marshal(event any) ([]byte, error)     { return json.Marshal(event) }
func (jsonCodec) Unmarshal(data []byte, into any) error { return json.Unmarshal(data, into) }

func decode[T any](c Codec, payload []byte, contentType string) (ev T, err error) {
	if have := c.ContentType(); contentType != have {
		return ev, fmt.Errorf("topics: the codec decodes %s, not %s", have, contentType)
	}
	if r := panics.Try(func() { err = c.Unmarshal(payload, &ev) }); r != nil {
		err = r.AsError()
	}
	if err != nil {
		return ev, fmt.Errorf("topics: decode %s as %v: %w", contentType, reflect.TypeFor[T](), err)
	}
	return ev, nil
}
