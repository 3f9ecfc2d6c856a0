package kafka

import (
	"context"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Lag is exact for the partitions of this consumer. Of the others' it is what lies
// behind their commits, all of which counts as Waiting, for what their owners have in
// hand nobody else knows. It asks the brokers, three times.
//
// Marks of transactions and what a compaction has removed have offsets and count.
func (s *Subscription) Lag(ctx context.Context) (engine.Lag, error) {
	what := s.what + ": lag"
	admin, topic := s.t.e.admin, s.t.name
	if err := s.t.e.use(what); err != nil {
		return engine.Lag{}, err
	}
	var commits kadm.OffsetResponses
	var starts, ends kadm.ListedOffsets
	err := bounded(ctx, func() (err error) {
		if commits, err = s.t.commits(ctx, s.group); err != nil {
			return err
		}
		if starts, err = admin.ListStartOffsets(ctx, topic); err == nil {
			err = starts.Error()
		}
		if err != nil {
			return err
		}
		// The last thing to ask, so that nothing was handed out that is not in it.
		if ends, err = admin.ListCommittedOffsets(ctx, topic); err == nil {
			err = ends.Error()
		}
		return err
	})
	if err != nil {
		return engine.Lag{}, fault(what, ping(ctx, err))
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	var lag engine.Lag
	ends.Each(func(end kadm.ListedOffset) {
		from := int64(0)
		if o, ok := starts.Lookup(topic, end.Partition); ok {
			from = o.Offset
		}
		if c, ok := commits.Lookup(topic, end.Partition); ok && c.At >= 0 {
			from = max(from, c.At)
		}
		if p := s.partitions[end.Partition]; p != nil && !p.gone {
			from = max(from, p.handedTo())
			given, held := p.given()
			lag.Unsettled += uint64(given)
			lag.Waiting += uint64(held)
		}
		lag.Waiting += uint64(max(end.Offset-from, 0))
	})
	return lag, nil
}

// given returns how many slots were handed out and are not settled, and how many wait
// behind others of their key and were not.
func (p *partition) given() (given, held int) {
	given = p.inHand
	if given == p.open {
		return given, 0
	}
	for seq := p.head; seq < p.next; seq++ {
		if s := p.at(seq); s.state == waiting && s.attempts > 0 {
			given++
		} else if s.state == waiting {
			held++
		}
	}
	return given, held
}
