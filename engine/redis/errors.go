package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// answers are what the server says, by the first word or a part of it, and what it
// means.
var answers = []struct {
	part string
	kind error
	fix  string
}{
	{"WRONGPASS", engine.ErrUnauthorized, "check user and password"},
	{"NOAUTH", engine.ErrUnauthorized, "give a password"},
	{"invalid password", engine.ErrUnauthorized, "check the password"},
	{"without any password configured", engine.ErrUnauthorized, "the server has no password: give none"},
	{"NOPERM", engine.ErrUnauthorized, "the user's ACL must allow the command and the keys"},
	{"DENIED", engine.ErrUnauthorized, "the server is in protected mode"},
	{"OOM", engine.ErrFull, "the server is at maxmemory: settle, trim or give it more"},
	{"No space left", engine.ErrFull, "the server's disk is full"},
	{"MISCONF", engine.ErrUnavailable, "the server cannot write to its disk: see its log"},
	{"WRONGTYPE", engine.ErrMismatch, "the key is something else: choose another Prefix"},
	{"larger than", engine.ErrTooLarge, ""},
	{"invalid bulk length", engine.ErrTooLarge, "the server's proto-max-bulk-len is smaller than MaxRecord"},
	{"unknown command", engine.ErrUnsupported, "Redis 7.0 is needed"},
}

// kindOf returns what to do about an error of the client, and the engine's word for it.
func kindOf(err error) (fix string, kind error) {
	if errors.Is(err, goredis.ErrClosed) {
		return "", engine.ErrClosed
	}
	// Before the server's words: a client that cannot log in says so at length.
	text := err.Error()
	for _, a := range answers {
		if strings.Contains(text, a.part) {
			return a.fix, a.kind
		}
	}
	// The rest is the network, or a server that is loading, demoted or in an election.
	return "", engine.ErrUnavailable
}

// known reports whether err says already what it is.
func known(err error) bool {
	for _, k := range []error{
		engine.ErrUnavailable, engine.ErrUnauthorized, engine.ErrMismatch, engine.ErrNoTopic, engine.ErrTooLarge,
		engine.ErrFull, engine.ErrUnsupported, engine.ErrClosed,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// fault names what could not be done, of which kind it is, and the way out.
func fault(what string, err error) error {
	if err == nil {
		return nil
	}
	if known(err) {
		return fmt.Errorf("redis: %s: %w", what, err)
	}
	fix, kind := kindOf(err)
	if fix != "" {
		return fmt.Errorf("redis: %s: %w: %w: %s", what, kind, err, fix)
	}
	return fmt.Errorf("redis: %s: %w: %w", what, kind, err)
}

// groupGone is that the stream or the group is not there any more: somebody has removed
// it, or a server that does not keep everything was restarted.
func groupGone(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "NOGROUP") || strings.Contains(err.Error(), "no such key"))
}

func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
}
