// Command letters measures dead letters: how fast a store in a file takes them, what a page
// costs in each filter, what the console answers, a redrive, and processes that are killed. It
// writes its section of RESULTS.md.
//
//	go run ./cmd/letters [-letters 1000000] [-kills 50] [-dir /tmp] [-store FILE] [-quick] [-out RESULTS.md]
//
// With a million letters it takes under ten minutes on a machine that does nothing else, and
// 4 GB of disk in -dir, which has to be a real disk: every Add waits for it. It exits with 1 if
// something was lost.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/troupe-go/troupe/bench/internal/paper"
)

// run is one run of the command.
type run struct {
	letters, kills int
	dir            string
	store          string  // that is kept
	share          float64 // of the time
	began          time.Time
	out            report
}

func main() {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "letters:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context) error {
	letters := flag.Int("letters", 1_000_000, "letters in the large store")
	kills := flag.Int("kills", 50, "processes that are killed while they add letters")
	dir := flag.String("dir", os.TempDir(), "where files are made, on a real disk")
	quick := flag.Bool("quick", false, "20,000 letters and a tenth of the time: to see that it works")
	out := flag.String("out", "RESULTS.md", "paper of which to write a section")
	store := flag.String("store", "", "a large store to make and keep, or one that was kept, of that many letters; only it is measured")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("argument %q: unexpected", flag.Arg(0))
	}
	r := &run{letters: *letters, kills: *kills, share: 1, began: time.Now()}
	if *quick {
		r.letters, r.kills, r.share = min(r.letters, 20_000), min(r.kills, 5), 0.1
	}
	if r.letters < 10_000 || r.kills < 1 {
		return fmt.Errorf("-letters %d, -kills %d: must be at least 10000 and 1", r.letters, r.kills)
	}
	var err error
	if r.dir, err = os.MkdirTemp(*dir, "troupe-letters-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	r.heading(*quick)
	parts := []func(context.Context) error{r.adds, r.large, r.redrive, r.killed}
	if r.store = *store; r.store != "" {
		parts = parts[1:2]
	}
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return err
		}
	}
	r.out.line("Took %v.", time.Since(r.began).Round(time.Second))
	return r.write(*out)
}

// write writes what was measured: all of it goes this way.
func (r *run) write(path string) error {
	if err := paper.Write(path, paper.Letters, r.out.Bytes()); err != nil {
		return err
	}
	r.say("wrote %s", path)
	return nil
}

// say tells how far it is.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  "+format+"\n", append([]any{time.Since(r.began).Seconds()}, args...)...)
}

func (r *run) file(name string) string { return filepath.Join(r.dir, name) }
