package console

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Listen listens on a Unix socket that only this user can open (mode 0600), from the
// moment that it is there: for the command line on the same machine. A socket that a
// process has left behind is replaced; one that is listened on is an error, as is
// another file of that name. Closing the listener removes it.
//
//	l, err := console.Listen("/run/shop/troupe.sock")
//	go http.Serve(l, c)
//
// Whoever can open it is allowed what Config.Authorize allows to a request over it.
func Listen(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("console: %s is there and is no socket", path)
		}
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("console: %s is listened on already", path)
		}
	}
	// It is made in a folder of its own that nobody else can enter, and moved to its
	// place when its mode is right: there is no moment in which others can open it.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".troupe-")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	l.SetUnlinkOnClose(false) // it would remove the name that it was made with
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, fmt.Errorf("console: %w", errors.Join(err, l.Close()))
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("console: %w", errors.Join(err, l.Close()))
	}
	return &socket{UnixListener: l, path: path, made: info}, nil
}

// socket removes its file when it is closed, if that is still the one it made.
type socket struct {
	*net.UnixListener
	path string
	made os.FileInfo
	once sync.Once
}

// Close ends Accept and removes the file.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	s.once.Do(func() {
		if info, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(info, s.made) {
			err = errors.Join(err, os.Remove(s.path))
		}
	})
	return err
}
