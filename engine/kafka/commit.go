package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// errGone is that a partition was taken away before its commit.
var errGone = errors.New("the partition has gone to another consumer, who gets it again")

// commitTry is how long the client tries one commit, beside what it retries itself.
const commitTry = 10 * time.Second

// committer commits what is new, Config.CommitEvery apart unless somebody waits for it.
func (s *Subscription) committer() {
	defer s.ended.Done()
	every := max(s.t.e.cfg.CommitEvery, 0)
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		select {
		case <-s.dirty:
		case <-s.ctx.Done():
			return
		}
		if every > 0 && !s.hurry() {
			pause.Reset(every)
			for waiting := true; waiting; {
				select {
				case <-pause.C:
					waiting = false
				case <-s.dirty:
					waiting = !s.hurry()
				case <-s.ctx.Done():
					return
				}
			}
		}
		s.commitUntilDone()
	}
}

// hurry reports whether a commit is waited for.
func (s *Subscription) hurry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.urgent || s.closing
}

// commitUntilDone commits, again and again while brokers refuse.
func (s *Subscription) commitUntilDone() {
	for wait := newBackoff(); ; {
		ctx, cancel := context.WithTimeout(s.ctx, commitTry)
		err := s.commit(ctx)
		cancel()
		s.mu.Lock()
		s.commitErr = err
		closing := s.closing
		s.mu.Unlock()
		if err == nil || closing || s.ctx.Err() != nil {
			return
		}
		s.log.Warn("commit is refused", zap.Error(err))
		if wait.sleep(s.ctx) != nil {
			return
		}
	}
}

// point is what is committed of a partition.
type point struct {
	p      *partition
	offset int64
	epoch  int32
	note   string
}

// commit commits the watermarks of partitions, or of all without any named, with their
// notes. One runs at a time, so that none is overtaken by an older one. errGone is that
// one of those named has gone.
func (s *Subscription) commit(ctx context.Context, only ...*partition) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ended(s.what+": commit", ctx)
	}
	defer func() { <-s.turn }()

	points, gone := s.points(only)
	var err error
	if len(points) > 0 {
		err = s.commitPoints(ctx, points)
	}
	if err == nil && gone {
		err = errGone
	}
	return err
}

func (s *Subscription) points(only []*partition) (points []point, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(only) == 0 {
		only = s.order
		s.urgent = false
	}
	for _, p := range only {
		if p.gone {
			gone = true
			continue
		}
		offset := p.watermark()
		if offset < 0 {
			continue
		}
		c := point{p: p, offset: offset, epoch: p.epoch}
		if !s.noNotes {
			c.note = p.note()
		}
		if offset == p.committed && c.note == p.noted {
			s.letOut(p)
			continue
		}
		points = append(points, c)
	}
	return points, gone
}

func (s *Subscription) commitPoints(ctx context.Context, points []point) error {
	offsets := make(map[int32]kgo.EpochOffset, len(points))
	notes := make(map[int32]*string, len(points))
	for i := range points {
		c := &points[i]
		offsets[c.p.id] = kgo.EpochOffset{Epoch: c.epoch, Offset: c.offset}
		notes[c.p.id] = &c.note
	}
	with := kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				c := &r.Topics[i].Partitions[j]
				c.Metadata = notes[c.Partition]
			}
		}
		return nil
	})
	var resp *kmsg.OffsetCommitResponse
	var err error
	s.client.CommitOffsetsSync(with, map[string]map[int32]kgo.EpochOffset{s.t.name: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, r *kmsg.OffsetCommitResponse, e error) {
			resp, err = r, e
		})
	what := s.what + ": commit"
	if err != nil {
		return fault(what, ping(ctx, err))
	}
	codes := map[int32]error{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			codes[p.Partition] = kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return s.tookNote(what, points, codes)
}

// tookNote is what the brokers have said of each point.
func (s *Subscription) tookNote(what string, points []point, codes map[int32]error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range points {
		code, answered := codes[c.p.id]
		switch {
		case !answered:
			err = fmt.Errorf("kafka: %s: %w: the broker has not answered for partition %d", what, engine.ErrUnavailable, c.p.id)
		case errors.Is(code, kerr.OffsetMetadataTooLarge):
			s.noNotes = true // offset.metadata.max.bytes is less than usual
			err = fault(what, code)
		case code != nil:
			err = fault(fmt.Sprintf("%s of partition %d", what, c.p.id), code)
		default:
			c.p.committed, c.p.noted = c.offset, c.note
			s.letOut(c.p)
		}
	}
	close(s.committed)
	s.committed = make(chan struct{})
	return err
}

// letOut lets Fetch have the first records of a partition: they are noted.
func (s *Subscription) letOut(p *partition) {
	if !p.ready && p.noteTo > 0 {
		p.ready = true
		signal(s.wake)
	}
}

// await waits until what is settled is committed.
func (s *Subscription) await(ctx context.Context, until map[*partition]int64) error {
	for {
		s.mu.Lock()
		wait, gone := false, false
		for p, offset := range until {
			if p.committed >= offset {
				continue
			}
			wait, gone = true, gone || p.gone
		}
		next, refused := s.committed, s.commitErr
		s.mu.Unlock()
		switch {
		case gone:
			return fmt.Errorf("kafka: %s: settle: %w: %w", s.what, engine.ErrUnavailable, errGone)
		case !wait:
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return errors.Join(ended(s.what+": settle", ctx), refused)
		}
	}
}
