// Package protobuf keeps the events of a topic in Protocol Buffers: see
// topics.Config.Codec. The topic's type is a pointer to a generated message.
//
//	orders, err := topics.Open[*orderpb.Placed](rt, "orders.placed", topics.Config{Codec: protobuf.Codec{}})
package protobuf

import (
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// ContentType is the media type of Protocol Buffers.
const ContentType = "application/protobuf"

// ErrNotMessage is returned for a type that is no Protocol Buffers message.
var ErrNotMessage = errors.New("codec/protobuf: not a message")

// Codec encodes events that are generated messages. The zero value works, and is
// safe for concurrent use.
//
// The same event is encoded to the same bytes by the same program; other versions
// of it may order them differently, as Protocol Buffers have no canonical form.
// Fields that this program does not know are kept. Price: reflection finds the
// type of a message that is decoded; encoding needs none.
type Codec struct{}

// ContentType returns application/protobuf.
func (Codec) ContentType() string { return ContentType }

// Check returns an error that wraps [ErrNotMessage] unless typ is a pointer to a
// message.
func (Codec) Check(typ reflect.Type) error {
	switch {
	case typ == nil:
		return fmt.Errorf("%w: no type", ErrNotMessage)
	case typ.Kind() == reflect.Pointer && typ.Implements(message):
		return nil
	case typ.Kind() == reflect.Interface && typ.Implements(message):
		return fmt.Errorf("%w: %v is any of them: name a pointer to one", ErrNotMessage, typ)
	case typ.Kind() == reflect.Struct && reflect.PointerTo(typ).Implements(message):
		return fmt.Errorf("%w: %v is copied by value: use *%v", ErrNotMessage, typ, typ)
	}
	return fmt.Errorf("%w: %v does not implement proto.Message", ErrNotMessage, typ)
}

var message = reflect.TypeFor[proto.Message]()

// Marshal encodes event, which must be a message and not nil.
func (c Codec) Marshal(event any) ([]byte, error) {
	m, ok := event.(proto.Message)
	if !ok {
		return nil, c.Check(reflect.TypeOf(event))
	}
	if !m.ProtoReflect().IsValid() {
		return nil, fmt.Errorf("codec/protobuf: %T is nil", event)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Unmarshal decodes data into the message that into points to: a message, or a
// pointer to one, for which it makes a new one.
func (c Codec) Unmarshal(data []byte, into any) error {
	if m, ok := into.(proto.Message); ok {
		if !m.ProtoReflect().IsValid() {
			return fmt.Errorf("codec/protobuf: decode into a %T that is nil", into)
		}
		return proto.Unmarshal(data, m)
	}
	p := reflect.ValueOf(into)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("%w: %T is not a pointer to one", ErrNotMessage, into)
	}
	if err := c.Check(p.Type().Elem()); err != nil {
		return err
	}
	fresh := reflect.New(p.Type().Elem().Elem())
	if err := proto.Unmarshal(data, fresh.Interface().(proto.Message)); err != nil {
		return err
	}
	p.Elem().Set(fresh)
	return nil
}
