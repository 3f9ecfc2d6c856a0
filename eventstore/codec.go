package eventstore

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// Codec turns events into bytes and back. It is that of package topics, so what is one
// there is one here: packages codec/protobuf and codec/cbor. Methods are safe for
// concurrent use. A panic in one is an error.
type Codec interface {
	// ContentType names the encoding, such as application/json.
	ContentType() string
	// Marshal encodes an event.
	Marshal(event any) ([]byte, error)
	// Unmarshal decodes into the event that into points to.
	Unmarshal(data []byte, into any) error
}

// JSON is the codec that is used if none is given.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) ContentType() string                   { return "application/json" }
func (jsonCodec) Marshal(event any) ([]byte, error)     { return json.Marshal(event) }
func (jsonCodec) Unmarshal(data []byte, into any) error { return json.Unmarshal(data, into) }

// survive makes an error of a panic in f, which is the user's.
func survive(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}
