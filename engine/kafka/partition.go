package kafka

import (
	"context"
	"sort"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What a record that was fetched is waiting for.
const (
	fresh   uint8 = iota // to be handed out
	handed               // to be settled
	waiting              // for the end of its delay, or under KeyOrder for those before it
	settled              // for those before it, to be committed
)

// slot is a record of a partition from when it is fetched to when the commit has
// passed it.
type slot struct {
	offset   int64
	epoch    int32 // of the leader that had it
	state    uint8
	attempts int // how often the group has been given it
	marks    int
	due      time.Time
	message  *kgo.Record
	delivery *engine.Delivery // the one that may settle it
}

// partition is a partition that was assigned to this consumer, from its assignment to
// its end: the same one assigned again is another partition. It belongs to the mutex
// of its subscription.
//
// Its slots are a window onto the partition, in the order of their offsets, which may
// have gaps: what a compaction has removed, what marks the end of transactions.
//
//	head ≤ next ≤ tail
//	[head, next)  handed out, waiting or settled; the slot at head is not settled
//	[next, tail)  fresh, or settled before they could be handed out
//
// All before head is settled, so the offset there is what may be committed.
type partition struct {
	of  *Subscription
	id  int32
	ctx context.Context // of its records: how a delivery finds its partition

	slots            []slot // a ring; its size is a power of two
	head, next, tail uint64

	end       int64 // after the last record that was fetched
	passed    int64 // the watermark when there is no slot
	epoch     int32 // of the last record that was passed
	open      int   // slots that are not settled
	inHand    int   // slots that are handed
	lines     map[string]*line
	paused    bool
	ready     bool // its first records are noted, so that they may be handed out
	revoking  bool
	gone      bool
	committed int64
	noted     string // the note beside the last commit
	noteTo    int64  // at least: what the note says has been handed out
	prior     note   // what the owner before has noted
}

type partitionKey struct{}

func newPartition(ctx context.Context, s *Subscription, id int32) *partition {
	p := &partition{of: s, id: id, passed: -1, committed: -1, epoch: -1}
	p.ctx = context.WithValue(ctx, partitionKey{}, p)
	return p
}

func (p *partition) at(seq uint64) *slot { return &p.slots[seq&uint64(len(p.slots)-1)] }

// span is how many records there are between the commit and the last one fetched.
func (p *partition) span() int { return int(p.tail - p.head) }

// watermark is the offset before which all is settled; -1 is that nothing has come yet.
func (p *partition) watermark() int64 {
	if p.head < p.tail {
		return p.at(p.head).offset
	}
	return p.passed
}

// add takes a record that was fetched. It reports whether it is one that may be
// handed out: the marks of transactions are not, and what the owner before has settled.
func (p *partition) add(m *kgo.Record) bool {
	if p.span() == len(p.slots) {
		p.grow()
	}
	s := p.at(p.tail)
	*s = slot{offset: m.Offset, epoch: m.LeaderEpoch, message: m, state: fresh}
	p.tail++
	p.end = m.Offset + 1
	m.Context = p.ctx
	if known, ok := p.prior.of(m.Offset); m.Attrs.IsControl() || ok && known.settled {
		s.state, s.message = settled, nil
		p.advance()
		return false
	} else if ok {
		s.attempts, s.marks = known.attempts, known.marks
	}
	p.open++
	return true
}

func (p *partition) grow() {
	slots := make([]slot, max(64, 2*len(p.slots)))
	for seq := p.head; seq < p.tail; seq++ {
		slots[seq&uint64(len(slots)-1)] = *p.at(seq)
	}
	p.slots = slots
}

// find returns the slot of an offset, nil if it is passed.
func (p *partition) find(offset int64) (uint64, *slot) {
	if p.head == p.tail {
		return 0, nil
	}
	base := p.at(p.head).offset
	if offset < base || offset >= p.end {
		return 0, nil
	}
	// Without gaps it is where the offset says, with them before that.
	most := min(p.head+uint64(offset-base), p.tail-1)
	if s := p.at(most); s.offset == offset {
		return most, s
	}
	n := sort.Search(int(most-p.head), func(i int) bool { return p.at(p.head+uint64(i)).offset >= offset })
	seq := p.head + uint64(n)
	if s := p.at(seq); s.offset == offset {
		return seq, s
	}
	return 0, nil
}

// hand gives a slot to the consumer.
func (p *partition) hand(s *slot, d *engine.Delivery) {
	s.state, s.delivery, s.due = handed, d, time.Time{}
	s.attempts++
	p.inHand++
	d.Attempt, d.Message = s.attempts, s.message
}

// settle ends a slot that is handed, and returns whether that has moved the watermark.
func (p *partition) settle(s *slot) bool {
	s.state, s.delivery, s.message = settled, nil, nil
	p.inHand--
	p.open--
	return p.advance()
}

// back takes a slot that is handed from the consumer again, until due.
func (p *partition) back(s *slot, due time.Time) {
	s.state, s.delivery, s.due = waiting, nil, due
	p.inHand--
}

// advance moves the head to the first that is not settled.
func (p *partition) advance() bool {
	before := p.head
	for p.head < p.tail {
		s := p.at(p.head)
		if s.state != settled {
			break
		}
		p.passed, p.epoch = s.offset+1, s.epoch
		*s = slot{}
		p.head++
	}
	p.next = max(p.next, p.head)
	return p.head != before
}

// nextFresh returns the next slot that was never handed out, and passes it; nil if
// there is none.
func (p *partition) nextFresh() (uint64, *slot) {
	for p.next < p.tail {
		seq := p.next
		p.next++
		if s := p.at(seq); s.state == fresh {
			return seq, s
		}
	}
	return 0, nil
}

// hasFresh reports whether there is one.
func (p *partition) hasFresh() bool {
	for ; p.next < p.tail; p.next++ {
		if p.at(p.next).state == fresh {
			return true
		}
	}
	return false
}

// handedTo is the offset before which all has been handed out once, or needed it not.
func (p *partition) handedTo() int64 {
	if p.next < p.tail {
		return p.at(p.next).offset
	}
	return max(p.end, p.passed)
}
