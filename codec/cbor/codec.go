// Package cbor keeps the events of a topic in CBOR (RFC 8949), a binary relative
// of JSON: see topics.Config.Codec.
//
//	readings, err := topics.Open[Reading](rt, "sensor.reading", topics.Config{Codec: cbor.Codec{}})
package cbor

import (
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// ContentType is the media type of CBOR (RFC 8949, section 9.3).
const ContentType = "application/cbor"

// Codec encodes events of any type that CBOR can express: not functions and
// channels. The tags of fields are `cbor`, else `json`. The zero value works, and
// is safe for concurrent use.
//
// The same event is encoded to the same bytes, in any program (RFC 8949, section
// 4.2.1). Times keep their nanoseconds and offset. In an interface, objects come
// back as map[string]any and integers as int64, or big.Int where they need it.
//
// Data that is nested too deeply, has a key twice or text that is not UTF-8 is
// refused.
type Codec struct{}

// ContentType returns application/cbor.
func (Codec) ContentType() string { return ContentType }

// Check returns an error for a type that has no encoding at all, such as a func.
// What an interface holds is seen only when it is encoded.
func (Codec) Check(typ reflect.Type) error {
	if typ == nil {
		return nil
	}
	switch typ.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return fmt.Errorf("codec/cbor: %v has no encoding", typ)
	}
	return nil
}

// Marshal encodes event.
func (Codec) Marshal(event any) ([]byte, error) { return encoding.Marshal(event) }

// Unmarshal decodes data into what into points to.
func (Codec) Unmarshal(data []byte, into any) error { return decoding.Unmarshal(data, into) }

var (
	encoding = must(func() cbor.EncOptions {
		o := cbor.CoreDetEncOptions()
		o.Time = cbor.TimeRFC3339Nano
		o.TimeTag = cbor.EncTagRequired // else a time in an interface comes back as text
		return o
	}().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:      cbor.DupMapKeyEnforcedAPF,
		IntDec:         cbor.IntDecConvertSignedOrBigInt,
		DefaultMapType: reflect.TypeFor[map[string]any](),
	}.DecMode())
)

// must is for options that are constant: they are valid, or no test passes.
func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}
