package runtime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/troupe-go/troupe/deadletter"
)

// Keep says how much of an event its dead letter keeps.
type Keep uint8

// What a letter can keep of the payload. But for KeepFull, it cannot be redriven as
// it is, and says so in its PayloadError.
const (
	// KeepFull keeps the payload.
	KeepFull Keep = iota
	// KeepRedacted keeps the form of a JSON payload: the names of the members, and
	// in place of each value the name of its kind. Of any other it keeps nothing.
	KeepRedacted
	// KeepHashed keeps "sha256:" and the hash, which tells whether two events are
	// the same. Who can guess a payload can check the guess.
	KeepHashed
	// KeepNothing keeps the number of bytes.
	KeepNothing
)

// PayloadPolicy is what the dead letters of a topic keep of the event's payload. The
// zero value keeps all.
type PayloadPolicy struct {
	Keep Keep
	// MaxBytes is how much of a payload is kept; of a longer one the beginning, which
	// cannot be redriven as it is. Zero is all that the store takes.
	MaxBytes int
}

// Validate reports every fault.
func (p PayloadPolicy) Validate() error {
	var faults []error
	if p.Keep > KeepNothing {
		faults = append(faults, fmt.Errorf("Keep %d: must be KeepFull, KeepRedacted, KeepHashed or KeepNothing", p.Keep))
	}
	if p.MaxBytes < 0 {
		faults = append(faults, fmt.Errorf("MaxBytes %d: must not be negative", p.MaxBytes))
	}
	return errors.Join(faults...)
}

// apply leaves in the letter what the policy keeps.
func (p PayloadPolicy) apply(l *deadletter.Letter) {
	n := len(l.Payload)
	if n == 0 {
		return
	}
	switch p.Keep {
	case KeepRedacted:
		l.Payload = outline(l.Payload)
		l.PayloadError = fmt.Sprintf("redacted by the topic's policy: %d bytes", n)
	case KeepHashed:
		sum := sha256.Sum256(l.Payload)
		l.Payload = []byte("sha256:" + hex.EncodeToString(sum[:]))
		l.PayloadError = fmt.Sprintf("hashed by the topic's policy: %d bytes", n)
	case KeepNothing:
		l.Payload = nil
		l.PayloadError = fmt.Sprintf("left out by the topic's policy: %d bytes", n)
	}
}

// cut bounds the payload, which is what is kept of it and has been redacted.
func (p PayloadPolicy) cut(l *deadletter.Letter) {
	if n := len(l.Payload); p.MaxBytes > 0 && n > p.MaxBytes {
		l.Payload = bytes.Clone(l.Payload[:p.MaxBytes])
		why := fmt.Sprintf("cut by the topic's policy: the first %d of %d bytes", p.MaxBytes, n)
		if l.PayloadError != "" {
			why = l.PayloadError + "; " + why
		}
		l.PayloadError = why
	}
}

// outline returns a JSON document with kinds in place of values, nil if the payload is
// none.
func outline(payload []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	if _, err := d.Token(); err != io.EOF {
		return nil
	}
	var kinds func(v any) any
	kinds = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				v[k] = kinds(e)
			}
			return v
		case []any:
			for i, e := range v {
				v[i] = kinds(e)
			}
			return v
		case string:
			return "string"
		case json.Number:
			return "number"
		case bool:
			return "bool"
		}
		return "null"
	}
	text, err := json.Marshal(kinds(v))
	if err != nil {
		return nil
	}
	return text
}
