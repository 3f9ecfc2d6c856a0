package nats

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/eventstore"
)

// snapshotHead is what stands before the data of a snapshot, with its length in front.
type snapshotHead struct {
	Version     eventstore.Version `json:"version"`
	Seq         uint64             `json:"seq,omitempty"` // of the event of that version, if it was known
	ContentType string             `json:"content_type,omitempty"`
	Time        time.Time          `json:"time"`
}

func snapshotKey(stream eventstore.Stream, schema int) string {
	return stream.Category + "." + escape(stream.ID) + "." + strconv.Itoa(schema)
}

// LoadSnapshot is that of eventstore.Snapshots.
func (s *Store) LoadSnapshot(ctx context.Context, stream eventstore.Stream, schema int) (eventstore.Snapshot, bool, error) {
	if err := stream.Validate(); err != nil {
		return eventstore.Snapshot{}, false, err
	}
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return eventstore.Snapshot{}, false, err
	}
	defer done()
	entry, err := s.snapshots.Get(ctx, snapshotKey(stream, schema))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return eventstore.Snapshot{}, false, nil
	}
	if err != nil {
		return eventstore.Snapshot{}, false, s.fault(ctx, "load the snapshot of "+stream.String(), err)
	}
	h, data, err := openSnapshot(entry.Value())
	if err != nil {
		return eventstore.Snapshot{}, false, fmt.Errorf("eventstore/nats: the snapshot of %s: %w", stream, err)
	}
	if h.Seq > 0 {
		s.heads.set(stream, head{h.Version, h.Seq})
	}
	return eventstore.Snapshot{Stream: stream, Version: h.Version, Schema: schema, ContentType: h.ContentType, Time: h.Time, Data: data}, true, nil
}

// SaveSnapshot is that of eventstore.Snapshots.
func (s *Store) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	snap, err := snap.Prepare()
	if err != nil {
		return err
	}
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	h := snapshotHead{Version: snap.Version, ContentType: snap.ContentType, Time: snap.Time}
	if at, ok := s.heads.get(snap.Stream); ok && at.version == snap.Version {
		h.Seq = at.seq
	}
	value, err := sealSnapshot(h, snap.Data)
	if err != nil {
		return err
	}
	key := snapshotKey(snap.Stream, snap.Schema)
	err = s.swap(ctx, s.snapshots, key, func(old []byte) ([]byte, error) {
		if old != nil {
			if have, _, err := openSnapshot(old); err == nil && have.Version >= snap.Version {
				return nil, nil
			}
		}
		return value, nil
	})
	if err != nil {
		return s.fault(ctx, "save the snapshot of "+snap.Stream.String(), err)
	}
	return nil
}

// LoadCheckpoint is that of eventstore.Checkpoints.
func (s *Store) LoadCheckpoint(ctx context.Context, name string) (eventstore.Position, error) {
	if err := eventstore.CheckName(name); err != nil {
		return eventstore.Start, err
	}
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return eventstore.Start, err
	}
	defer done()
	entry, err := s.checkpoints.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return eventstore.Start, nil
	}
	if err != nil {
		return eventstore.Start, s.fault(ctx, "load the checkpoint of "+name, err)
	}
	return eventstore.Position(entry.Value()), nil
}

// SaveCheckpoint is that of eventstore.Checkpoints.
func (s *Store) SaveCheckpoint(ctx context.Context, name string, from, to eventstore.Position) error {
	if err := eventstore.CheckName(name); err != nil {
		return err
	}
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = s.swap(ctx, s.checkpoints, name, func(old []byte) ([]byte, error) {
		switch at := eventstore.Position(old); at {
		case to:
			return nil, nil
		case from:
			return append([]byte{}, to...), nil
		default:
			return nil, &eventstore.CheckpointError{Name: name, Expected: from, Actual: at}
		}
	})
	if conflict, ok := errors.AsType[*eventstore.CheckpointError](err); ok {
		return conflict
	}
	if err != nil {
		return s.fault(ctx, "save the checkpoint of "+name, err)
	}
	return nil
}

// swap replaces the value of a key with what f makes of it, which is nil if there is none,
// unless f returns nil. Whoever was faster is looked at, too.
func (s *Store) swap(ctx context.Context, kv jetstream.KeyValue, key string, f func(old []byte) ([]byte, error)) error {
	for {
		entry, err := kv.Get(ctx, key)
		var value []byte
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			if value, err = f(nil); err != nil || value == nil {
				return err
			}
			_, err = kv.Create(ctx, key, value)
		case err != nil:
			return err
		default:
			if value, err = f(entry.Value()); err != nil || value == nil {
				return err
			}
			_, err = kv.Update(ctx, key, value, entry.Revision())
		}
		if err == nil || !conflicts(err) {
			return err
		}
	}
}

func sealSnapshot(h snapshotHead, data []byte) ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	value := binary.AppendUvarint(nil, uint64(len(text)))
	return append(append(value, text...), data...), nil
}

func openSnapshot(value []byte) (h snapshotHead, data []byte, err error) {
	n, size := binary.Uvarint(value)
	if size <= 0 || n > uint64(len(value)-size) {
		return h, nil, errors.New("is none")
	}
	rest := value[size:]
	err = json.Unmarshal(rest[:n], &h)
	return h, rest[n:], err
}
