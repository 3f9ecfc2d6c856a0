package console_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/console/client"
	"github.com/troupe-go/troupe/ops"
)

func TestListen(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	dir := t.TempDir()
	path := filepath.Join(dir, "troupe.sock")
	l, err := console.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	server := &http.Server{Handler: w.console}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	c, err := client.New(client.Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.Overview(t.Context()); err != nil || o.Name != "shop" {
		t.Errorf("Overview = %+v, %v", o, err)
	}
	c.Close()
	if _, err := console.Listen(path); err == nil {
		t.Error("listened on twice")
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	// What a process that died has left is replaced, another file is not.
	dead, err := console.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	moved := path + ".moved"
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	if err := dead.Close(); err != nil {
		t.Error(err)
	}
	again, err := console.Listen(moved)
	if err != nil {
		t.Fatalf("over a dead socket: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := console.Listen(path); err == nil {
		t.Error("a file was replaced")
	}
	if _, err := console.Listen(filepath.Join(dir, "no", "s")); err == nil {
		t.Error("listens in a folder that is not there")
	}
}

// TestZeroConfig is a console that nobody has told anything.
func TestZeroConfig(t *testing.T) {
	w := newWorld(t, console.Config{})
	if err := w.desk.Close(t.Context()); err != nil { // a runtime has one desk
		t.Fatal(err)
	}
	c, err := console.New(w.rt, console.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w.server.Config.Handler = http.StripPrefix("/ops", c)
	for _, path := range []string{"overview", "series", "letters", "tree"} {
		if status, text := w.get(path); status != 200 {
			t.Errorf("GET %s = %d %s", path, status, text)
		}
	}
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestOffline shows a ledger that no runtime has.
func TestOffline(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	c, err := console.New(nil, console.Config{Desk: ops.Offline(w.store), Authorize: everything})
	if err != nil {
		t.Fatal(err)
	}
	w.server.Config.Handler = http.StripPrefix("/ops", c)
	for path, want := range map[string]int{
		"about": 200, "overview": 200, "letters": 200, "groups?query=*": 200, "timeline": 200, "operations": 200, "audit": 200, "verify": 200, "series": 200,
		"letter?id=" + w.ids("bills")[0]: 200, "tree": 403, "subscribers": 403, "topics": 403, "health": 403,
	} {
		if status, text := w.get(path); status != want {
			t.Errorf("GET %s = %d %s, want %d", path, status, text, want)
		}
	}
	if _, text := w.get("about"); !strings.Contains(text, `"offline":true`) {
		t.Errorf("about = %s", text)
	}
	for path, body := range changes(w.ids("bills")[0], w.group("bills")) {
		if path == "import" {
			continue
		}
		if status, text := w.post(path, body); status != http.StatusForbidden || !strings.Contains(text, "read_only") {
			t.Errorf("POST %s = %d %s", path, status, text)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
