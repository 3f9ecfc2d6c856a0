package deadletter

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// crockford is the alphabet of ULIDs: in ASCII order, so that texts sort like
// the numbers they stand for, and without I, L, O and U.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// idSequence numbers the IDs of this process. It starts at a random number
// below 2^31, which adds to what tells two processes apart and leaves at least
// 2^31 IDs until it wraps.
var idSequence atomic.Uint32

var seedIDs = sync.OnceFunc(func() {
	var b [4]byte
	rand.Read(b[:])
	idSequence.Store(binary.BigEndian.Uint32(b[:]) >> 1)
})

// NewID returns an ID for a letter made at now: 26 characters in the form of a
// ULID (https://github.com/ulid/spec), which need no escaping in a URL, a file
// name or a shell.
//
// IDs sort as text by the millisecond of now, and those made by one process in
// the same millisecond by the order of the calls, also if they interleave with
// calls for another time. Where the specification has 80 random bits, a
// sequence number takes 32 of them to hold that order; the other 48 come from
// crypto/rand. Times before 1970 count as 1970.
//
// NewID is safe for concurrent use and never fails.
func NewID(now time.Time) string {
	seedIDs()
	ms := uint64(max(now.UnixMilli(), 0))

	// 128 bits behind two zero bits: 26 characters carry 130. Base32 encodes
	// from the left in groups of five bytes, so the 17th byte holds the rest.
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], ms<<16)
	binary.BigEndian.PutUint32(b[6:10], idSequence.Add(1))
	rand.Read(b[10:])

	var padded [17]byte
	for i, c := range b {
		padded[i] |= c >> 2
		padded[i+1] = c << 6
	}
	var text [28]byte
	crockford.Encode(text[:], padded[:])
	return string(text[:26])
}
