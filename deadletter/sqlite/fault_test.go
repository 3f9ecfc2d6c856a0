package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// letters returns numbered letters from, from+1, …, to-1.
func letters(from, to int) (batch []deadletter.Letter) {
	for n := from; n < to; n++ {
		batch = append(batch, numbered(n))
	}
	return batch
}

func mustAdd(t testing.TB, s deadletter.Store, batch []deadletter.Letter) {
	t.Helper()
	if err := s.Add(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
}

func total(t testing.TB, s deadletter.Store) int {
	t.Helper()
	p, err := s.List(context.Background(), deadletter.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return p.Total
}

// is checks that an error is of that kind, and names the file and what to do.
func is(t *testing.T, err, kind error, path string) {
	t.Helper()
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !errors.Is(err, kind) || !ok || failed.Path != path || failed.Fix == "" || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), failed.Fix) {
		t.Errorf("error %v, want one that wraps %v and names %s and the fix", err, kind, path)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := sqlite.Open(sqlite.Config{
		MaxLetterBytes: -1, Sweep: -1,
		Retention: sqlite.Retention{MaxAge: -1, MaxCount: -1, MaxBytes: -1, Topics: map[string]sqlite.Bounds{"a": {MaxCount: -1}}},
	})
	if err == nil {
		t.Fatal("Open of a faulty config succeeds")
	}
	for _, field := range []string{"Path", "MaxLetterBytes", "Sweep", "MaxAge", "Retention.MaxCount", "Retention.MaxBytes", `Topics["a"].MaxCount`} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error %q does not name %s", err, field)
		}
	}
}

func TestFilesAreOfTheirOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	mustAdd(t, s, letters(0, 1))
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want 0600", path+suffix, info.Mode(), err)
		}
	}
}

func TestThereIsOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	_, err := sqlite.Open(sqlite.Config{Path: path})
	is(t, err, sqlite.ErrInUse, path)
	if pid := fmt.Sprint(os.Getpid()); !strings.Contains(err.Error(), pid) {
		t.Errorf("error %q does not name process %s", err, pid)
	}
	mustAdd(t, s, letters(0, 3)) // which the try has not harmed
	s.Close()

	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path, childEnv+"_FROM=1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bufio.NewScanner(out).Scan()
	_, err = sqlite.Open(sqlite.Config{Path: path})
	is(t, err, sqlite.ErrInUse, path)
	if pid := fmt.Sprint(cmd.Process.Pid); !strings.Contains(err.Error(), pid) {
		t.Errorf("error %q does not name process %s", err, pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	again := open(t, sqlite.Config{Path: path})
	if n := total(t, again); n < 4 {
		t.Errorf("Total = %d after the other writer was killed", n)
	}
}

func TestASecondProcessCanLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	if _, err := sqlite.OpenReadOnly(path); err == nil {
		t.Fatal("OpenReadOnly of nothing succeeds")
	} else {
		is(t, err, sqlite.ErrMissing, path)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("OpenReadOnly has made a file")
	}
	s := open(t, sqlite.Config{Path: path})
	mustAdd(t, s, letters(0, 5))
	look := func(want int) {
		t.Helper()
		r, err := sqlite.OpenReadOnly(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n := total(t, r); n != want {
			t.Errorf("Total = %d, want %d", n, want)
		}
		ctx := t.Context()
		for name, err := range map[string]error{
			"Add":    r.Add(ctx, letters(9, 10)),
			"Update": r.Update(ctx, numbered(1).ID, func(*deadletter.Letter) error { return nil }),
			"Record": r.Record(ctx, deadletter.AuditEntry{}),
		} {
			if !errors.Is(err, sqlite.ErrReadOnly) {
				t.Errorf("%s = %v, want ErrReadOnly", name, err)
			}
			is(t, err, sqlite.ErrReadOnly, path)
		}
	}
	look(5) // beside the server
	mustAdd(t, s, letters(5, 7))
	look(7)
	s.Close()
	look(7) // the files beside it are gone
	look(7)
	again := open(t, sqlite.Config{Path: path})
	mustAdd(t, again, letters(7, 8))
	look(8)
}

func TestAFullDisk(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	mustAdd(t, s, letters(0, 500))
	if err := s.Indexed(ctx); err != nil {
		t.Fatal(err)
	}
	pages, err := s.Pages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pragma(ctx, fmt.Sprintf("max_page_count = %d", pages+20)); err != nil {
		t.Fatal(err)
	}
	stored := 500
	for ; err == nil; stored += 100 {
		err = s.Add(ctx, letters(stored, stored+100))
	}
	stored -= 100
	is(t, err, sqlite.ErrFull, path)
	for range 3 {
		is(t, s.Add(ctx, letters(stored, stored+100)), sqlite.ErrFull, path)
	}
	if n := total(t, s); n != stored {
		t.Errorf("Total = %d with a full disk, want %d: all of a batch or none", n, stored)
	}
	if a, err := s.Verify(ctx); err != nil || a.Added != int64(stored) {
		t.Errorf("Verify = %+v, %v, want %d added", a, err, stored)
	}
	if err := s.Pragma(ctx, "max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, s, letters(stored, stored+100))
	if n := total(t, s); n != stored+100 {
		t.Errorf("Total = %d after room was made, want %d", n, stored+100)
	}
	if err := s.Indexed(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(ctx); err != nil {
		t.Error(err)
	}
}

func TestAReadOnlyDisk(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	mustAdd(t, s, letters(0, 5))
	if err := s.Pragma(ctx, "query_only = 1"); err != nil {
		t.Fatal(err)
	}
	is(t, s.Add(ctx, letters(5, 6)), sqlite.ErrReadOnly, path)
	if n := total(t, s); n != 5 {
		t.Errorf("Total = %d, want 5", n)
	}
	// The failure has ended the connection, and the next one can write.
	mustAdd(t, s, letters(5, 6))
	if os.Geteuid() == 0 {
		return // whom no right stops
	}
	s.Close()
	os.Chmod(path, 0o400)
	_, err := sqlite.Open(sqlite.Config{Path: path})
	is(t, err, sqlite.ErrReadOnly, path)
}

func TestAFileThatIsGone(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	mustAdd(t, s, letters(0, 5))
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	is(t, s.Add(ctx, letters(5, 6)), sqlite.ErrMissing, path)
	other := path + ".other"
	if err := os.WriteFile(other, []byte("another file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	is(t, s.Add(ctx, letters(5, 6)), sqlite.ErrMissing, path)
	if n := total(t, s); n != 5 {
		t.Errorf("Total = %d of what is open, want 5", n)
	}
	if err := s.Backup(ctx, path+".saved"); err != nil {
		t.Error(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, s, letters(5, 6))
	if _, err := s.Verify(ctx); err != nil {
		t.Error(err)
	}
	saved := open(t, sqlite.Config{Path: path + ".saved"})
	if n := total(t, saved); n != 5 {
		t.Errorf("Total = %d of the backup, want 5", n)
	}
}

func TestFilesThatAreNoStore(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, make func(path string)) string {
		path := filepath.Join(dir, name)
		make(path)
		return path
	}
	run := func(script string) func(string) {
		return func(path string) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(script); err != nil {
				t.Fatal(err)
			}
		}
	}
	store := func(path string) {
		s := open(t, sqlite.Config{Path: path})
		mustAdd(t, s, letters(0, 300))
		s.Close()
	}
	for _, tc := range []struct {
		path string
		want error
	}{
		{file("garbage", func(p string) { os.WriteFile(p, bytes.Repeat([]byte("no database "), 1000), 0o600) }), sqlite.ErrCorrupt},
		{file("foreign", run("CREATE TABLE bookmarks (url)")), sqlite.ErrForeign},
		{file("newer", func(p string) { store(p); run(fmt.Sprintf("PRAGMA user_version = %d", sqlite.SchemaVersion+1))(p) }), sqlite.ErrNewer},
		{file("torn", func(p string) {
			store(p)
			b, _ := os.ReadFile(p)
			os.WriteFile(p, append(b[:100:100], bytes.Repeat([]byte{0xa5}, len(b)-100)...), 0o600)
		}), sqlite.ErrCorrupt},
		{dir, sqlite.ErrForeign},
	} {
		t.Run(filepath.Base(tc.path), func(t *testing.T) {
			before, _ := os.ReadFile(tc.path)
			_, err := sqlite.Open(sqlite.Config{Path: tc.path})
			is(t, err, tc.want, tc.path)
			_, err = sqlite.OpenReadOnly(tc.path)
			is(t, err, tc.want, tc.path)
			if after, _ := os.ReadFile(tc.path); !bytes.Equal(before, after) {
				t.Error("the file has been changed")
			}
		})
	}
	if _, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "no", "directory", "letters.db")}); !errors.Is(err, sqlite.ErrMissing) {
		t.Errorf("Open without a directory = %v, want ErrMissing", err)
	}
}

// What is damaged in the middle is found when it is read, and by Verify.
func TestDamageIsSaid(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	mustAdd(t, s, letters(0, 2000))
	s.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(b) / 2 / 4096 * 4096; at < len(b)/2+10*4096; at += 4096 {
		copy(b[at:], bytes.Repeat([]byte{0xff}, 64))
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, sqlite.Config{Path: path})
	_, err = s.Verify(ctx)
	is(t, err, sqlite.ErrCorrupt, path)
	var seen error
	for n := range 2000 {
		if _, err := s.Get(ctx, numbered(n).ID); err != nil {
			seen = err
			break
		}
	}
	is(t, seen, sqlite.ErrCorrupt, path)
}

// A call whose context ends while it waits has done nothing; nothing is the worse
// for it.
func TestContextsEnd(t *testing.T) {
	s := open(t, sqlite.Config{})
	many := 3000
	if raceEnabled {
		many = 600
	}
	mustAdd(t, s, letters(0, many))
	within, goOn := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Update(t.Context(), numbered(0).ID, func(l *deadletter.Letter) error {
			close(within)
			<-goOn
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-within
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- s.Add(ctx, letters(5000, 5001)) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Add = %v, want context.Canceled", err)
	}
	if err := s.Update(ctx, numbered(1).ID, func(*deadletter.Letter) error { t.Error("fn was called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want context.Canceled", err)
	}
	close(goOn)
	wg.Wait()
	if n := total(t, s); n != many {
		t.Errorf("Total = %d, want %d", n, many)
	}
	// Queries that take long end early, and leave a connection that works.
	for i := range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		_, err := s.List(ctx, deadletter.Query{Where: parse(t, fmt.Sprintf("payload.order.id:>%d", i))})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("List = %v, want nil or context.DeadlineExceeded", err)
		}
		cancel()
		if n := total(t, s); n != many {
			t.Fatalf("Total = %d afterwards, want %d", n, many)
		}
	}
}

// Close waits for what was accepted, and what comes later is told.
func TestCloseWhileMuchGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	s := open(t, sqlite.Config{Path: path})
	var wg sync.WaitGroup
	var mu sync.Mutex
	stored := 0
	started := make(chan struct{}, 8)
	for w := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := s.Add(context.Background(), letters(w*100_000+n*10, w*100_000+n*10+10))
				if n == 1 {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, deadletter.ErrClosed) {
						t.Errorf("Add = %v, want ErrClosed", err)
					}
					return
				}
				mu.Lock()
				stored += 10
				mu.Unlock()
				if _, err := s.List(context.Background(), deadletter.Query{Limit: 3}); err != nil && !errors.Is(err, deadletter.ErrClosed) {
					t.Errorf("List = %v, want ErrClosed", err)
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); err == nil {
			t.Errorf("%s is there after Close", suffix)
		}
	}
	again := open(t, sqlite.Config{Path: path})
	if n := total(t, again); n != stored {
		t.Errorf("Total = %d, want the %d that were acknowledged", n, stored)
	}
}
