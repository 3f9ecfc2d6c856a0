// Command engines measures topics on engines and event stores and writes its section of
// RESULTS.md: throughput and latency beside the bare clients, processes that are killed,
// an outage of the server, the size that each engine adds to a program.
//
//	go run ./cmd/engines [-reps 5] [-parts throughput,outage] [-kills 25] [-away 1m] [-limit 8m] [-quick] [-out RESULTS.md]
//
// It takes under twelve minutes on a machine that does nothing else. It runs the tests
// and benchmarks of the engines' own modules in processes of their own, ours and theirs
// in turn. The servers that TROUPE_REDIS, TROUPE_RABBITMQ and TROUPE_POSTGRES do not name
// it starts by scripts/services and stops in the end; what it cannot start is left out,
// and the section says so at its top. The section is written after every part: what an
// interrupt or a part's limit cuts off is missing and named, the rest is there. It exits
// with 1 if anything failed or is missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/troupe-go/troupe/bench/internal/paper"
)

// run is one run of the command.
type run struct {
	root   string // of the repository
	out    string
	reps   int
	kills  int
	away   time.Duration
	quick  bool
	work   string // a folder for what is built
	env    []string
	began  time.Time
	builds map[string]string // test binaries by module

	section section
}

// part is one table or several.
type part struct {
	name    string
	measure func(*run, context.Context) error
}

var parts = []part{
	{"throughput", (*run).throughput},
	{"latency", (*run).latency},
	{"stores", (*run).stores},
	{"outage", (*run).outage},
	{"kills", (*run).killed},
	{"sizes", (*run).sizes},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		stop()
		os.Exit(1)
	}
}

func measure(ctx context.Context) (err error) {
	r := &run{began: time.Now(), builds: map[string]string{}}
	flag.IntVar(&r.reps, "reps", 5, "times that everything is run which is compared")
	flag.IntVar(&r.kills, "kills", 25, "processes of each kind that are killed")
	flag.DurationVar(&r.away, "away", time.Minute, "how long the server is away")
	flag.BoolVar(&r.quick, "quick", false, "once, a tenth of the events, 2 kills, 6s away: to see that it works, not to compare")
	flag.StringVar(&r.out, "out", "RESULTS.md", "paper of which to write a section")
	limit := flag.Duration("limit", 8*time.Minute, "after which a part is cut off")
	chosen := flag.String("parts", "", "comma separated parts to run (default all)")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("argument %q: unexpected", flag.Arg(0))
	}
	if r.quick {
		r.reps, r.kills, r.away = 1, 2, 6*time.Second
	}
	if r.reps < 1 || r.kills < 1 || r.away < time.Second || *limit < time.Second {
		return fmt.Errorf("-reps %d, -kills %d, -away %v, -limit %v: must be at least 1, 1, 1s and 1s", r.reps, r.kills, r.away, *limit)
	}
	todo, err := choose(*chosen)
	if err != nil {
		return err
	}
	if r.root, err = filepath.Abs(".."); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(r.root, "scripts", "services")); err != nil {
		return fmt.Errorf("%w: run it in the folder bench of the repository", err)
	}
	if r.work, err = os.MkdirTemp("", "troupe-engines-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	if err := os.Chmod(r.work, 0o755); err != nil { // PostgreSQL's user has to pass
		return err
	}
	stopServers := r.servers(ctx)
	defer stopServers()
	r.heading(*chosen)
	for i, p := range todo {
		r.say("%s", p.name)
		within, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("the part took longer than -limit %v", *limit))
		err := p.measure(r, within)
		if cause := context.Cause(within); err != nil && cause != nil && !errors.Is(err, cause) {
			err = errors.Join(cause, err)
		}
		cancel()
		if err != nil {
			r.fault("%s: %v", p.name, err)
		}
		if err := r.write(todo[i+1:]); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	r.say("wrote %s", r.out)
	if n := len(r.section.faults) + len(r.section.skipped); n > 0 {
		return fmt.Errorf("%d things failed or are missing, see above", n)
	}
	return nil
}

// choose returns the parts of a comma separated list, all for an empty one.
func choose(list string) ([]part, error) {
	if list == "" {
		return parts, nil
	}
	var todo []part
	for _, name := range strings.Split(list, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			var known []string
			for _, p := range parts {
				known = append(known, p.name)
			}
			return nil, fmt.Errorf("-parts %q: must be of %s", name, strings.Join(known, ", "))
		}
		todo = append(todo, parts[i])
	}
	return todo, nil
}

// few is n, or less for a quick run.
func (r *run) few(n int) int {
	if r.quick {
		return max(n/10, 50)
	}
	return n
}

// say tells how far it is.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  "+format+"\n", append([]any{time.Since(r.began).Seconds()}, args...)...)
}

func (r *run) write(missing []part) error {
	return paper.Write(r.out, paper.Engines, r.section.text(missing, time.Since(r.began)))
}
