package console

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-go/troupe/ops"
)

// Config describes a [Console]. The zero value is a console for looking only.
type Config struct {
	// Desk does the operations, and is closed by who made it. Nil is a desk of
	// its own, which Close closes.
	Desk *ops.Desk
	// Environment is shown on every page and in every question before something
	// is destroyed, such as "production".
	Environment string
	// Authorize says with nil that the request may do that. It is asked for every
	// action, possibly several times for one request, and should be quick. The
	// text of its error is shown to the caller. Nil allows Metadata and Payload to
	// everybody who reaches the handler, and the other rights to nobody.
	Authorize func(*http.Request, Action) error
	// User says who sends a request, for the audit trail. If it returns "",
	// nothing can be changed. Nil takes the caller's word and marks the name as
	// unverified.
	User func(*http.Request) string
	// Hosts are names that the Host header may have, without a port. A connection
	// to a loopback address is refused, unless Host is localhost, a loopback
	// address or one of Hosts, which keeps pages of other sites from reading this
	// one through a name of theirs. Other connections may have any, unless Hosts
	// is set. Connections of a Unix socket are not checked.
	Hosts []string
	// MaxBody is the size in bytes of a request, and MaxImport that of an import.
	// Zero is 1 MiB and 1 GiB.
	MaxBody, MaxImport int64
	// MaxPage is the size in bytes of the letters on a page, of which there is
	// always one; a page that would be larger has fewer letters. Zero is 8 MiB.
	MaxPage int64
	// MaxStreams is how many streams of events there may be at a time. Zero is 64.
	MaxStreams int
	// StreamTime is how long a stream goes on until its reader has to connect, and
	// to be authorized, again. Zero is 10 minutes.
	StreamTime time.Duration
	// Heartbeat is the longest silence on a stream. Zero is 15 s.
	Heartbeat time.Duration
	// Sample is how often the figures of the overview's charts are taken, of which
	// an hour or 720 are kept, whichever is more. It costs a Snapshot of the runtime
	// each time. Zero is 5 s, NoSamples is never.
	Sample time.Duration
}

// NoSamples is a Config.Sample that takes none.
const NoSamples time.Duration = -1

func (c Config) withDefaults() Config {
	or := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	or(&c.MaxBody, 1<<20)
	or(&c.MaxImport, 1<<30)
	or(&c.MaxPage, 8<<20)
	or((*int64)(&c.StreamTime), int64(10*time.Minute))
	or((*int64)(&c.Heartbeat), int64(15*time.Second))
	or((*int64)(&c.Sample), int64(5*time.Second))
	if c.MaxStreams == 0 {
		c.MaxStreams = 64
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"MaxBody", c.MaxBody}, {"MaxImport", c.MaxImport}, {"MaxPage", c.MaxPage}, {"MaxStreams", int64(c.MaxStreams)},
	} {
		if v.n < 0 {
			fault("Config.%s %d: must not be negative", v.name, v.n)
		}
	}
	if c.StreamTime < 0 {
		fault("Config.StreamTime %v: must not be negative", c.StreamTime)
	}
	if c.Heartbeat < 0 {
		fault("Config.Heartbeat %v: must not be negative", c.Heartbeat)
	}
	if c.Sample < time.Second && c.Sample != NoSamples {
		fault("Config.Sample %v: must be at least 1s, or NoSamples", c.Sample)
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/ *") || (strings.Contains(h, ":") && net.ParseIP(h) == nil) {
			fault("Config.Hosts %q: must be a name or address, without scheme, port or wildcard", h)
		}
	}
	return errors.Join(faults...)
}
