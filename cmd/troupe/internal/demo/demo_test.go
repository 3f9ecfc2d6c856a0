package demo_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/demo"
	"go.uber.org/goleak"
)

// output is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// TestDemo holds that a demo is the same for the same seed, says
// what to try, and leaves nothing behind.
func TestDemo(t *testing.T) {
	defer goleak.VerifyNone(t)
	var out output
	var folder string
	err := demo.Run(t.Context(), demo.Config{Addr: "127.0.0.1:0", Once: true, Seed: 1, Out: &out,
		Ready: func(url, socket, store string) {
			folder = filepath.Dir(store)
			info, err := os.Stat(store)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the store is %v, %v", info, err)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder %s is left: %v", folder, err)
	}
	for _, want := range []string{"The shop has 167 dead letters in 5 groups", "TROUPE_SERVER=http://127.0.0.1:", "troupe demo repair"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

// TestDemoEnds holds that a demo ends with its context, in the middle of its traffic,
// and keeps a folder that was named.
func TestDemoEnds(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out output
	dir := filepath.Join(t.TempDir(), "shop")
	for range 2 { // the second time with the letters of the first
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		err := demo.Run(ctx, demo.Config{Addr: "127.0.0.1:0", Dir: dir, Seed: 2, Out: &out, Ready: func(url, _, _ string) {
			time.AfterFunc(300*time.Millisecond, func() {
				if err := demo.Repair(ctx, url); err != nil {
					t.Error(err)
				}
				time.AfterFunc(300*time.Millisecond, cancel)
			})
		}})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), "The tax service works again."); n != 2 {
		t.Errorf("it was repaired %d times, want 2", n)
	}
	if _, err := os.Stat(filepath.Join(dir, "letters.db")); err != nil {
		t.Errorf("a folder that was named is not kept: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "troupe.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestDemoRefuses holds what it does not do.
func TestDemoRefuses(t *testing.T) {
	defer goleak.VerifyNone(t)
	var out output
	err := demo.Run(t.Context(), demo.Config{Addr: "0.0.0.0:0", Once: true, Out: &out})
	if err == nil || !strings.Contains(err.Error(), "lets everybody do everything") {
		t.Errorf("on every address: %v", err)
	}
	if err := demo.Repair(t.Context(), "127.0.0.1:1"); err == nil {
		t.Error("a demo that is not there was repaired")
	}
}
