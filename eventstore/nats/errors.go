package nats

import (
	"context"
	"errors"
	"fmt"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
)

// Codes of JetStream's API that the client has no name for.
const (
	codeNoResources      = 10023
	codeStorageExceeded  = 10047
	codeStoreFailed      = 10077 // with its reason in words: maximum bytes exceeded
	codeTooManyBatches   = 10210
	codeBatchTooLarge    = 10199
	codeBatchIncomplete  = 10176
	codeMemoryExceeded   = 10028
	codeClusterNotLeader = 10009
	codeClusterNotAvail  = 10008
)

// conflicts reports whether err says that a subject or key is at another sequence. With
// replicas the code is another one.
func conflicts(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
	}
	return errors.Is(err, jetstream.ErrKeyExists)
}

// fault gives an error of the client its kind and says what was being done.
func (s *Store) fault(ctx context.Context, what string, err error) error {
	if s.isClosed() {
		return s.closedFault()
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("eventstore/nats: %s: %w: %w", what, cause, engine.ErrUnavailable)
	}
	kind := kindOf(err)
	if kind == nil {
		return fmt.Errorf("eventstore/nats: %s: %w", what, err)
	}
	return fmt.Errorf("eventstore/nats: %s: %w: %w", what, kind, err)
}

func kindOf(err error) error {
	switch {
	case errors.Is(err, engine.ErrUnavailable):
		return engine.ErrUnavailable
	case errors.Is(err, engine.ErrFull):
		return engine.ErrFull
	case errors.Is(err, natsgo.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return engine.ErrTooLarge
	case errors.Is(err, natsgo.ErrAuthorization), errors.Is(err, natsgo.ErrPermissionViolation), errors.Is(err, natsgo.ErrAuthExpired),
		errors.Is(err, natsgo.ErrAuthRevoked), errors.Is(err, natsgo.ErrAccountAuthExpired):
		return engine.ErrUnauthorized
	case errors.Is(err, natsgo.ErrTimeout), errors.Is(err, natsgo.ErrNoResponders), errors.Is(err, natsgo.ErrConnectionClosed),
		errors.Is(err, natsgo.ErrDisconnected), errors.Is(err, natsgo.ErrNoServers), errors.Is(err, natsgo.ErrConnectionReconnecting),
		errors.Is(err, natsgo.ErrReconnectBufExceeded), errors.Is(err, natsgo.ErrStaleConnection), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, jetstream.ErrNoHeartbeat), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return engine.ErrUnavailable
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case codeStorageExceeded, codeStoreFailed, codeNoResources, codeMemoryExceeded:
			return engine.ErrFull
		case codeBatchTooLarge:
			return engine.ErrTooLarge
		case codeTooManyBatches, codeBatchIncomplete, codeClusterNotAvail, codeClusterNotLeader:
			return engine.ErrUnavailable
		case jetstream.JSErrCodeStreamNotFound:
			return engine.ErrNoTopic
		}
		if api.Code == 503 {
			return engine.ErrUnavailable
		}
	}
	return nil
}

func (s *Store) closedFault() error {
	return fmt.Errorf("eventstore/nats: %s: %w", s.cfg.Name, engine.ErrClosed)
}
