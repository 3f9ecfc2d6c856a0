package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// childEnv names the store that a child process writes to until it is killed.
const childEnv = "TROUPE_SQLITE_CHILD"

// numbered returns a letter that follows from its number alone.
func numbered(n int) deadletter.Letter {
	l := typical(n, day.Add(time.Duration(n)*time.Millisecond))
	l.ID = fmt.Sprintf("%012d", n)
	return l
}

// child adds letters and changes them, from several goroutines, and says what has
// been acknowledged, a line each: "add from count" or "redrive id". Writers own
// numbers of their own.
func child(path string) {
	s, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	from, _ := strconv.Atoi(os.Getenv(childEnv + "_FROM"))
	ctx := context.Background()
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...) // straight to the pipe
	}
	for w := range 3 {
		go func() {
			for n := from + w*1_000_000; ; {
				size := 1 + rand.IntN(80)
				var batch []deadletter.Letter
				for i := range size {
					batch = append(batch, numbered(n+i))
				}
				if err := s.Add(ctx, batch); err != nil {
					say("error %v", err)
					os.Exit(1)
				}
				say("add %d %d", n, size)
				id := numbered(n + rand.IntN(size)).ID
				err := s.Update(ctx, id, func(l *deadletter.Letter) error {
					_, err := l.BeginRedrive("ada", 1, day)
					return err
				})
				if err != nil {
					say("error %v", err)
					os.Exit(1)
				}
				say("redrive %s", id)
				n += size
			}
		}()
	}
	select {}
}

// A process that is killed at any moment loses no letter and no change that has
// been acknowledged, and leaves nothing half-done. TROUPE_SQLITE_KILLS is how
// often it is tried.
func TestNothingAcknowledgedIsLostByKilling(t *testing.T) {
	kills, _ := strconv.Atoi(os.Getenv("TROUPE_SQLITE_KILLS"))
	if kills == 0 {
		kills = 8
	}
	path := filepath.Join(t.TempDir(), "letters.db")
	added, redriven := map[int]bool{}, map[string]bool{}
	for round := range kills {
		from := round * 10_000_000
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path, fmt.Sprintf("%s_FROM=%d", childEnv, from))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := map[int]bool{}
		lines := bufio.NewScanner(out)
		first := true
		for lines.Scan() {
			if first {
				first = false
				time.AfterFunc(time.Duration(rand.IntN(120_000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
			words := strings.Fields(lines.Text())
			switch {
			case len(words) == 3 && words[0] == "add":
				n, _ := strconv.Atoi(words[1])
				count, _ := strconv.Atoi(words[2])
				for i := range count {
					acknowledged[n+i], added[n+i] = true, true
				}
			case len(words) == 2 && words[0] == "redrive":
				redriven[words[1]] = true
			default:
				t.Errorf("the child says %q", lines.Text())
			}
		}
		_ = cmd.Wait() // it was killed
		if len(acknowledged) == 0 {
			t.Fatalf("round %d: nothing was acknowledged", round)
		}
		survives(t, path, acknowledged, redriven, added)
	}
	t.Logf("%d letters in %d processes that were killed", len(added), kills)
}

// survives checks what a killed process has left behind.
func survives(t *testing.T, path string, acknowledged map[int]bool, redriven map[string]bool, all map[int]bool) {
	t.Helper()
	ctx := t.Context()
	// First as a command line would look at it.
	look, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := look.List(ctx, deadletter.Query{Limit: 1}); err != nil || p.Total < len(all) {
		t.Errorf("read-only: Total %d, %v, want at least %d", p.Total, err, len(all))
	}
	look.Close()
	s, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range acknowledged {
		want := numbered(n)
		got, err := s.Get(ctx, want.ID)
		if err != nil {
			t.Fatalf("an acknowledged letter is lost: %v", err)
		}
		if redriven[want.ID] && len(got.Redrives) != 1 {
			t.Fatalf("the acknowledged redrive of %s is lost", want.ID)
		}
		got.Redrives, got.State = nil, deadletter.StateOpen
		if want := want.Normalize(); !reflect.DeepEqual(got, want) {
			t.Fatalf("letter %s:\n got %+v\nwant %+v", want.ID, got, want)
		}
	}
	if _, err := s.Verify(ctx); err != nil {
		t.Fatal(err)
	}
}
