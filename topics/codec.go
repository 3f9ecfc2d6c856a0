package topics

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Codec turns events into bytes and back, for dead letters. Methods are safe
// for concurrent use. A panic in one is an error. The same event is best encoded
// to the same bytes.
//
// A codec that cannot encode every type has a method Check(reflect.Type) error as
// well, so that [Open] says so and not the first dead letter.
//
// JSON is built in; see packages codec/protobuf and codec/cbor for others.
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

// checkType asks the codec whether it can encode the type.
func checkType(c Codec, typ reflect.Type) (err error) {
	checker, ok := c.(interface{ Check(reflect.Type) error })
	if !ok {
		return nil
	}
	if err := survive(func() error { return checker.Check(typ) }); err != nil {
		return fmt.Errorf("Codec %s: %w", c.ContentType(), err)
	}
	return nil
}

// decode returns the event of a letter of a topic with that configuration.
func decode[T any](topic string, c Config, l runtime.Redelivered) (ev T, err error) {
	if failed := survive(func() error { ev, err = decodeHere[T](topic, c, l); return nil }); failed != nil {
		return *new(T), fmt.Errorf("topics: decode %s as %v: %w", c.Codec.ContentType(), reflect.TypeFor[T](), failed)
	}
	return ev, err
}

// decodeHere is decode for who survives the user's code by himself, and calls it for
// many.
func decodeHere[T any](topic string, c Config, l runtime.Redelivered) (ev T, err error) {
	payload, raised, err := c.Upcasts.raise(topic, c.Version, l)
	if err != nil {
		return ev, err
	}
	// Who has rewritten the payload answers for its encoding, too.
	if have := c.Codec.ContentType(); l.ContentType != have && !raised {
		return ev, fmt.Errorf("topics: the codec of %s decodes %s, not %s", topic, have, l.ContentType)
	}
	if err := c.Codec.Unmarshal(payload, &ev); err != nil {
		return *new(T), fmt.Errorf("topics: decode %s as %v: %w", c.Codec.ContentType(), reflect.TypeFor[T](), err)
	}
	return ev, nil
}

// survive calls the user's f on a goroutine of its own: neither a panic nor Goexit
// must end what the call is part of.
func survive(f func() error) error {
	result := make(chan error, 1)
	go func() {
		err := error(supervisor.ErrGoexit)
		defer func() { result <- err }()
		var e error
		if r := panics.Try(func() { e = f() }); r != nil {
			e = &supervisor.PanicError{Value: r.Value, Stack: string(r.Stack)}
		}
		err = e
	}()
	return <-result
}
