//go:build unix

package nats

import (
	"os"
	"syscall"
)

// lockFile takes the lock of an open file, for as long as it is open, or
// returns false if somebody else has it. A lock of this kind belongs to the
// open file and not to the process, so it keeps two engines of one process apart
// as well, and ends with a process that is killed.
func lockFile(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case nil:
			return true, nil
		case syscall.EINTR:
			continue
		case syscall.EWOULDBLOCK:
			return false, nil
		}
		return false, err
	}
}

func openLock(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}
