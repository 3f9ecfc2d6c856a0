package kafka

import (
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// poll fetches what there is room for until the subscription is closed.
//
// A poll keeps partitions from coming and going until AllowRebalance, which is when its
// records are in their partitions: so no record gets into one that has gone, or has
// come again at another offset. That is all it keeps them from; what is in hand is
// waited for by revoked.
func (s *Subscription) poll() {
	defer s.ended.Done()
	for {
		room := s.waitRoom()
		if room == 0 {
			return
		}
		fetches := s.client.PollRecords(s.ctx, room)
		came := s.register(fetches)
		s.client.AllowRebalance()
		if fetches.IsClientClosed() || s.ctx.Err() != nil {
			return
		}
		if came {
			signal(s.wake)
		}
	}
}

// waitRoom returns how many records may be fetched; 0 is that it is over. It does not
// ask for a few while there are others to be handed out.
func (s *Subscription) waitRoom() int {
	for {
		s.mu.Lock()
		room := s.cfg.MaxInFlight - s.open
		enough := room > 0 && (room >= s.cfg.MaxInFlight/4 || !s.hasFresh())
		closing := s.closing
		s.mu.Unlock()
		if closing {
			return 0
		}
		if enough {
			return room
		}
		select {
		case <-s.room:
		case <-s.ctx.Done():
			return 0
		}
	}
}

func (s *Subscription) hasFresh() bool {
	for _, p := range s.order {
		if p.hasFresh() {
			return true
		}
	}
	return false
}

// register puts what was fetched into its partitions. It reports whether Fetch has
// something to do.
func (s *Subscription) register(fetches kgo.Fetches) (came bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return true
	}
	var full []int32
	note := false
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil {
			s.note(f.Err, f.Partition)
			came = true
		}
		p := s.partitions[f.Partition]
		if p == nil || p.revoking {
			return
		}
		for _, m := range f.Records {
			if m.Offset < p.end {
				p = s.rewound(p, m)
			}
			if p.add(m) {
				s.open++
				came = true
			}
		}
		if !p.ready && p.open > 0 {
			p.noteTo = p.end
			s.urgent, note = true, true
		}
		if p.span() >= s.t.e.cfg.MaxUncommitted && !p.paused {
			p.paused = true
			full = append(full, p.id)
		}
	})
	if len(full) > 0 {
		s.log.Warn("paused partitions, in which too much lies behind a record that is not settled",
			zap.Int32s("partitions", full), zap.Int("records", s.t.e.cfg.MaxUncommitted))
		s.client.PauseFetchPartitions(map[string][]int32{s.t.name: full})
	}
	if note || came { // marks of transactions move the commit, too
		signal(s.dirty)
	}
	return came
}

// rewound is that the partition has lost records that it had acknowledged, as in an
// election of a leader that was behind: what we had of it is void.
func (s *Subscription) rewound(p *partition, m *kgo.Record) *partition {
	s.log.Error("a partition has lost records: its offsets begin again at an earlier one",
		zap.Int32("partition", p.id), zap.Int64("before", p.end), zap.Int64("now", m.Offset))
	s.remove(p)
	return s.add(p.id)
}

// note keeps an error of fetching for Fetch, one at a time.
func (s *Subscription) note(err error, partition int32) {
	var lost *kgo.ErrDataLoss
	var session *kgo.ErrGroupSession
	switch {
	case s.ctx.Err() != nil || errors.Is(err, s.ctx.Err()):
	case errors.As(err, &lost):
		s.log.Error("the cluster has lost records", zap.Int32("partition", partition), zap.Error(err))
	case errors.As(err, &session):
		if s.trouble = fault(s.what, session.Err); !errors.Is(s.trouble, engine.ErrUnauthorized) {
			s.trouble = fmt.Errorf("kafka: %s: %w: the group has gone on without this consumer, which joins again: %w", s.what, engine.ErrUnavailable, session.Err)
		}
	default:
		s.trouble = fault(fmt.Sprintf("%s: partition %d", s.what, partition), err)
	}
}
