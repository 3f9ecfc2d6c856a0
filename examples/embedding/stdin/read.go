package main

import (
	"bufio"
	"context"
	"io"
	"strings"

	"github.com/troupe-go/troupe/topics"
)

// read publishes each line of in that is not blank, until in ends or ctx does. A
// read of standard input cannot be interrupted, so it is on a goroutine of its own
// that ends with the process; what it reads after ctx has ended is not handled.
func read(ctx context.Context, in io.Reader, lines *topics.Topic[string]) error {
	ended := make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			line := strings.TrimSpace(scanner.Text())
			if line == "" {
				continue
			}
			if err := lines.Publish(ctx, line); err != nil {
				ended <- err
				return
			}
		}
		ended <- scanner.Err()
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
