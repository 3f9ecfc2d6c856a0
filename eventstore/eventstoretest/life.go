package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// calls are all that a store does, each on something that is there.
func calls(s eventstore.Store) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Append": func(ctx context.Context) error {
			_, err := s.Append(ctx, account("a"), eventstore.Any, small("x"))
			return err
		},
		"Read": func(ctx context.Context) error {
			for _, err := range s.Read(ctx, account("a"), 0) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Follow": func(ctx context.Context) error {
			f, err := s.Follow(ctx, eventstore.Start)
			if err == nil {
				_, err = f.Next(ctx, 1)
				err = errors.Join(err, f.Close())
			}
			return err
		},
		"SaveSnapshot": func(ctx context.Context) error {
			return s.SaveSnapshot(ctx, eventstore.Snapshot{Stream: account("a"), Version: 1, Schema: 1})
		},
		"LoadSnapshot":   func(ctx context.Context) error { _, _, err := s.LoadSnapshot(ctx, account("a"), 1); return err },
		"SaveCheckpoint": func(ctx context.Context) error { return s.SaveCheckpoint(ctx, "p", eventstore.Start, "1") },
		"LoadCheckpoint": func(ctx context.Context) error { _, err := s.LoadCheckpoint(ctx, "p"); return err },
		"Ready":          s.Ready,
	}
}

var lifeCases = []testCase{
	{
		name:    "an ended context stops every call",
		promise: "with a ctx that has ended nothing is done, and its cause is in the error; with another everything works",
		run: func(r *recorder) {
			s := r.open()
			cause := errors.New("ended")
			ended, cancel := context.WithCancelCause(context.Background())
			cancel(cause)
			for name, call := range calls(s) {
				if err := call(ended); !errors.Is(err, cause) {
					r.errorf("%s with an ended ctx = %v, want its cause", name, err)
				}
			}
			if got := len(r.read(s, account("a"), 0)); got != 0 {
				r.errorf("%d events were stored with an ended ctx", got)
			}
			r.append(s, account("a"), 0, small("x"))
			for name, call := range calls(s) {
				if err := call(context.Background()); err != nil {
					r.errorf("%s = %v", name, err)
				}
			}
		},
	},
	{
		name:    "a closed store does nothing",
		promise: "after Close every call returns engine.ErrClosed, a Next that waits too, and Close can be called again",
		run: func(r *recorder) {
			s := r.open()
			r.append(s, account("a"), 0, small("x"))
			f := r.follow(s, eventstore.Start)
			r.next(f, 1)
			waiting := make(chan error, 1)
			go func() {
				_, err := f.Next(context.Background(), 1)
				waiting <- err
			}()
			for range 2 {
				if err := s.Close(context.Background()); err != nil {
					r.errorf("Close: %v", err)
				}
			}
			if err := <-waiting; !errors.Is(err, engine.ErrClosed) {
				r.errorf("Next that waits when the store is closed = %v, want ErrClosed", err)
			}
			for name, call := range calls(s) {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				if err := call(ctx); !errors.Is(err, engine.ErrClosed) {
					r.errorf("%s after Close = %v, want ErrClosed", name, err)
				}
				cancel()
			}
			if err := f.Close(); err != nil {
				r.errorf("Close of a follower after that of its store: %v", err)
			}
		},
	},
	{
		name:    "everything is there after a restart",
		promise: "what was acknowledged is there when the store is opened again, followers go on after their positions, and versions count on",
		durable: true,
		run: func(r *recorder) {
			var at eventstore.Position
			var want []string
			for round := range 3 {
				s := r.open()
				for stream := range 3 {
					events := smalls(fmt.Sprint(round, "-", stream), 2)
					done := r.append(s, account(fmt.Sprint(stream)), eventstore.Version(2*round), events...)
					if done.Version != eventstore.Version(2*round+2) {
						r.errorf("Append returns version %d, want %d", done.Version, 2*round+2)
					}
					want = append(want, idsOf(events)...)
				}
				if got := ids(r.next(r.follow(s, eventstore.Start), len(want))); !slices.Equal(got, want) {
					r.errorf("after %d restarts a follower gets %q, want %q", round, got, want)
				}
				if p := r.checkpoint(s, "p"); p != at {
					r.errorf("after %d restarts the checkpoint is at %q, want %q", round, p, at)
				}
				fresh := r.next(r.follow(s, at), 6)
				if !slices.Equal(ids(fresh), want[len(want)-6:]) {
					r.errorf("after %d restarts a follower from its checkpoint gets %q", round, ids(fresh))
				}
				r.saveCheckpoint(s, "p", at, fresh[5].Position)
				at = fresh[5].Position
				if snap, ok := r.loadSnapshot(s, account("0"), 1); ok != (round > 0) || ok && snap.Version != eventstore.Version(2*round) {
					r.errorf("after %d restarts the snapshot is at %d, %v", round, snap.Version, ok)
				}
				r.saveSnapshot(s, eventstore.Snapshot{Stream: account("0"), Version: eventstore.Version(2*round + 2), Schema: 1})
				if _, err := s.Append(context.Background(), account("0"), 0, small("x")); !errors.Is(err, eventstore.ErrConflict) {
					r.errorf("Append at version 0 after %d restarts = %v, want a conflict", round, err)
				}
				r.closeAll()
			}
		},
	},
}
