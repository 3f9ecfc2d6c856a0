package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/troupe-go/troupe/engine"
)

// Server is what was read from the server when an engine was opened.
type Server struct {
	Version string
	// Known is that the server let its settings be read. Without, the rest says what
	// INFO does, and no Fsync.
	Known bool
	// AppendOnly is that it writes each change to a file, and Fsync when that goes to
	// the disk: always, everysec, no.
	AppendOnly bool
	Fsync      string
	// FsyncPauses is that it does not while that file is rewritten.
	FsyncPauses bool
	// MaxMemory is 0 for as much as there is, and Eviction what is done when it is
	// reached.
	MaxMemory int64
	Eviction  string
}

// durable is that what was acknowledged survives the end of the server, however that
// comes. everysec does not do that: while an fsync is under way the server answers before
// it writes, for up to two seconds (flushAppendOnlyFile in aof.c).
func (s Server) durable() bool { return s.AppendOnly && s.Fsync == "always" }

func (s Server) powerSafe() bool { return s.durable() && !s.FsyncPauses }

// mayEvict is that the server removes keys that are not to expire.
func (s Server) mayEvict() bool { return s.MaxMemory > 0 && strings.HasPrefix(s.Eviction, "allkeys") }

// mayExpire is that it removes keys before they expire: those that tell duplicates.
func (s Server) mayExpire() bool { return s.MaxMemory > 0 && strings.HasPrefix(s.Eviction, "volatile") }

func readServer(ctx context.Context, c *client) (Server, error) {
	info, err := within(ctx, func() (string, error) { return c.Info(ctx).Result() })
	if err != nil {
		return Server{}, err
	}
	s := Server{}
	facts := lines(info)
	s.Version = facts["redis_version"]
	s.AppendOnly = facts["aof_enabled"] == "1"
	s.MaxMemory, _ = strconv.ParseInt(facts["maxmemory"], 10, 64)
	s.Eviction = facts["maxmemory_policy"]
	if major, err := strconv.Atoi(strings.SplitN(s.Version, ".", 2)[0]); err != nil || major < 7 {
		return s, fmt.Errorf("%w: the server is Redis %q and must be 7.0 or newer", engine.ErrUnsupported, s.Version)
	}
	if facts["role"] == "slave" {
		return s, fmt.Errorf("%w: the server is a replica: give the address of the master", engine.ErrUnavailable)
	}
	settings, err := within(ctx, func() (map[string]string, error) {
		all := map[string]string{}
		for _, name := range []string{"appendfsync", "no-appendfsync-on-rewrite"} {
			got, err := c.ConfigGet(ctx, name).Result()
			if err != nil {
				return nil, err
			}
			all[name] = got[name]
		}
		return all, nil
	})
	switch {
	case err == nil:
		s.Known = true
		s.Fsync = settings["appendfsync"]
		s.FsyncPauses = settings["no-appendfsync-on-rewrite"] == "yes"
	case ended(ctx, err), !refused(err):
		return s, err
	}
	return s, nil
}

// refused is that the server's administrator does not let us know.
func refused(err error) bool {
	_, kind := kindOf(err)
	return errors.Is(kind, engine.ErrUnauthorized) || errors.Is(kind, engine.ErrUnsupported)
}

// lines are the facts of INFO.
func lines(info string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			facts[name] = value
		}
	}
	return facts
}

// ready asks whether the server does its work: it answers, has loaded its data, and can
// write.
func ready(ctx context.Context, c *client) error {
	info, err := within(ctx, func() (string, error) { return c.Info(ctx, "persistence").Result() })
	if err != nil && !ended(ctx, err) && refused(err) {
		_, err = within(ctx, func() (string, error) { return c.Ping(ctx).Result() })
	}
	if err != nil {
		return err
	}
	facts := lines(info)
	switch {
	case facts["loading"] == "1":
		return fmt.Errorf("%w: the server is loading its data", engine.ErrUnavailable)
	case facts["aof_enabled"] == "1" && facts["aof_last_write_status"] == "err":
		return fmt.Errorf("%w: the server cannot write its append only file: see its log", engine.ErrUnavailable)
	}
	return nil
}
