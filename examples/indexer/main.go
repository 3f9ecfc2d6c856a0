// Indexer reads the Go files below a directory, by default the standard library,
// and says what is in them: declarations, imports, marked notes. It is a pipeline
// of supervised subscribers; start reading at pipeline.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes, as usage promises them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

const usage = `Usage: indexer [-json] [-serve localhost:8081] [dir]

Indexes the Go files below dir, by default the standard library of the installed
Go. Symbolic links are not followed. Progress goes to standard error, the result
to standard output.

  -json        print the whole index as JSON: every import, note and dead letter
  -serve addr  show the pipeline and its dead letters in the browser, at an address of
               this machine, until Ctrl-C: repair a file, redrive its letter

A file that cannot be parsed becomes a dead letter, and so does one that cannot
be read at the third attempt either. Ctrl-C finishes what has been found so far,
a second one ends the program at once.

Exit codes:
  0    every file found was parsed or is a dead letter
  1    bad input, a directory that cannot be read, figures that do not add up
  2    wrong usage
  130  interrupted; the figures are true for what had been found by then
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without the process around it. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("indexer", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	asJSON := flags.Bool("json", false, "")
	serve := flags.String("serve", "", "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if err == nil && flags.NArg() > 1 {
		err = fmt.Errorf("%q: one directory at a time, and flags come before it", flags.Args())
	}
	if err != nil {
		fmt.Fprintf(stderr, "indexer: %v\nRun indexer -h for help.\n", err)
		return exitUsage
	}
	dir, files, err := openTree(ctx, flags.Arg(0))
	if err != nil {
		fmt.Fprintf(stderr, "indexer: %v\n", err)
		return exitFailed
	}
	p := newPipeline(dir, files)
	if *serve != "" {
		if p.server, err = listen(*serve, stderr); err != nil {
			fmt.Fprintf(stderr, "indexer: %v\n", err)
			return exitUsage
		}
	}
	return index(ctx, p, *asJSON, stdout, stderr)
}

// index runs the pipeline and prints what came of it.
func index(ctx context.Context, p *pipeline, asJSON bool, stdout, stderr io.Writer) int {
	s, err := p.run(ctx, newProgress(stderr))
	if err != nil {
		fmt.Fprintf(stderr, "indexer: %s: %v\n", p.dir, err)
		return exitFailed
	}
	out := s.text()
	if asJSON {
		out = s.json()
	}
	if _, err := stdout.Write(out); err != nil {
		fmt.Fprintf(stderr, "indexer: write the result: %v\n", err)
		return exitFailed
	}
	for _, problem := range s.Problems {
		fmt.Fprintf(stderr, "indexer: %s: %s\n", p.dir, problem)
	}
	switch {
	case len(s.Problems) > 0:
		return exitFailed
	case s.Interrupted:
		return exitInterrupted
	}
	return exitOK
}
