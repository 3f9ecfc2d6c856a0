package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// lockSuffix is added to the name of the store for the file that its writer
// holds locked. That file stays behind: removing it would let two writers lock
// two files of one name.
const lockSuffix = ".lock"

var errHeld = errors.New("held")

// lock makes this store the only writer of the file.
func lock(path string) (*os.File, error) {
	name := path + lockSuffix
	f, err := openLock(name)
	if err != nil && !errors.Is(err, errHeld) {
		return nil, lockFault(path, err)
	}
	ok := false
	if err == nil {
		if ok, err = lockFile(f); err != nil {
			f.Close()
			return nil, lockFault(path, err)
		}
	}
	if !ok {
		if f != nil {
			f.Close()
		}
		holder, _ := os.ReadFile(name)
		fix := "stop the other one, or look at the file with OpenReadOnly"
		if pid := strings.TrimSpace(string(holder)); pid != "" {
			fix = fmt.Sprintf("process %s has it; %s", pid, fix)
		}
		return nil, &Error{Path: path, Fix: fix, Err: ErrInUse}
	}
	// Who holds it is for people; the lock is what counts.
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		_ = err
	}
	return f, nil
}

func lockFault(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &Error{Path: path, Fix: "make its directory first", Err: fmt.Errorf("%w: %w", ErrMissing, err)}
	case errors.Is(err, os.ErrPermission):
		return &Error{Path: path, Fix: "give this process the right to write to the directory", Err: fmt.Errorf("%w: %w", ErrReadOnly, err)}
	}
	return &Error{Path: path, Err: fmt.Errorf("sqlite: %w", err)}
}
