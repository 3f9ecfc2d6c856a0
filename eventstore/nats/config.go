package nats

import (
	"errors"
	"fmt"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says where the events are. One of JetStream, URL and Folder is required.
type Config struct {
	// JetStream is on a connection of the caller's, which stays open.
	JetStream jetstream.JetStream
	// URL is of an external server, or of several with commas between them.
	URL string
	// Client is given to the connection to URL: credentials, TLS.
	Client []natsgo.Option
	// Folder has the files of a server in this process. Only one process, and one store
	// in it, can have it at a time; for a second one, open that with JetStream. While its
	// disk is full Append returns engine.ErrFull, the first time when an answer has not
	// come; the server is started again when there is room.
	Folder string
	// PowerSafe has the server in this process acknowledge an event when the disk has it.
	PowerSafe bool
	// MaxStore is how many bytes the server in this process may store. Zero is 8 GiB.
	MaxStore int64

	// Name tells stores on one server apart. It has letters, digits, '-' and '_'. Empty is
	// events.
	Name string
	// Replicas is how many nodes of a cluster have each event. Zero is 1.
	Replicas int
	// MaxBytes is how many bytes the events may take. Append returns engine.ErrFull then.
	// Zero is no bound but the server's own.
	MaxBytes int64
	// Timeout bounds calls whose ctx has no deadline. Zero is 10 s.
	Timeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.MaxStore == 0 {
		c.MaxStore = 8 << 30
	}
	if c.Name == "" {
		c.Name = "events"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	given := 0
	for _, is := range []bool{c.JetStream != nil, c.URL != "", c.Folder != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		fault("JetStream, URL, Folder: exactly one must be given")
	}
	if c.Folder == "" && c.PowerSafe {
		fault("PowerSafe: is for the server in this process: set it on that one")
	}
	if len(c.Name) > 50 || escape(c.Name) != c.Name {
		fault("Name %.60q: must be at most 50 letters, digits, '-' and '_'", c.Name)
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		fault("Replicas %d: must be 1 to 5", c.Replicas)
	}
	if c.MaxStore < 0 || c.MaxBytes < 0 {
		fault("MaxStore %d, MaxBytes %d: must not be negative", c.MaxStore, c.MaxBytes)
	}
	if c.Timeout < 0 {
		fault("Timeout %v: must not be negative", c.Timeout)
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("eventstore/nats: %w", err)
	}
	return nil
}

// escape makes one token of a subject, and of a key of the key-value store, of any text.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// unescape is the inverse of escape.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "=") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			out = append(out, s[i])
			continue
		}
		var c byte
		if i+2 >= len(s) {
			return "", fmt.Errorf("token %q: ends in an escape", s)
		}
		if _, err := fmt.Sscanf(s[i+1:i+3], "%02X", &c); err != nil {
			return "", fmt.Errorf("token %q: %w", s, err)
		}
		out = append(out, c)
		i += 2
	}
	return string(out), nil
}
