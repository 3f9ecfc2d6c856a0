package eventstore

import (
	"fmt"
	"reflect"
)

// Type is one type of events; see [TypeOf].
type Type struct {
	name    string
	of      reflect.Type
	upcasts []Upcast
	decode  func(c Codec, data []byte) (any, error)
}

// TypeOf says that events of the Go type T are stored as those of that name, which does
// not change when the Go type is renamed. The upcasts make version 2 of version 1,
// version 3 of version 2 and so on, so that T is one version after the last of them. Old
// versions are in the store for ever, so none is ever left out.
func TypeOf[T any](name string, upcasts ...Upcast) Type {
	return Type{name: name, of: reflect.TypeFor[T](), upcasts: upcasts, decode: func(c Codec, data []byte) (any, error) {
		var ev T
		err := survive(func() error { return c.Unmarshal(data, &ev) })
		return ev, err
	}}
}

// Schema encodes and decodes the events of a program: values of several types, of which E
// is what they have in common, an interface or any. It is safe for concurrent use.
type Schema[E any] struct {
	codec  Codec
	byName map[string]*Type
	byType map[reflect.Type]*Type
}

// NewSchema returns a schema of these types. A nil codec is [JSON].
//
// Errors: everything that is wrong with the types, at once, as [ErrInvalid].
func NewSchema[E any](codec Codec, types ...Type) (*Schema[E], error) {
	if codec == nil {
		codec = JSON
	}
	s := &Schema[E]{codec: codec, byName: map[string]*Type{}, byType: map[reflect.Type]*Type{}}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for i := range types {
		t := &types[i]
		if t.decode == nil {
			fault("type %d: must be made by TypeOf", i)
			continue
		}
		if !named(t.name, "-_.") {
			fault("type %v: name %.40q: must be 1 to %d letters, digits, '-', '_' and '.'", t.of, t.name, maxName)
		}
		if !t.of.AssignableTo(reflect.TypeFor[E]()) {
			fault("type %v: must be assignable to %v", t.of, reflect.TypeFor[E]())
		}
		if t.of.Kind() == reflect.Interface {
			fault("type %v: must not be an interface", t.of)
		}
		if other := s.byName[t.name]; other != nil {
			fault("type %v: name %q: is that of %v, too", t.of, t.name, other.of)
		}
		if other := s.byType[t.of]; other != nil {
			fault("type %v: is there twice, as %q and %q", t.of, other.name, t.name)
		}
		for n, up := range t.upcasts {
			if up == nil {
				fault("type %v: the upcast from version %d must not be nil", t.of, n+1)
			}
		}
		s.byName[t.name], s.byType[t.of] = t, t
	}
	if len(faults) > 0 {
		return nil, invalid(faults)
	}
	return s, nil
}

// Encode makes an event of ev, without an ID.
//
// Errors: [ErrUnknownType]; those of the codec.
func (s *Schema[E]) Encode(ev E) (Event, error) {
	of := reflect.TypeOf(ev)
	t := s.byType[of]
	if t == nil {
		return Event{}, fmt.Errorf("%w: the schema has no %v", ErrUnknownType, of)
	}
	var data []byte
	err := survive(func() (err error) {
		data, err = s.codec.Marshal(ev)
		return err
	})
	if err != nil {
		return Event{}, fmt.Errorf("eventstore: encode %v: %w", of, err)
	}
	return Event{Type: t.name, SchemaVersion: t.version(), ContentType: s.codec.ContentType(), Data: data}, nil
}

// Decode returns the event that ev is, brought up to the version of its type if it is of
// an older one.
//
// Errors: [ErrUnknownType], [ErrUnknownVersion], which a newer program does not have;
// those of the codec and of upcasts.
func (s *Schema[E]) Decode(ev Event) (decoded E, err error) {
	t := s.byName[ev.Type]
	if t == nil {
		return decoded, fmt.Errorf("%w: event %s is a %q, which the schema does not have", ErrUnknownType, ev.ID, ev.Type)
	}
	have := max(ev.SchemaVersion, 1)
	if have > t.version() {
		return decoded, fmt.Errorf("%w: event %s is version %d of %q, and the schema reads versions 1 to %d", ErrUnknownVersion, ev.ID, have, ev.Type, t.version())
	}
	data := ev.Data
	for n := have; n < t.version(); n++ {
		err := survive(func() (err error) {
			data, err = t.upcasts[n-1](data)
			return err
		})
		if err != nil {
			return decoded, fmt.Errorf("eventstore: upcast event %s, a %q, from version %d to %d: %w", ev.ID, ev.Type, n, n+1, err)
		}
	}
	// Who has rewritten the data answers for its encoding, too.
	if want := s.codec.ContentType(); have == t.version() && ev.ContentType != want {
		return decoded, fmt.Errorf("eventstore: event %s, a %q, is %s, and the schema decodes %s", ev.ID, ev.Type, or(ev.ContentType, "of no content type"), want)
	}
	value, err := t.decode(s.codec, data)
	if err != nil {
		return decoded, fmt.Errorf("eventstore: decode event %s, a %q, as %v: %w", ev.ID, ev.Type, t.of, err)
	}
	return value.(E), nil
}

// Knows reports whether the schema has events of that type.
func (s *Schema[E]) Knows(typ string) bool { return s.byName[typ] != nil }

func (t *Type) version() int { return len(t.upcasts) + 1 }

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
