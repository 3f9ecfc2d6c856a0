//go:build unix

// Package turn has the tests of one package wait for those of another: those of the
// engine restart the server.
package turn

import (
	"os"
	"path/filepath"
	"syscall"
)

// Take waits until nobody else has the turn, and has it until the process ends.
func Take() error {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "troupe-postgres-turn.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	held = append(held, f) // or it is closed when nobody has it any more
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}

var held []*os.File
