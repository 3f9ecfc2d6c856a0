package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// The client calls assigned, fetchedOffsets, revoked and lost one after the other, and
// none while a poll runs.

func (s *Subscription) assigned(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range all[s.t.name] {
		if p := s.partitions[id]; p != nil {
			s.remove(p)
		}
		s.add(id)
	}
	select {
	case <-s.joined:
	default:
		close(s.joined)
	}
}

// fetchedOffsets reads what the owner before has noted beside the commits.
func (s *Subscription) fetchedOffsets(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, group := range resp.Groups {
		for _, topic := range group.Topics { // there is no other topic in our group
			for _, c := range topic.Partitions {
				p := s.partitions[c.Partition]
				if p == nil || p.end > 0 || c.Offset < 0 || kerr.ErrorForCode(c.ErrorCode) != nil {
					continue
				}
				p.passed, p.epoch, p.committed = c.Offset, c.LeaderEpoch, c.Offset
				if c.Metadata != nil {
					p.noted, p.prior = *c.Metadata, parseNote(c.Offset, *c.Metadata)
				}
			}
		}
	}
	return nil
}

// revoked is called when partitions go to another consumer, who does not get them
// before it returns. It waits for what is in hand of them and commits it.
func (s *Subscription) revoked(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	s.mu.Lock()
	var going []*partition
	for _, id := range all[s.t.name] {
		if p := s.partitions[id]; p != nil {
			p.revoking = true
			p.noteTo = 0
			going = append(going, p)
		}
	}
	closing := s.closing
	s.mu.Unlock()
	if closing || len(going) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.t.e.cfg.RevokeWait)
	defer cancel()
	if left := s.waitInHand(ctx, going); left > 0 {
		s.log.Warn("partitions go to another consumer with records in hand, which are delivered again",
			zap.Int("records", left), zap.Duration("waited", s.t.e.cfg.RevokeWait))
	}
	last, cancel := context.WithTimeout(s.ctx, closeTimeout)
	defer cancel()
	if err := s.commit(last, going...); err != nil {
		s.log.Warn("partitions go to another consumer without their last commit", zap.Error(err))
	}
	s.drop(going)
}

// lost is called when the group has given the partitions to others already.
func (s *Subscription) lost(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	s.mu.Lock()
	var gone []*partition
	for _, id := range all[s.t.name] {
		if p := s.partitions[id]; p != nil {
			gone = append(gone, p)
		}
	}
	closing := s.closing
	s.mu.Unlock()
	if len(gone) > 0 && !closing {
		s.log.Warn("the group has taken partitions away, as from a consumer that was silent for too long",
			zap.Int("partitions", len(gone)))
	}
	s.drop(gone)
}

// waitInHand waits until nothing of the partitions is in hand, and returns how much is
// when ctx ends.
func (s *Subscription) waitInHand(ctx context.Context, going []*partition) (left int) {
	for {
		s.mu.Lock()
		left = 0
		for _, p := range going {
			left += p.inHand
		}
		closing := s.closing
		s.mu.Unlock()
		if left == 0 || closing {
			return left
		}
		select {
		case <-s.drained:
		case <-ctx.Done():
			return left
		}
	}
}

// add begins a partition. mu is held, as in remove.
func (s *Subscription) add(id int32) *partition {
	p := newPartition(s.ctx, s, id)
	s.partitions[id] = p
	s.order = append(s.order, p)
	return p
}

func (s *Subscription) remove(p *partition) {
	if p.gone {
		return
	}
	p.gone = true
	s.open -= p.open
	delete(s.partitions, p.id)
	s.order = slices.DeleteFunc(s.order, func(o *partition) bool { return o == p })
	close(s.committed)
	s.committed = make(chan struct{})
	if p.paused {
		s.client.ResumeFetchPartitions(map[string][]int32{s.t.name: {p.id}})
	}
}

// drop ends partitions: what was fetched of them belongs to their next owner.
func (s *Subscription) drop(gone []*partition) {
	s.mu.Lock()
	for _, p := range gone {
		s.remove(p)
	}
	s.mu.Unlock()
	signal(s.room)
	signal(s.wake)
}

// rebalanceTimeout is how long the group waits for a consumer to give partitions away:
// longer than that waits for what is in hand of them and for the commit. The group also
// waits so long for one that has died while it was joining, so it is not much longer.
func (c *Config) rebalanceTimeout() time.Duration { return c.RevokeWait + closeTimeout + time.Second }
