package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// summary says of a block of letters what its letters can be, so that those that have
// none a query selects are not read: the least and the greatest of some numbers and
// times, which of some fields any letter has, and a Bloom filter (B. Bloom, Space/time
// trade-offs in hash coding with allowable errors, CACM 13, 1970) of the names in them.
//
// It widens as letters come and change, and never narrows: a letter that has gone is
// read for in vain, and none is missed. A block without a summary, as versions before
// the third have written, may have anything.
type summary struct {
	ranges [rangeCount]span64
	has    uint32 // a bit for each of presences
	names  [bloomWords]uint64
}

// span64 is from the least to the greatest, and empty if least is above greatest.
type span64 struct{ least, greatest int64 }

var emptySpan = span64{math.MaxInt64, math.MinInt64}

func (s *span64) add(n int64) { s.least, s.greatest = min(s.least, n), max(s.greatest, n) }

// The numbers and times that have ranges, in their order in the file.
const (
	rangeSize = iota
	rangeAttempts
	rangeRedrives
	rangePublished
	rangeResolved
	rangeSequence // as a signed number, see other
	rangeFirst
	rangeLast
	rangeCount
)

var rangeOf = map[string]int{
	"size": rangeSize, "attempts": rangeAttempts, "redrives": rangeRedrives, "published": rangePublished, "resolved": rangeResolved, "seq": rangeSequence,
	"age": rangeFirst, "first": rangeFirst, "failed": rangeLast,
}

// presences are the fields of which it is known whether any letter has them, in their
// order in the file. A query that has: or looks into one needs a letter with it.
var presences = []string{"panic", "stack", "pattern", "imported", "snoozed", "closed", "op", "type", "cause", "header", "causation", "node", "content", "gotype", "corr", "event"}

// bloomWords is the size of the filter, and bloomHashes how many bits a name sets: of
// 50 names in a block one in 200 others seems to be there.
const (
	bloomWords  = 8
	bloomHashes = 3
)

// named are the fields whose names are in the filter: those of which few are in one
// block. Others are found by the full-text index.
var named = []string{"node", "cause", "pattern", "content", "gotype", "imported", "type", "closed", "op"}

func newSummary() *summary {
	s := &summary{}
	for i := range s.ranges {
		s.ranges[i] = emptySpan
	}
	return s
}

// add widens the summary by a letter.
func (s *summary) add(l *deadletter.Letter) {
	s.ranges[rangeSize].add(int64(len(l.Payload)))
	s.ranges[rangeAttempts].add(int64(max(l.AttemptCount, 0)))
	s.ranges[rangeRedrives].add(int64(max(l.RedriveCount(), 0)))
	s.ranges[rangeSequence].add(int64(l.Sequence))
	s.time(rangePublished, l.PublishedAt)
	s.time(rangeResolved, l.ResolvedAt())
	s.time(rangeFirst, l.FirstFailedAt)
	s.time(rangeLast, l.LastFailedAt)
	s.name("node", l.Node)
	s.name("cause", l.Cause)
	s.name("pattern", l.Pattern)
	s.name("content", l.ContentType)
	s.name("gotype", l.GoType)
	s.name("imported", l.ImportedFrom)
	for _, t := range l.ErrorTypes {
		s.name("type", t)
	}
	for c := l.Closed; c != nil; c = c.Before {
		s.name("closed", c.As)
		s.name("op", c.Operation)
	}
	for i := range l.Redrives {
		s.name("op", l.Redrives[i].Operation)
	}
	s.presence("panic", l.PanicValue != "")
	s.presence("stack", l.Stack != "")
	s.presence("snoozed", !l.SnoozedUntil.IsZero())
	s.presence("header", len(l.Headers) > 0)
	s.presence("causation", l.CausationID != "")
	s.presence("corr", l.CorrelationID != "")
	s.presence("event", l.EventID != "")
}

func (s *summary) time(i int, t time.Time) {
	if !t.IsZero() {
		s.ranges[i].add(nanos(t))
	}
}

func (s *summary) presence(field string, there bool) {
	if there {
		s.has |= 1 << slices.Index(presences, field)
	}
}

func (s *summary) name(field, name string) {
	if name == "" {
		return
	}
	s.presence(field, true)
	h := nameHash(field, name)
	for i := range uint64(bloomHashes) {
		bit := bloomBit(h, i)
		s.names[bit/64] |= 1 << (bit % 64)
	}
}

// bloomBit is the ith bit of a name, by double hashing (Kirsch and Mitzenmacher, Less
// hashing, same performance, ESA 2006).
func bloomBit(h, i uint64) uint64 { return (h&0xffffffff + i*(h>>32|1)) % (bloomWords * 64) }

