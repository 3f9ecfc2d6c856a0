package eventstore

// Upcast turns the encoded event of one version into that of the next. It works on
// bytes, so that a program need not keep the types of old versions; see [UpcastJSON] for
// one that would rather have them. It must not change data, and be safe for concurrent
// use. A panic in it is an error.
//
// It may change the encoding as well, so the content type of data that was upcast is not
// checked.
type Upcast func(data []byte) ([]byte, error)

// UpcastJSON makes an Upcast for events in JSON from a function of the two types.
func UpcastJSON[Old, New any](convert func(Old) (New, error)) Upcast {
	return UpcastOf(JSON, convert)
}

// UpcastOf is [UpcastJSON] for events of another codec.
func UpcastOf[Old, New any](c Codec, convert func(Old) (New, error)) Upcast {
	return func(data []byte) ([]byte, error) {
		var old Old
		if err := c.Unmarshal(data, &old); err != nil {
			return nil, err
		}
		next, err := convert(old)
		if err != nil {
			return nil, err
		}
		return c.Marshal(next)
	}
}
