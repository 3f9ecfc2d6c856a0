package kafka

import (
	"sort"
	"strconv"
	"strings"
)

// note is what is written beside a commit, as its metadata: which of the records from
// the commit on have been handed out, how often, and which of these are settled. The
// next owner of the partition goes on from that.
//
//	troupe1 <to> <whole> <run>,<run>
//
// Before the offset to, all has been handed out. A run is "distance from the commit
// [+how many more] [*times] [!marks]" of records that are not settled. If whole is 1 no
// run is missing: what is in none is settled. Brokers take 4,096 bytes by default, so
// what does not fit is left out, and comes again with an Attempt of 2.
//
// That a commit can carry what lies beyond it is from Confluent's parallel consumer.
type note struct {
	to    int64
	whole bool
	runs  []run
}

type run struct {
	from, to        int64 // both are in it
	attempts, marks int
}

// known is what a note says of a record.
type known struct {
	attempts, marks int
	settled         bool
}

const (
	noteVersion = "troupe1"
	noteBytes   = 3600
)

// of returns what the note says of an offset; ok is that it says something.
func (n *note) of(offset int64) (k known, ok bool) {
	if offset >= n.to {
		return known{}, false
	}
	i := sort.Search(len(n.runs), func(i int) bool { return n.runs[i].to >= offset })
	switch {
	case i < len(n.runs) && n.runs[i].from <= offset:
		return known{attempts: n.runs[i].attempts, marks: n.runs[i].marks}, true
	case n.whole:
		return known{settled: true}, true
	}
	return known{attempts: 1}, true
}

// note writes down the partition as it is with its commit at the watermark. What is
// only fetched counts as handed out as far as noteTo, for it may be before the next
// note is written.
func (p *partition) note() string {
	base := p.watermark()
	to := max(p.handedTo(), p.noteTo, min(p.prior.to, p.end))
	if p.head == p.tail || to <= base {
		return ""
	}
	var runs []run
	for seq := p.head; seq < p.tail; seq++ {
		s := p.at(seq)
		if s.offset >= to {
			break
		}
		if s.state == settled {
			runs = append(runs, run{from: -1}) // ends a run
			continue
		}
		attempts := s.attempts
		if s.state == fresh && s.offset < p.noteTo {
			attempts++
		}
		if last := len(runs) - 1; last >= 0 && runs[last].from >= 0 && runs[last].attempts == attempts && runs[last].marks == s.marks {
			runs[last].to = s.offset
			continue
		}
		runs = append(runs, run{from: s.offset, to: s.offset, attempts: attempts, marks: s.marks})
	}
	return format(base, to, runs)
}

func format(base, to int64, runs []run) string {
	list := make([]byte, 0, 128)
	whole := byte('1')
	for _, r := range runs {
		if r.from < 0 {
			continue
		}
		if len(list) > noteBytes {
			whole = '0'
			break
		}
		if len(list) > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, r.from-base, 10)
		if r.to > r.from {
			list = strconv.AppendInt(append(list, '+'), r.to-r.from, 10)
		}
		if r.attempts != 1 {
			list = strconv.AppendInt(append(list, '*'), int64(r.attempts), 10)
		}
		if r.marks != 0 {
			list = strconv.AppendInt(append(list, '!'), int64(r.marks), 10)
		}
	}
	out := append(make([]byte, 0, len(list)+32), noteVersion...)
	out = strconv.AppendInt(append(out, ' '), to, 10)
	out = append(out, ' ', whole, ' ')
	return string(append(out, list...))
}

// parseNote reads what format has written. What another client has written, or is
// damaged, says nothing: the records come again, as without notes.
func parseNote(base int64, metadata string) note {
	fields := strings.Split(metadata, " ")
	if len(fields) != 4 || fields[0] != noteVersion {
		return note{}
	}
	to, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || fields[2] != "0" && fields[2] != "1" {
		return note{}
	}
	n := note{to: to, whole: fields[2] == "1"}
	last := base - 1
	for part := range strings.SplitSeq(fields[3], ",") {
		r, ok := parseRun(base, part)
		if !ok || r.from <= last {
			return note{}
		}
		last = r.to
		n.runs = append(n.runs, r)
	}
	return n
}

func parseRun(base int64, s string) (run, bool) {
	ok := true
	after := func(mark string) int64 {
		rest, digits, found := strings.Cut(s, mark)
		if !found {
			return -1
		}
		s = rest
		n, err := strconv.ParseInt(digits, 10, 64)
		ok = ok && err == nil && n >= 0
		return n
	}
	marks, attempts, more := after("!"), after("*"), after("+")
	from, err := strconv.ParseInt(s, 10, 64)
	r := run{from: base + from, to: base + from + max(more, 0), attempts: 1, marks: int(max(marks, 0))}
	if attempts >= 0 {
		r.attempts = int(attempts)
	}
	return r, ok && err == nil && from >= 0
}
