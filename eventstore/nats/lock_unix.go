//go:build unix

package nats

import (
	"errors"
	"os"
	"syscall"
)

var errHeld = errors.New("held")

// lock takes a lock that ends with the file, and so with the process, however that ends.
func lock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		if err == syscall.EWOULDBLOCK {
			err = errHeld
		}
		return nil, err
	}
	return f, nil
}
