package cli_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"github.com/troupe-go/troupe/deadletter"
)

// TestStoreWhileServerWrites holds that a file can be looked at while a server writes
// to it, and is never changed by that.
func TestStoreWhileServerWrites(t *testing.T) {
	w := newWorld(t)
	const each, writers = 40, 3
	var writing sync.WaitGroup
	for k := range writers {
		writing.Go(func() {
			for i := range each {
				if err := w.orders.Publish(context.Background(), order{int64(k*each + i), "CH"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { writing.Wait(); close(ended) }()
	look := func(args ...string) string {
		t.Helper()
		r := run(context.Background(), nil, "", false, append(args, "--store", w.file)...)
		if r.code != cli.ExitOK {
			t.Fatalf("troupe %s: %+v", strings.Join(args, " "), r)
		}
		return r.out
	}
	for looking := true; looking; {
		select {
		case <-ended:
			looking = false
		default:
		}
		look("verify")
		look("groups")
		look("ls", "-o", "jsonl")
	}
	w.idle()
	if out := look("search", "sub:payment", "--count"); out != "120\n" {
		t.Errorf("%s letters are seen, want %d", out, each*writers)
	}
	for _, args := range []string{"rm --query * --yes --confirm 120", "redrive --query * --yes", "pause payment", "edit x", "archive x", "groups ack x", "ops cancel x", "import x"} {
		if r := run(context.Background(), nil, "", false, append(strings.Fields(args), "--store", w.file)...); r.code != cli.ExitUsage {
			t.Errorf("troupe %s with --store: %+v", args, r)
		}
	}
	var open deadletter.Page
	w.into(&open, "ls", "-l", "1")
	if open.Total != 120 {
		t.Errorf("%d letters are open", open.Total)
	}
}

// TestTail holds that letters are shown as they come, from a server and from a file,
// those that the query selects and no others.
// A store in PostgreSQL is not opened by the program, which says by what it is looked
// at, and keeps the password to itself.
func TestStoreInPostgreSQL(t *testing.T) {
	for _, args := range [][]string{{"groups"}, {"rm", "x", "--yes"}} {
		r := run(context.Background(), nil, "", false, append(args, "--store", "postgres://ada:sesame@db/shop")...)
		if r.code != cli.ExitUsage || !strings.Contains(r.err, "through a console over it") || strings.Contains(r.err, "sesame") {
			t.Errorf("troupe %v with a store in PostgreSQL: %+v, want the way, without the password", args, r)
		}
	}
}

func TestTail(t *testing.T) {
	for _, from := range []string{"server", "store"} {
		t.Run(from, func(t *testing.T) {
			w := newWorld(t)
			first := w.fail(2)
			ctx, interrupt := context.WithCancel(context.Background())
			defer interrupt()
			env := w.env
			if from == "store" {
				env = map[string]string{"TROUPE_STORE": w.file}
			}
			out, code := tail(ctx, env, "tail", "-l", "1", "-o", "jsonl", "payload.country:CH")
			eventually(t, "the latest letter", func() bool { return strings.Contains(out.String(), first[1]) })
			if strings.Contains(out.String(), first[0]) {
				t.Errorf("more than one letter to begin with:\n%s", out)
			}
			w.handles(func(_ context.Context, o order) error { return fmt.Errorf("fails for %s", o.Country) })
			// A stream begins a moment after the first letters: what fails until then is
			// not part of it.
			seen := func() int { return strings.Count(out.String(), "fails for CH") }
			eventually(t, "a letter that comes", func() bool {
				for _, country := range []string{"DE", "CH"} {
					if err := w.orders.Publish(context.Background(), order{7, country}); err != nil {
						t.Fatal(err)
					}
				}
				w.idle()
				time.Sleep(20 * time.Millisecond)
				return seen() > 0
			})
			if strings.Contains(out.String(), "fails for DE") {
				t.Errorf("letters that the query does not select:\n%s", out)
			}
			interrupt()
			if got := <-code; got != cli.ExitOK {
				t.Errorf("exit code %d", got)
			}
		})
	}
}

// TestEvents holds tail --events.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	out, code := tail(ctx, w.env, "tail", "--events")
	eventually(t, "the pause of a subscriber", func() bool {
		w.ok("pause", "payment")
		w.ok("resume", "payment")
		return strings.Contains(out.String(), "paused") && strings.Contains(out.String(), "pause_subscriber")
	})
	interrupt()
	if got := <-code; got != cli.ExitOK {
		t.Errorf("exit code %d", got)
	}
}

// TestTop holds one picture in a pipe, and pictures on a terminal until Ctrl-C.
func TestTop(t *testing.T) {
	w := newWorld(t)
	w.fail(2)
	out := w.ok("top", "--every", "20ms")
	for _, want := range []string{"shop on", "2 open", "└─ orders.placed/stock", "DONE/s", "tax service: 502"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("escape sequences in a pipe: %q", out)
	}
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	var screen buffer
	code := make(chan int, 1)
	go func() {
		env := environment(w.env, &screen)
		env.OutTerminal = true
		code <- cli.Run(ctx, env, "top", "--every", "10ms")
	}()
	eventually(t, "three pictures", func() bool { return strings.Count(screen.String(), "\x1b[H") >= 3 })
	interrupt()
	if got := <-code; got != cli.ExitOK {
		t.Errorf("exit code %d", got)
	}
	if !strings.HasSuffix(screen.String(), "\x1b[?25h\x1b[?1049l") {
		t.Errorf("the terminal is left as %q", screen.String()[max(0, len(screen.String())-40):])
	}
}

// tail calls the program beside the test.
func tail(ctx context.Context, env map[string]string, args ...string) (*buffer, <-chan int) {
	var out buffer
	code := make(chan int, 1)
	go func() { code <- cli.Run(ctx, environment(env, &out), args...) }()
	return &out, code
}
