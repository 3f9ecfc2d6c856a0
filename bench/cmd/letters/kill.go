package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// childEnv names the store that a child adds letters to until it is killed, with _FROM the
// number of the first.
const childEnv = "TROUPE_BENCH_LETTERS_CHILD"

func numbered(n int) deadletter.Letter {
	l := typical(n, time.Unix(1_800_000_000, 0).Add(time.Duration(n)*time.Millisecond))
	l.ID = fmt.Sprintf("%012d", n)
	return l
}

// child adds letters and says what has been acknowledged, a line for each Add.
func child(path string) {
	s, err := sqlite.Open(sqlite.Config{Path: path})
	for n, _ := strconv.Atoi(os.Getenv(childEnv + "_FROM")); err == nil; {
		letters := make([]deadletter.Letter, 1+rand.IntN(200))
		for i := range letters {
			letters[i] = numbered(n + i)
		}
		if err = s.Add(context.Background(), letters); err == nil {
			fmt.Println(n, len(letters))
			n += len(letters)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// killed counts what is lost of what processes had acknowledged that were killed.
func (r *run) killed(ctx context.Context) error {
	path := r.file("killed.db")
	acknowledged, lost := 0, 0
	var opened timings
	for round := range r.kills {
		from := round * 1_000_000
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path, fmt.Sprintf("%s_FROM=%d", childEnv, from))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		until := from
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if until == from {
				time.AfterFunc(time.Duration(rand.IntN(150_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
			at, count, _ := strings.Cut(lines.Text(), " ")
			n, err1 := strconv.Atoi(at)
			k, err2 := strconv.Atoi(count)
			if err1 != nil || err2 != nil || n != until {
				return fmt.Errorf("the process says %q", lines.Text())
			}
			until += k
		}
		_ = cmd.Wait() // it was killed
		if until == from {
			return fmt.Errorf("process %d has acknowledged nothing", round)
		}
		missing, took, err := missing(ctx, path, from, until)
		if err != nil {
			return err
		}
		opened = append(opened, took)
		acknowledged, lost = acknowledged+until-from, lost+missing
		if round%10 == 9 {
			r.say("%d processes killed, %d letters, %d lost", round+1, acknowledged, lost)
		}
	}
	r.out.line("## Killed processes\n\n%d processes were killed, at a random moment, while they added letters: of %d acknowledged letters %d were lost. After each, the store was opened, which took %s in the median and %s at most, and verified.", r.kills, acknowledged, lost, opened.at(0.5), opened.at(1))
	if lost > 0 {
		return fmt.Errorf("%d acknowledged letters were lost", lost)
	}
	return nil
}

// missing opens what a killed process has left, says how long that took until the first
// letter was read, and counts what is not there.
func missing(ctx context.Context, path string, from, until int) (n int, opened time.Duration, err error) {
	begin := time.Now()
	s, err := sqlite.Open(sqlite.Config{Path: path})
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	if _, err := s.Get(ctx, numbered(from).ID); err != nil {
		return 0, 0, err
	}
	opened = time.Since(begin)
	if _, err := s.Verify(ctx); err != nil {
		return 0, 0, err
	}
	for i := from; i < until; i++ {
		want := numbered(i)
		if got, err := s.Get(ctx, want.ID); err != nil || got.Error != want.Error || string(got.Payload) != string(want.Payload) {
			n++
		}
	}
	return n, opened, nil
}
