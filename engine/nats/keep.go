package nats

import (
	"context"
	"errors"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// sweepEvery is the pause between two looks at what may be given up, about.
const sweepEvery = 30 * time.Second

// sweep gives up what every group has settled, when it is older than Config.Keep or
// when room is needed. JetStream could do that by itself, with the retention by
// interest, but then gives up what is published while there is no group, and pays for
// each record with every acknowledgment.
//
// Every engine on a topic does it, for none knows of the others; to do it twice does
// nothing.
func (e *Engine) sweep() {
	for {
		select {
		case <-e.life.Done():
			return
		case <-time.After(sweepEvery/2 + rand.N(sweepEvery)):
		}
		e.sweepOnce()
	}
}

func (e *Engine) sweepOnce() {
	e.mu.Lock()
	var all []*Topic
	for _, t := range e.topics {
		all = append(all, t)
	}
	e.mu.Unlock()
	if len(all) == 0 || !e.conn.IsConnected() {
		return
	}
	tight := e.tight()
	for _, t := range all {
		ctx, cancel := context.WithTimeout(e.life, e.cfg.Timeout)
		err := t.sweep(ctx, tight)
		cancel()
		if err != nil && e.life.Err() == nil {
			e.log.Warn("what is settled is not given up", zap.String("topic", t.name), zap.Error(err))
		}
	}
}

// tight reports whether more than half of what the account may store is used.
func (e *Engine) tight() bool {
	ctx, cancel := context.WithTimeout(e.life, attempt)
	defer cancel()
	info, err := e.js.AccountInfo(ctx)
	if err != nil {
		return false
	}
	most := info.Limits.MaxStore
	if e.server != nil && most <= 0 {
		most = e.cfg.MaxStore
	}
	return most > 0 && info.Store > uint64(most)/2
}

func (t *Topic) sweep(ctx context.Context, tight bool) error {
	stream, err := t.e.js.Stream(ctx, t.stream)
	if err != nil {
		return err
	}
	// The state comes before the consumers': what they have then, they had not more
	// of before.
	info := stream.CachedInfo()
	state := info.State
	if state.Msgs == 0 {
		return nil
	}
	floor, any, err := settledUpTo(ctx, stream, state.LastSeq)
	if err != nil || !any || floor < state.FirstSeq {
		return err
	}
	if max := info.Config.MaxBytes; max > 0 && state.Bytes > uint64(max)/2 {
		tight = true
	}
	upTo := floor
	switch {
	case tight:
		// A quarter is enough for a while.
		upTo = min(floor, state.FirstSeq+(state.LastSeq-state.FirstSeq)/4)
	case t.e.cfg.Keep > 0:
		if upTo, err = oldest(ctx, stream, state.FirstSeq, floor, time.Now().Add(-t.e.cfg.Keep)); err != nil {
			return err
		}
	}
	if upTo < state.FirstSeq {
		return nil
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(upTo+1))
}

// settledUpTo returns up to which sequence all consumers have settled everything, of
// which last was the last.
func settledUpTo(ctx context.Context, stream jetstream.Stream, last uint64) (floor uint64, any bool, err error) {
	floor = last
	all := stream.ListConsumers(ctx)
	for info := range all.Info() {
		any = true
		at := info.AckFloor.Stream
		if info.NumPending == 0 && info.NumAckPending == 0 {
			// It has nothing left, and what it is not given is not its own.
			at = last
		}
		floor = min(floor, at)
	}
	return floor, any, all.Err()
}

// oldest returns the last sequence of first to last that was stored before t, or one
// less than first.
func oldest(ctx context.Context, stream jetstream.Stream, first, last uint64, t time.Time) (uint64, error) {
	var failed error
	n := sort.Search(int(last-first+1), func(i int) bool {
		if failed != nil {
			return true
		}
		m, err := stream.GetMsg(ctx, first+uint64(i))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false // deleted by somebody: as good as old
		}
		if err != nil {
			failed = err
			return true
		}
		return !m.Time.Before(t)
	})
	return first + uint64(n) - 1, failed
}
