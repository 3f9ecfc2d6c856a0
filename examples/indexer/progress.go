package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress shows a person how far the work is: on a terminal in one line that
// changes, elsewhere by a line now and then.
type progress struct {
	w     io.Writer
	live  bool
	every time.Duration
}

func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w, true, 100 * time.Millisecond}
		}
	}
	return &progress{w, false, 5 * time.Second}
}

// start shows the status of what is done until stop is called, which returns when
// nothing more will be written.
func (p *progress) start(ctx context.Context, what string, status func() string) (stop func()) {
	if !p.live {
		fmt.Fprintln(p.w, printable(what))
	}
	done := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		tick := time.NewTicker(p.every)
		defer tick.Stop()
		interrupted, prefix := ctx.Done(), ""
		for {
			select {
			case <-tick.C:
			case <-interrupted:
				interrupted, prefix = nil, "interrupted: "
			case <-done:
				if p.live {
					fmt.Fprint(p.w, "\r\x1b[K")
				}
				return
			}
			if p.live {
				fmt.Fprintf(p.w, "\r\x1b[K%s%s", prefix, status())
			} else {
				fmt.Fprintln(p.w, prefix+status())
			}
		}
	})
	return func() {
		close(done)
		showing.Wait()
	}
}
