package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// ErrSocketInUse is returned by ListenUnix for a socket on which somebody listens.
var ErrSocketInUse = errors.New("console: somebody listens on the socket")

// ListenUnix listens on a Unix socket that only its owner, and root, can connect to:
// the command line's way to a console on the same machine, as in
//
//	l, err := console.ListenUnix("/run/shop/troupe.sock")
//	go http.Serve(l, c)
//
// The socket has mode 0600 from the moment it is there. One that a process which was
// killed has left behind is replaced. Close takes it away. The owner is who can do
// everything that Config.Authorize allows to anybody on that listener: give it a
// Console of its own if the other one is for more people.
//
// Errors: [ErrSocketInUse]; an error that wraps fs.ErrExist if there is a file of
// another kind; those of the system, such as for a path of more than about 100 bytes.
func ListenUnix(path string) (net.Listener, error) {
	if err := sweep(path); err != nil {
		return nil, err
	}
	// A socket has the rights of the process's umask when it is made, so it is made
	// where nobody else can go, and then linked to its place.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("console: socket %s: %w", path, err)
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("console: socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(made, 0o600)
	if err == nil {
		if err = os.Link(made, path); err != nil && !errors.Is(err, fs.ErrExist) {
			err = os.Rename(made, path) // where sockets cannot be linked
		}
	}
	var is os.FileInfo
	if err == nil {
		is, err = os.Lstat(path)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("console: socket %s: %w", path, err)
	}
	return &socket{Listener: l, path: path, is: is}, nil
}

// sweep takes away a socket on which nobody listens.
func sweep(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("console: socket %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("console: socket %s: there is a file that is no socket: %w", path, fs.ErrExist)
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("%w: %s", ErrSocketInUse, path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("console: socket %s: %w", path, err)
	}
	return nil
}

// socket is a listener whose file goes with it, unless somebody else has put his
// there.
type socket struct {
	net.Listener
	path string
	is   os.FileInfo
	once sync.Once
	err  error
}

func (s *socket) Close() error {
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.is) {
			_ = os.Remove(s.path)
		}
		s.err = s.Listener.Close()
	})
	return s.err
}
