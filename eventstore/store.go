package eventstore

import (
	"context"
	"iter"
)

// Store keeps events, snapshots and checkpoints. Methods are safe for concurrent use, and
// several stores, in several processes, may be open on the same data. Every call returns
// soon after its ctx ends, with its cause in the error.
//
// What is wrong with the arguments is an [ErrInvalid]. What the server has against it
// wraps an error of package engine: ErrUnavailable, ErrUnauthorized, ErrMismatch, ErrFull,
// ErrTooLarge, ErrUnsupported, ErrInUse; ErrClosed after Close.
type Store interface {
	Log
	Snapshots
	Checkpoints
	// Ready returns nil if the store can do its work, else why not.
	Ready(ctx context.Context) error
	// Close ends what the store has started; its followers end with it. It is
	// idempotent.
	Close(ctx context.Context) error
}

// Log is the part of a [Store] that keeps events.
type Log interface {
	// Append stores the events at the end of the stream, in their order: all, or none.
	// It begins with [Prepare]. When it returns nil they survive what the store's own
	// documentation says, and every Read that begins from then on has them.
	//
	// expected is the version that the stream is at: [NoStream] if it has no event, [Any]
	// to append whatever is there. If it is at another one, the error is a
	// *ConflictError. But if the events that follow expected are these very ones, by
	// their IDs, they are stored already, and Append returns what it did then: an Append
	// whose answer was lost can be repeated as it was. Under Any it cannot.
	//
	// After engine.ErrUnavailable, or when ctx has ended, the events may be stored.
	//
	// Errors: *ConflictError; engine.ErrTooLarge for more than [MaxAppend] events, or more
	// bytes than the store takes.
	Append(ctx context.Context, stream Stream, expected Version, events ...Event) (Appended, error)
	// Read returns the events of the stream after that version, the oldest first, up to
	// the last that there was when the loop began, or a later one. A stream that is not
	// there has none. An error is the last turn of the loop, with no event.
	//
	//	for ev, err := range store.Read(ctx, stream, 0) {
	//		if err != nil {
	//			return err
	//		}
	Read(ctx context.Context, stream Stream, after Version) iter.Seq2[Recorded, error]
	// Follow returns the events of these categories, of all if there is none, that are
	// after a position, [Start] for all of them. ctx bounds this call only.
	//
	// Errors: engine.ErrMismatch for a position that is not of this store, where it can
	// tell, as one that lies ahead of all events: the checkpoint is of another store, or
	// the store was restored from an older copy.
	Follow(ctx context.Context, after Position, categories ...string) (Follower, error)
}

// Follower hands out events in the order of their positions, first those that are there,
// then those that are appended: each that is after where it began, once. The events of a
// stream come in the order of their versions. Next is called by one goroutine at a time;
// the others are safe for concurrent use with it and each other.
type Follower interface {
	// Next waits until there is an event, and returns up to max of them. One that
	// returns an error has taken nothing: the next call goes on.
	//
	// Errors: the cause of ctx; engine.ErrUnavailable and others that pass, after which
	// Next may be called again; engine.ErrClosed, after which it may not.
	Next(ctx context.Context, max int) ([]Recorded, error)
	// Lag returns how many events there are after the last that Next has returned. A
	// store for which counting is dear may stop at 10,000.
	Lag(ctx context.Context) (uint64, error)
	// Close ends it, and a Next that waits. It is idempotent.
	Close() error
}

// Snapshots is the part of a [Store] that keeps states, so that not all events have to
// be read. A snapshot can always be made again, so losing one costs time only.
type Snapshots interface {
	// LoadSnapshot returns the newest snapshot of the stream with that schema; ok is
	// false if there is none. Those of other schemas are as if they were not there.
	LoadSnapshot(ctx context.Context, stream Stream, schema int) (s Snapshot, ok bool, err error)
	// SaveSnapshot keeps s in place of an older one of its stream and schema. One that
	// is newer, or as new, stays, which is no error.
	//
	// Errors: engine.ErrTooLarge.
	SaveSnapshot(ctx context.Context, s Snapshot) error
}

// Checkpoints is the part of a [Store] that keeps how far projections have come.
type Checkpoints interface {
	// LoadCheckpoint returns how far the projection is, [Start] if it has none.
	LoadCheckpoint(ctx context.Context, name string) (Position, error)
	// SaveCheckpoint moves it from one position to another; Start as to resets it.
	//
	// Errors: a *CheckpointError if it is not at from: another process runs the
	// projection, too. As with Append, one that is at to already is there.
	SaveCheckpoint(ctx context.Context, name string, from, to Position) error
}

// Transactor keeps a checkpoint together with what a projection writes: a store, or a
// database beside one, whose transactions are Tx: *sql.Tx, pgx.Tx.
type Transactor[Tx any] interface {
	// LoadCheckpoint is that of [Checkpoints].
	LoadCheckpoint(ctx context.Context, name string) (Position, error)
	// Transact calls apply once, in a transaction that moves the checkpoint from one
	// position to another as well, and commits it if apply returns nil. Otherwise, or if
	// apply panics, nothing has happened, and the error is that of apply, or the panic
	// goes on. apply may be nil.
	//
	// Errors: a *CheckpointError, before apply is called, if it is not at from.
	Transact(ctx context.Context, name string, from, to Position, apply func(ctx context.Context, tx Tx) error) error
}
