package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// Store is a [deadletter.Ledger] in a file. It is safe for concurrent use.
//
// What a method that returns nil has written is on the disk: it survives the
// process, killed at any moment, and the machine. Writes that come together
// share a transaction and so the price of the disk; each is whole or not there.
// Reads see the store as it was at one moment, and wait for no write.
//
// A call that fails has changed nothing, but for Change, which says so. The
// store goes on by itself when the cause is gone. See [Error].
type Store struct {
	cfg      Config
	path     string
	readOnly bool
	file     os.FileInfo // as it was opened
	lock     *os.File
	readers  *pool
	name     string // of the writer's connection
	counts   *countCache
	spans    *spans

	// due is when the first deleted letter has to go, in nanoseconds since 1970.
	due atomic.Int64

	mu     sync.RWMutex // held for reading while a job is handed over
	closed bool
	jobs   chan *job

	quit chan struct{} // closed by Close
	done chan struct{} // closed by the writer at its end

	writer writer // belongs to the goroutine of run
	full   fills  // of retention
}

// queue is how many writes may wait before callers wait to be queued.
const queue = 1024

// Open opens the store at cfg.Path and makes it if it is not there. It is its
// only writer until Close: another Open of the same file, in this process or
// another, returns ErrInUse with the number of the process that has it.
//
// The file, and those beside it with -wal, -shm and .lock added to its name, are
// made readable by their owner only. Files must be on a disk of this machine.
//
// Errors: every fault of the config at once; an *Error that wraps ErrInUse,
// ErrReadOnly, ErrFull, ErrCorrupt, ErrForeign, ErrNewer, ErrMissing or ErrIO. A
// file that is no store is not touched.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	held, err := lock(cfg.Path)
	if err != nil {
		return nil, err
	}
	s, err := open(cfg, held)
	if err != nil {
		held.Close()
		return nil, fault(cfg.Path, err)
	}
	return s, nil
}

func open(cfg Config, held *os.File) (*Store, error) {
	if err := makeFile(cfg.Path); err != nil {
		return nil, err
	}
	name, err := dsn(cfg.Path, "mode=rw", "busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	reading, err := dsn(cfg.Path, "mode=rw", "busy_timeout(5000)", "query_only(1)", "cache_size(-8192)", "temp_store(MEMORY)")
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, path: cfg.Path, lock: held, name: name, readers: newPool(reading), counts: newCountCache(), spans: &spans{},
		jobs: make(chan *job, queue), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if s.file, err = os.Stat(cfg.Path); err != nil {
		return nil, err
	}
	if err := s.writer.open(s); err != nil {
		return nil, err
	}
	go s.run()
	return s, nil
}

// makeFile makes the file for its owner only. The engine gives those it makes
// beside it the same rights.
func makeFile(path string) error {
	// The engine's locks end when any descriptor of the file is closed, so it is
	// opened here only if it is new.
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() {
			return &Error{Path: path, Fix: "name a file", Err: fmt.Errorf("%w: it is no regular file", ErrForeign)}
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return lockFault(path, err)
	}
	return f.Close()
}

// OpenReadOnly opens a store for looking, whether a server has it open, has
// closed it or has been killed. Everything that would change something returns
// ErrReadOnly.
//
// It changes no letter. Where the server has been killed, the engine first does
// what it had left to do, for which it needs the right to write to the files and
// the directory; without it, and without a server, such a file cannot be read
// and the error says so.
func OpenReadOnly(path string) (*Store, error) {
	s, err := openReadOnly(path)
	if err != nil {
		return nil, fault(path, err)
	}
	return s, nil
}

func openReadOnly(path string) (*Store, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, lockFault(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Path: path, Fix: "name a file", Err: fmt.Errorf("%w: it is no regular file", ErrForeign)}
	}
	s := &Store{path: path, readOnly: true, file: info, counts: newCountCache(), spans: &spans{}, cfg: Config{Path: path}.withDefaults()}
	for _, mode := range []string{"mode=ro", "mode=rw", "mode=ro&immutable=1"} {
		if mode == "mode=ro&immutable=1" && !settled(path) {
			break // what is in the log would be missed
		}
		var name string
		if name, err = dsn(path, mode, "busy_timeout(5000)", "query_only(1)", "cache_size(-8192)", "temp_store(MEMORY)"); err != nil {
			return nil, err
		}
		s.readers = newPool(name)
		err = s.readers.read(context.Background(), func(c *conn) error {
			if err := recognize(c, path); err != nil {
				return err
			}
			n, err := c.number(context.Background(), "PRAGMA user_version")
			switch {
			case err != nil:
				return err
			case n == 0:
				return &Error{Path: path, Fix: "name another file", Err: fmt.Errorf("%w: it is empty", ErrForeign)}
			case n < schemaVersion:
				return &Error{Path: path, Fix: "open it for writing once, which brings it up to date",
					Err: fmt.Errorf("sqlite: schema %d is older than %d", n, schemaVersion)}
			}
			return nil
		})
		var known *Error
		if err == nil || errors.As(err, &known) || errors.Is(fault(path, err), ErrCorrupt) {
			break
		}
		s.readers.close()
	}
	if err != nil {
		s.readers.close()
		return nil, err
	}
	return s, nil
}

