package topics

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/troupe-go/troupe/runtime"
)

// ErrUnknownVersion is returned for a letter whose payload is of a version that
// the topic cannot read: a newer one, as after a return to an older program, or
// one that no upcast leads from.
var ErrUnknownVersion = errors.New("topics: unknown version")

// Upcast turns the encoded event of one version into that of the next. It works on
// bytes, so that a program need not keep the types of old versions; see
// [UpcastJSON] for one that would rather have them. It must not change payload,
// and be safe for concurrent use. A panic in it is an error.
//
// It may change the encoding as well, so the content type of a payload that was
// upcast is not checked.
type Upcast func(payload []byte) ([]byte, error)

// Upcasts says how to read what older versions have encoded: the upcast under n
// makes version n+1 of version n.
type Upcasts map[int]Upcast

// UpcastJSON makes an Upcast for events in JSON from a function of the two types.
func UpcastJSON[Old, New any](convert func(Old) (New, error)) Upcast {
	return UpcastOf(jsonCodec{}, convert)
}

// UpcastOf is [UpcastJSON] for events of another codec.
func UpcastOf[Old, New any](c Codec, convert func(Old) (New, error)) Upcast {
	return func(payload []byte) ([]byte, error) {
		var old Old
		if err := c.Unmarshal(payload, &old); err != nil {
			return nil, err
		}
		next, err := convert(old)
		if err != nil {
			return nil, err
		}
		return c.Marshal(next)
	}
}

func (u Upcasts) validate(version int) error {
	var faults []error
	if version < 1 {
		faults = append(faults, fmt.Errorf("Version %d: must not be negative", version))
	}
	if len(u) == 0 {
		return errors.Join(faults...)
	}
	from := slices.Sorted(maps.Keys(u))
	for _, n := range from {
		if n < 1 || n >= version {
			faults = append(faults, fmt.Errorf("Upcasts[%d]: must be from 1 or more and below Version, which is %d", n, version))
		}
		if u[n] == nil {
			faults = append(faults, fmt.Errorf("Upcasts[%d]: must not be nil", n))
		}
	}
	for n := max(from[0], 1); n < version; n++ {
		if _, ok := u[n]; !ok {
			faults = append(faults, fmt.Errorf("Upcasts[%d]: is missing between %d and Version, which is %d", n, from[0], version))
		}
	}
	return errors.Join(faults...)
}

// raise brings the payload of a letter up to version. raised says that it was of
// an older one.
func (u Upcasts) raise(topic string, version int, l runtime.Redelivered) (payload []byte, raised bool, err error) {
	have := max(l.SchemaVersion, 1)
	if have > version || have < version && u[have] == nil {
		return nil, false, fmt.Errorf("%w: the payload is version %d of %s, and topic %s reads %s",
			ErrUnknownVersion, have, l.GoType, topic, u.readable(version))
	}
	payload = l.Payload
	for n := have; n < version; n++ {
		err := survive(func() (err error) {
			payload, err = u[n](payload)
			return err
		})
		if err != nil {
			return nil, false, fmt.Errorf("topics: upcast %s of %s from version %d to %d: %w", l.GoType, topic, n, n+1, err)
		}
	}
	return payload, have < version, nil
}

// readable names the versions that can be read.
func (u Upcasts) readable(version int) string {
	if len(u) == 0 {
		return fmt.Sprintf("version %d only", version)
	}
	return fmt.Sprintf("versions %d to %d", slices.Min(slices.Collect(maps.Keys(u))), version)
}
