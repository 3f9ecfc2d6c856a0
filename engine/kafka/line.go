package kafka

import (
	"container/heap"
	"slices"
	"time"
)

// line is the records of a key that wait under KeyOrder, in their order: one that was
// given back, and those behind it that have not been handed out.
type line struct{ seqs []uint64 }

// join adds a slot where its place is.
func (l *line) join(seq uint64) {
	i, found := slices.BinarySearch(l.seqs, seq)
	if !found {
		l.seqs = slices.Insert(l.seqs, i, seq)
	}
}

// lineUp makes a slot wait behind those of its key.
func (p *partition) lineUp(key string, seq uint64) {
	l := p.lines[key]
	if l == nil {
		if p.lines == nil {
			p.lines = map[string]*line{}
		}
		l = &line{}
		p.lines[key] = l
	}
	l.join(seq)
}

// alarm is when a record that was given back is due.
type alarm struct {
	at  time.Time
	p   *partition
	seq uint64
}

// alarms is a heap of them. One whose slot is not waiting for that time any more is
// passed over when it comes.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = alarm{}
	*a = (*a)[:last]
	return x
}

func (a *alarms) set(at time.Time, p *partition, seq uint64) {
	heap.Push(a, alarm{at: at, p: p, seq: seq})
}

// due takes the next one whose time has come.
func (a *alarms) due(now time.Time) (alarm, bool) {
	for len(*a) > 0 {
		next := (*a)[0]
		if !next.valid() {
			heap.Pop(a)
			continue
		}
		if next.at.After(now) {
			return alarm{}, false
		}
		heap.Pop(a)
		return next, true
	}
	return alarm{}, false
}

func (x alarm) valid() bool {
	if x.p.gone || x.seq < x.p.head || x.seq >= x.p.tail {
		return false
	}
	s := x.p.at(x.seq)
	return s.state == waiting && s.due.Equal(x.at)
}