// settled reports whether everything is in the file itself.
func settled(path string) bool {
	info, err := os.Stat(path + "-wal")
	return err != nil || info.Size() == 0
}

// Path returns the name of the file.
func (s *Store) Path() string { return s.path }

// Close ends the store: what has been accepted is written first. It waits for
// calls that are under way, may be called again, and every call after it returns
// deadletter.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if s.readOnly {
		s.readers.close()
		return nil
	}
	if !already {
		close(s.quit)
		close(s.jobs)
	}
	<-s.done
	return nil
}

// read runs fn on the store as it is at one moment.
func (s *Store) read(ctx context.Context, fn func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.purged(ctx); err != nil {
		return err
	}
	return fault(s.path, s.readers.read(ctx, fn))
}

// fresh is read on a connection that nobody has used before.
func (s *Store) fresh(ctx context.Context, fn func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.purged(ctx); err != nil {
		return err
	}
	return fault(s.path, s.readers.fresh(ctx, fn))
}

// present returns an error if the file that is open is not the one by that name:
// what is written to it would be found by nobody.
func (s *Store) present() error {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &Error{Path: s.path, Err: fmt.Errorf("%w: it has been deleted or moved", ErrMissing),
			Fix: "put it back and it goes on by itself, save what is open with Backup, or start the program again with an empty one"}
	case err != nil:
		return &Error{Path: s.path, Err: fmt.Errorf("%w: %w", ErrIO, err)}
	case !os.SameFile(info, s.file):
		return &Error{Path: s.path, Err: fmt.Errorf("%w: another file is in its place", ErrMissing),
			Fix: "put the old one back and it goes on by itself; to use the new one, stop the program, remove the files beside it with -wal and -shm added to the name, and start again"}
	}
	return nil
}

// Backup writes a copy of the store, as it is at one moment, to a file that must
// not be there. It needs as much room, and does not hold up writers.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	err = s.readers.outside(ctx, func(c *conn) error {
		// The connection is of the file that is open, also if that has no name any
		// more; that it only reads would stop the copy as well.
		if err := c.script("PRAGMA query_only = 0"); err != nil {
			return err
		}
		return errors.Join(c.query(ctx, "VACUUM INTO ?", []any{path}, func([]any) error { return nil }), c.script("PRAGMA query_only = 1"))
	})
	if err != nil {
		os.Remove(path)
	}
	return fault(s.path, err)
}

var (
	_ deadletter.Ledger = (*Store)(nil)
	_                   = time.Now
)
