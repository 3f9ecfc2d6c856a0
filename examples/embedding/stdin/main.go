// Stdin is a command-line worker: it prints the SHA-256 of each file that is named
// on a line of standard input, several at a time.
//
//	find . -name '*.go' | go run ./examples/embedding/stdin
//
// A file that cannot be read is tried again; one that does not exist is not. What
// is left in the end is listed, and the exit code says so.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // a line has become a dead letter, or the input could not be read
	exitInterrupted = 130 // what had been read by then is handled
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Stdin, os.Stdout, os.Stderr, hash))
}

// run handles the lines of in until it ends or ctx does, finishes what it has read,
// and returns the exit code.
func run(ctx context.Context, in io.Reader, out, problems io.Writer, hash func(path string) (string, error)) int {
	rt, err := runtime.New(runtime.Config{Name: "stdin"})
	if err != nil {
		fmt.Fprintln(problems, "stdin:", err)
		return exitFailed
	}
	// Not ended by ctx: an interrupt finishes what is there.
	finish := context.WithoutCancel(ctx)
	defer rt.Shutdown(finish) // on the way out below; else it has been called
	lines, err := subscribe(rt, out, hash)
	if err != nil {
		fmt.Fprintln(problems, "stdin:", err)
		return exitFailed
	}

	readErr := read(ctx, in, lines)
	report, err := rt.Shutdown(finish)
	if fault := errors.Join(err, report.Err()); fault != nil {
		fmt.Fprintln(problems, "stdin:", fault)
	}
	left := report.Snapshot.Total.DeadLettered
	if left > 0 {
		fmt.Fprintln(problems, "stdin: lines left:", left)
		if err := list(finish, rt.DeadLetters(), problems); err != nil {
			fmt.Fprintln(problems, "stdin:", err)
		}
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case readErr != nil:
		fmt.Fprintln(problems, "stdin: read standard input:", readErr)
		return exitFailed
	case left > 0, err != nil, !report.Clean:
		return exitFailed
	}
	return exitOK
}

// list prints the dead letters, those that the store has kept, the newest first.
func list(ctx context.Context, letters deadletter.Store, w io.Writer) error {
	for l, err := range deadletter.All(ctx, letters, deadletter.Query{}) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %s after %d attempts: %s: %q\n", l.Subscriber, l.AttemptCount, l.Payload, l.Error)
	}
	return nil
}
