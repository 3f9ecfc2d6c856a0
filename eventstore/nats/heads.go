package nats

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/eventstore"
)

// head is an event of a stream that is known: the last one, as far as we know, or that of
// a snapshot.
type head struct {
	version eventstore.Version
	seq     uint64
}

// heads remembers those of streams that were worked with, so that an Append need not ask.
// One that is out of date costs a conflict and a question. It forgets at random.
type heads struct {
	mu   sync.Mutex
	last map[eventstore.Stream]head
}

const maxHeads = 50_000

func (h *heads) get(stream eventstore.Stream) (head, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.last[stream]
	return at, ok
}

// set keeps at, unless a later one is known.
func (h *heads) set(stream eventstore.Stream, at head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		h.last = map[eventstore.Stream]head{}
	}
	if h.last[stream].seq > at.seq {
		return
	}
	if len(h.last) >= maxHeads {
		for old := range h.last {
			delete(h.last, old)
			break
		}
	}
	h.last[stream] = at
}

// ask asks the leader for the last event of a stream.
func (s *Store) ask(ctx context.Context, stream eventstore.Stream) (head, *jetstream.RawStreamMsg, error) {
	m, err := s.stream.GetLastMsgForSubject(ctx, s.subject(stream))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return head{}, nil, nil
	}
	if err != nil {
		return head{}, nil, s.fault(ctx, "read the end of "+stream.String(), err)
	}
	v, err := versionOf(m.Header)
	if err != nil {
		return head{}, nil, s.fault(ctx, "read the end of "+stream.String(), err)
	}
	at := head{v, m.Sequence}
	s.heads.set(stream, at)
	return at, m, nil
}
