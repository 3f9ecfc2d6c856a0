package nats_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// smallDisk returns a folder on a disk of so many bytes, which needs root.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		t.Skipf("no small disk can be mounted, which takes root and the right to: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		os.Remove(folder)
	})
	return folder
}
