// Oklogrun is a Troupe runtime among the actors of an oklog/run group.
//
//	cd examples/frameworks && ls */*.go | go run ./oklogrun
//
// It prints the size of each file whose name it reads. Ctrl-C, or the end of the input,
// stops the group; what was accepted is finished first.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/oklog/run"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

func main() {
	var g run.Group
	g.Add(run.SignalHandler(context.Background(), os.Interrupt, syscall.SIGTERM))
	err := work(&g, os.Stdin, func(_ context.Context, name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err // retried, then a dead letter
		}
		_, err = fmt.Printf("%8d %s\n", info.Size(), name)
		return err
	})
	if err != nil && !errors.Is(err, run.ErrSignal) {
		fmt.Fprintln(os.Stderr, "oklogrun:", err)
		os.Exit(1)
	}
}

// work adds a reader of names and the runtime that handles them to g, and runs it.
func work(g *run.Group, in io.Reader, handle topics.Handler[string]) error {
	rt, err := runtime.New(runtime.Config{Name: "sizes", DrainTimeout: 20 * time.Second})
	if err != nil {
		return err
	}
	names, err := topics.Open[string](rt, "names")
	if err != nil {
		return err
	}
	if _, err := names.Subscribe("size", handle); err != nil {
		return err
	}

	// The source, whose end ends the group. A Read of a terminal cannot be
	// interrupted, so a goroutine of its own does it and ends with the process.
	lines, broken := scan(in)
	ctx, stop := context.WithCancel(context.Background())
	g.Add(func() error {
		for {
			select {
			case name, more := <-lines:
				if !more {
					return <-broken
				}
				if err := names.Publish(ctx, name); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	}, func(error) { stop() })

	// The runtime. A group returns the error of its first actor that ends, so what
	// the drain has to say would be lost if nobody kept it.
	var drained error
	running, end := context.WithCancel(context.Background())
	g.Add(func() error {
		drained = rt.Run(running)
		return drained
	}, func(error) { end() })

	err = g.Run()
	if !errors.Is(err, drained) {
		err = errors.Join(err, drained)
	}
	return err
}

// scan gives the lines of in, and then its error.
func scan(in io.Reader) (<-chan string, <-chan error) {
	lines, broken := make(chan string), make(chan error, 1)
	go func() {
		s := bufio.NewScanner(in)
		for s.Scan() {
			lines <- s.Text()
		}
		broken <- s.Err()
		close(lines)
	}()
	return lines, broken
}
