package nats_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/nats"
)

// TestAFullDisk: what was acknowledged is there, what was refused has an error of a kind,
// and the store goes on when there is room, without being opened again.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Skipf("no small disk can be mounted, which takes root and the right to: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := folder + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, nats.Config{Folder: folder, Timeout: 2 * time.Second})
	f, err := s.Follow(t.Context(), eventstore.Start)
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 32<<10)
	stored := eventstore.Version(0)
	var refused error
	for refused == nil && stored < 10_000 {
		if _, refused = s.Append(t.Context(), account, stored, event(big)); refused == nil {
			stored++
		}
	}
	if !errors.Is(refused, engine.ErrFull) || !strings.Contains(refused.Error(), folder) {
		t.Errorf("Append to a full disk = %v, want ErrFull with the folder", refused)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, engine.ErrFull) {
		t.Errorf("Ready = %v, want ErrFull", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	last := event("when there is room")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.Append(t.Context(), account, eventstore.Any, last)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Append a minute after there was room = %v", err)
		}
	}
	for last := ""; last != "when there is room"; {
		some, err := f.Next(t.Context(), 100)
		if err != nil && !engine.Temporary(err) {
			t.Fatalf("Next = %v", err)
		}
		for _, ev := range some {
			last = string(ev.Data)
		}
	}
	n := eventstore.Version(0)
	for ev, err := range s.Read(t.Context(), account, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n = ev.Version
	}
	if n < stored+1 {
		t.Errorf("%d events are there, want the %d that were acknowledged", n, stored+1)
	}
}
