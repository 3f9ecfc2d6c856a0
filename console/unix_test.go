//go:build unix

package console_test

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/troupe-go/troupe/console"
)

// TestListenUnix holds what the comment of ListenUnix promises.
func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.sock")
	l, err := console.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	}()
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v, want mode 0600", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".s*")); len(left) > 0 {
		t.Errorf("it leaves %v behind", left)
	}
	client := http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	resp, err := client.Get("http://x/")
	if err != nil || resp.StatusCode != 204 {
		t.Errorf("a request is answered %v, %v", resp, err)
	}
	client.CloseIdleConnections()
	if _, err := console.ListenUnix(path); !errors.Is(err, console.ErrSocketInUse) {
		t.Errorf("a second listener gets %v, want ErrSocketInUse", err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	<-served
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close the socket is there: %v", err)
	}
}

// TestListenUnixReplacesOnlySockets holds that a socket that was left behind gives
// way, and no other file does.
func TestListenUnixReplacesOnlySockets(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "t.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	l, err := console.ListenUnix(stale)
	if err != nil {
		t.Fatalf("in place of a socket that was left behind: %v", err)
	}
	// Somebody else's socket at the same place stays when this one closes.
	_ = os.Remove(stale)
	if err := os.WriteFile(stale, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if data, err := os.ReadFile(stale); string(data) != "x" {
		t.Errorf("Close took away a file that is not its own: %v", err)
	}
	if _, err := console.ListenUnix(stale); !errors.Is(err, fs.ErrExist) {
		t.Errorf("in place of a file: %v, want fs.ErrExist", err)
	}
	if _, err := console.ListenUnix(filepath.Join(dir, "no", "t.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}
