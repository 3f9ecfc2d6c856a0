package actors

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"
)

// The headers in which an event says what it belongs to. They travel with it,
// into dead letters and through engines.
const (
	// HeaderCorrelation names the piece of work that the event is part of: the
	// id of the event that it began with, or what the first publisher has given.
	HeaderCorrelation = "correlation-id"
	// HeaderCausation is the id of the event whose handler has published this one.
	HeaderCausation = "causation-id"
)

// ID names the event: what its publisher gave it, else a UUID of version 7 (RFC
// 9562) that is derived from facts that do not change. It is the same for every
// subscriber, on every attempt, in the dead letter and when that is given back,
// and no other event has it, in this process or another.
//
// Derived IDs sort as text by PublishedAt to some 250 ns, and with that of one topic by
// Sequence. It is made when it is asked for, which takes one allocation.
func (d Delivery) ID() string {
	return identity{d.id, d.key}.of(d.PublishedAt, d.Sequence)
}

// CorrelationID names the piece of work that the event belongs to: its header
// [HeaderCorrelation], else its own ID, for it is what others may follow from.
func (d Delivery) CorrelationID() string {
	if id := d.Headers[HeaderCorrelation]; id != "" {
		return id
	}
	return d.ID()
}

// CausationID is the ID of the event in whose handler this one was published,
// empty if it is not known: see [HeaderCausation].
func (d Delivery) CausationID() string { return d.Headers[HeaderCausation] }

// NewID returns an ID for an event that is published at that time, for publishers
// that have to know it: see mailbox.Meta. IDs sort as text by the time to some 250 ns,
// then, in one process, in the order of the calls. Times before 1970 count as
// 1970.
func NewID(at time.Time) string {
	seedIDs()
	return deriveID(at, idKey, idCount.Add(1))
}

// idKey and idCount are what tells IDs apart that no log has numbered.
var (
	idKey   uint64
	idCount atomic.Uint64
	seedIDs = sync.OnceFunc(func() {
		var b [16]byte
		rand.Read(b[:])
		idKey = binary.BigEndian.Uint64(b[:])
		idCount.Store(binary.BigEndian.Uint64(b[8:]) % (1 << 21)) // it wraps at 1<<22
	})
)

// identity is what the ID of an event is made of, beside its time and sequence.
type identity struct {
	given string // by the publisher, or by the letter that came back
	key   uint64 // of the log
}

func (i identity) of(at time.Time, seq uint64) string {
	if i.given != "" || seq == 0 {
		return i.given
	}
	return deriveID(at, i.key, seq)
}

// newKey returns what tells the events of this log from those of all others: of
// other topics, and of a topic of the same name in another process, or in this
// one in another runtime or at another time.
func (s *System) newKey(topic string, serial uint64) uint64 {
	h := sha256.New()
	h.Write(s.instance[:])
	h.Write(binary.BigEndian.AppendUint64(nil, serial))
	h.Write([]byte(topic))
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// topicKey is newKey of a topic, remembered: for cells that are fed by several.
func (s *System) topicKey(topic string) uint64 {
	if key, ok := s.keys.Load(topic); ok {
		return key.(uint64)
	}
	key := s.newKey(topic, 0)
	s.keys.Store(topic, key)
	return key
}

// deriveID returns a UUID of version 7. Behind the milliseconds come the 12 bits
// of their fraction (RFC 9562, section 6.2, method 3), 22 bits of the sequence
// number, and 40 bits that depend on all of key and sequence number.
func deriveID(at time.Time, key, seq uint64) string {
	ns := max(at.UnixNano(), 0)
	ms, fraction := uint64(ns)/1e6, uint64(ns)%1e6<<12/1e6
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], ms<<16|7<<12|fraction)
	binary.BigEndian.PutUint64(b[8:], 0b10<<62|seq&(1<<22-1)<<40|mix(key+seq*0x9e3779b97f4a7c15)>>24)
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, 2014): a bijection, so one log has no two
// numbers with the same result.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
