// Troupe is the command line of dead letters: see what fails, pause a subscriber,
// repair, send back in steps. It talks to the console of a running program, or
// reads the store file of one that is down.
//
//	go run github.com/troupe-go/troupe/cmd/troupe@latest demo
//
// See docs/operations.md for a walk-through, and troupe help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	terminal := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	os.Exit(cli.Run(ctx, cli.Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now,
		InTerminal: terminal(os.Stdin), OutTerminal: terminal(os.Stdout), ErrTerminal: terminal(os.Stderr),
		Size: func() (width, height int) {
			width, height, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0, 0
			}
			return width, height
		},
	}, os.Args[1:]...))
}
