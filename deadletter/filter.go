package deadletter

import "hash/maphash"

// keys holds the hashes of the four fields that a query can ask for. Equal
// fields have equal keys; equal keys are checked against the letter.
type keys [4]uint32

func keysOf(seed maphash.Seed, topic, subscriber, reason, fingerprint string) keys {
	hash := func(s string) uint32 { return uint32(maphash.String(seed, s)) }
	return keys{hash(topic), hash(subscriber), hash(reason), hash(fingerprint)}
}

// filter is a query prepared for looking at many letters.
type filter struct {
	// mask has all bits set for the fields the query names, want the keys
	// these must have.
	mask, want keys
	// matches is Query.Matcher, all is set if it selects every letter of the
	// sets that the query looks into.
	matches func(*Letter) bool
	all     bool
}

func newFilter(seed maphash.Seed, q Query) filter {
	f := filter{matches: q.Matcher(), want: keysOf(seed, q.Topic, q.Subscriber, q.Reason, q.Fingerprint)}
	for i, field := range [...]string{q.Topic, q.Subscriber, q.Reason, q.Fingerprint} {
		if field != "" {
			f.mask[i] = ^uint32(0)
		}
	}
	f.all = f.mask == (keys{}) && q.Where.Root == nil
	return f
}

func (f *filter) selects(s *slot) bool {
	k, w, m := &s.keys, &f.want, &f.mask
	if (k[0]^w[0])&m[0]|(k[1]^w[1])&m[1]|(k[2]^w[2])&m[2]|(k[3]^w[3])&m[3] != 0 {
		return false
	}
	return f.matches(&s.letter)
}