// nameHash is FNV-1a, with a mix of its bits: it is written to files.
func nameHash(field, name string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{field, "\x00", name} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// join widens the summary by another.
func (s *summary) join(o *summary) {
	for i, r := range o.ranges {
		s.ranges[i].least, s.ranges[i].greatest = min(s.ranges[i].least, r.least), max(s.ranges[i].greatest, r.greatest)
	}
	s.has |= o.has
	for i, w := range o.names {
		s.names[i] |= w
	}
}

// summaryBytes is the size of a summary in the file.
const summaryBytes = rangeCount*16 + 4 + bloomWords*8

func (s *summary) bytes() []byte {
	b := make([]byte, 0, summaryBytes)
	for _, r := range s.ranges {
		b = binary.BigEndian.AppendUint64(b, uint64(r.least))
		b = binary.BigEndian.AppendUint64(b, uint64(r.greatest))
	}
	b = binary.BigEndian.AppendUint32(b, s.has)
	for _, w := range s.names {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return b
}

// readSummary reads what bytes wrote, and nothing of any other form: that block may
// have anything.
func readSummary(v driver.Value) *summary {
	b, _ := v.([]byte)
	if len(b) != summaryBytes {
		return nil
	}
	s := &summary{}
	word := func() uint64 { n := binary.BigEndian.Uint64(b); b = b[8:]; return n }
	for i := range s.ranges {
		s.ranges[i].least = int64(word())
		s.ranges[i].greatest = int64(word())
	}
	s.has, b = binary.BigEndian.Uint32(b), b[4:]
	for i := range s.names {
		s.names[i] = word()
	}
	return s
}

// mayHave is what a summary has to fulfill if a letter of its block is selected, or nil
// if any may.
type mayHave func(*summary) bool

// summaryOf makes that of an expression.
func summaryOf(n search.Node) mayHave {
	switch n := n.(type) {
	case *search.And:
		return joinMay(n.Nodes, false)
	case *search.Or:
		return joinMay(n.Nodes, true)
	case *search.Term:
		return summaryOfTerm(n)
	}
	return nil // a negation says nothing of what there is
}

func joinMay(nodes []search.Node, any bool) mayHave {
	var all []mayHave
	for _, n := range nodes {
		f := summaryOf(n)
		if f == nil && any {
			return nil
		}
		if f != nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(s *summary) bool {
		return any == slices.ContainsFunc(all, func(f mayHave) bool { return f(s) == any })
	}
}

func summaryOfTerm(t *search.Term) mayHave {
	if i, ok := rangeOf[t.Field]; ok {
		return summaryOfRange(t, i)
	}
	bit := slices.Index(presences, t.Field)
	if bit < 0 {
		return nil
	}
	there := func(s *summary) bool { return s.has&(1<<bit) != 0 }
	switch {
	case t.Op == search.Exists || t.Field == "header":
		return there
	case t.Field == "snoozed":
		if t.Value == "yes" {
			return there
		}
		return nil
	case t.Parts != nil && !slices.ContainsFunc(t.Parts, func(p string) bool { return p != "" }), t.Parts == nil && t.Value == "":
		return nil // nothing fits as well
	case t.Op == search.Match && t.Parts == nil && slices.Contains(named, t.Field):
		h := nameHash(t.Field, t.Value)
		return func(s *summary) bool {
			for i := range uint64(bloomHashes) {
				if bit := bloomBit(h, i); s.names[bit/64]&(1<<(bit%64)) == 0 {
					return false
				}
			}
			return true
		}
	case t.Op == search.Match || t.Op == search.Contains:
		return there
	}
	return nil
}

// summaryOfRange compares as numberTerm and timeTerm do: some letter has to be in what
// is looked for.
func summaryOfRange(t *search.Term, i int) mayHave {
	want := span64{math.MinInt64, math.MaxInt64}
	var from, until int64 // Match is from <= n < until
	op := t.Op
	if timeColumns[t.Field] != "" {
		if o, ok := older[op]; ok && t.Field == "age" {
			op = o
		}
		from, until = nanos(t.Time), nanos(t.Until)
	} else {
		if t.Op == search.Exists {
			return func(s *summary) bool { return s.ranges[i].least != 0 || s.ranges[i].greatest != 0 }
		}
		n, exact := t.Number.Floor()
		if n == math.MinInt64 || n == math.MaxInt64 {
			return nil
		}
		from, until = n, n+1
		if !exact {
			from = until // nothing is equal, and what is more is more than the floor
		}
	}
	if op != search.Exists && (from == math.MinInt64 || until == math.MaxInt64) {
		return nil // beyond what the file can say
	}
	switch op {
	case search.Match:
		want = span64{from, until - 1}
	case search.Less:
		want.greatest = from - 1
	case search.LessEqual:
		want.greatest = until - 1
	case search.Greater:
		want.least = until
	case search.GreaterEqual:
		want.least = from
	case search.Exists:
	default:
		return nil
	}
	return func(s *summary) bool {
		r := s.ranges[i]
		if i == rangeSequence && r.least < 0 {
			return true // beyond what is signed
		}
		return r.least <= r.greatest && r.least <= want.greatest && r.greatest >= want.least
	}
}
