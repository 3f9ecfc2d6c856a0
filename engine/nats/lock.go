package nats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/troupe-go/troupe/engine"
)

// lockName is a file in the folder that its process holds locked. It stays behind:
// removing it would let two processes lock two files of one name.
const lockName = "lock"

var errHeld = errors.New("held")

// lock makes this engine the only one on the folder, which it makes if it is not
// there. The lock ends with the process, however that ends.
func lock(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, folderFault(folder, err)
	}
	name := filepath.Join(folder, lockName)
	f, err := openLock(name)
	if err != nil && !errors.Is(err, errHeld) {
		return nil, folderFault(folder, err)
	}
	ok := false
	if err == nil {
		if ok, err = lockFile(f); err != nil {
			f.Close()
			return nil, folderFault(folder, err)
		}
	}
	if !ok {
		if f != nil {
			f.Close()
		}
		holder := ""
		if pid, _ := os.ReadFile(name); len(pid) > 0 {
			holder = " by process " + strings.TrimSpace(string(pid))
		}
		return nil, fmt.Errorf("nats: folder %s: %w%s: stop that process, choose another Config.Folder, or let one of them connect to the other with Config.URL", folder, engine.ErrInUse, holder)
	}
	// Who holds it is for people; the lock is what counts.
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		_ = err
	}
	return f, nil
}

func folderFault(folder string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("nats: folder %s: %w: give this process the right to write there: %w", folder, engine.ErrUnauthorized, err)
	}
	return fmt.Errorf("nats: folder %s: %w", folder, err)
}
