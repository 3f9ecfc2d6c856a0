package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
)

// Codes of JetStream's errors. Source: the server's errors.json.
const (
	codeInsufficient = 10023 // resources
	codeStorage      = 10047 // of the account or the server are used up
	codeTooLarge     = 10054 // for the stream's maximum
	codeStoreFailed  = 10077 // as for the stream's bounds
	codeNotEnabled   = 10076
	codeNotAvailable = 10008
	codeNoStream     = 10059
	codeNoConsumer   = 10014
	codeNameInUse    = 10058
	codeOverlap      = 10065
	codeNoReplicas   = 10074 // without a cluster
	codeNoPeers      = 10005
)

// kind returns what of the engine's errors err is, or nil.
func kind(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case codeTooLarge:
			return engine.ErrTooLarge
		case codeStorage, codeInsufficient:
			return engine.ErrFull
		case codeStoreFailed:
			if strings.Contains(api.Description, "maximum") {
				return engine.ErrFull
			}
			return engine.ErrUnavailable
		case codeNoStream, codeNoConsumer:
			return engine.ErrNoTopic
		case codeNameInUse, codeOverlap:
			return engine.ErrMismatch
		case codeNotAvailable, codeNotEnabled, codeNoPeers:
			return engine.ErrUnavailable
		}
		if api.Code == 503 {
			return engine.ErrUnavailable
		}
		return nil
	}
	switch {
	case errors.Is(err, engine.ErrUnavailable):
		return engine.ErrUnavailable
	case errors.Is(err, natsgo.ErrAuthorization), errors.Is(err, natsgo.ErrAuthExpired), errors.Is(err, natsgo.ErrAuthRevoked),
		errors.Is(err, natsgo.ErrAccountAuthExpired), errors.Is(err, natsgo.ErrPermissionViolation):
		return engine.ErrUnauthorized
	case errors.Is(err, natsgo.ErrMaxPayload):
		return engine.ErrTooLarge
	case errors.Is(err, natsgo.ErrConnectionClosed):
		return engine.ErrClosed
	case errors.Is(err, natsgo.ErrNoServers), errors.Is(err, natsgo.ErrTimeout), errors.Is(err, natsgo.ErrNoResponders),
		errors.Is(err, natsgo.ErrDisconnected), errors.Is(err, natsgo.ErrReconnectBufExceeded), errors.Is(err, natsgo.ErrStaleConnection),
		errors.Is(err, natsgo.ErrConnectionReconnecting), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, errStopped):
		return engine.ErrUnavailable
	}
	return nil
}

// fault is err with the engine's word for it and what to do about it.
func (e *Engine) fault(err error) error {
	if err == nil {
		return nil
	}
	k := kind(err)
	if k == nil || errors.Is(err, k) && k != engine.ErrUnavailable {
		return err
	}
	if k == engine.ErrUnavailable {
		if b := e.server; b != nil {
			if why := b.spent(); why != nil {
				return fmt.Errorf("%w: %w", why, err)
			}
		}
		if last := e.conn.LastError(); last != nil && !e.conn.IsConnected() && kind(last) == engine.ErrUnauthorized {
			k, err = engine.ErrUnauthorized, last
		}
	}
	if errors.Is(err, k) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", k, e.advice(k), err)
}

func (e *Engine) advice(k error) string {
	switch k {
	case engine.ErrUnavailable:
		if e.server != nil {
			return "the server in this process does not answer"
		}
		return "is a server with JetStream at " + e.where() + "?"
	case engine.ErrUnauthorized:
		return "the server at " + e.where() + " does not take the credentials of Config.URL and Config.Client, or they do not allow this"
	case engine.ErrTooLarge:
		return "make the event smaller, or raise Config.MaxRecord and the server's max_payload"
	case engine.ErrFull:
		return "raise Config.MaxBytes or Config.MaxStore, or look for a group that is behind"
	case engine.ErrNoTopic:
		return "its stream is not there"
	case engine.ErrMismatch:
		return "another stream has its name or its subjects: set Config.Prefix, or remove that stream"
	}
	return "closed"
}
