package cli_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// lines decodes lines of progress.
func lines(t *testing.T, out string) (all []cli.Progress) {
	t.Helper()
	for line := range strings.Lines(out) {
		var p cli.Progress
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil {
			t.Fatalf("%q is no line of progress: %v", line, err)
		}
		all = append(all, p)
	}
	return all
}

// TestPipedProgress holds one JSON line a second in a pipe, the last of which tells
// the end.
func TestPipedProgress(t *testing.T) {
	w := newWorld(t)
	w.fail(25)
	w.handles(func(context.Context, order) error { return nil })
	begun := time.Now()
	all := lines(t, w.ok("redrive", "--query", "*", "--rate", "10", "--yes"))
	seconds := int(time.Since(begun) / time.Second)
	last := all[len(all)-1]
	if last.State != deadletter.OperationDone || last.Done != 25 || last.Pending != 0 {
		t.Errorf("the last line is %+v", last)
	}
	if len(all) < 2 || len(all) > seconds+2 {
		t.Errorf("%d lines in %d s", len(all), seconds)
	}
	for i, p := range all {
		if p.Total != 25 || p.Operation != last.Operation || i > 0 && p.Done < all[i-1].Done {
			t.Errorf("line %d is %+v", i, p)
		}
		if p.Rate != 10 {
			t.Errorf("line %d says %v a second", i, p.Rate)
		}
	}
}

// TestBar holds that a person sees a bar, and the result in words.
func TestBar(t *testing.T) {
	w := newWorld(t)
	w.fail(4)
	w.handles(func(context.Context, order) error { return nil })
	r := w.typed("y\n", "redrive", "--query", "*", "--canary", "--why", "fixed")
	if r.code != cli.ExitOK || !strings.Contains(r.err, "█] 4/4") || !strings.Contains(r.err, "done, 4 of 4 done") {
		t.Errorf("on a terminal: %+v", r)
	}
	if !strings.Contains(r.err, "4 letters that fit *") || !strings.Contains(r.err, "in steps of 1, 5, 20, 100 %, stops when more than 10 % of a step fail") {
		t.Errorf("the preview is not in\n%s", r.err)
	}
	if r.out != "" {
		t.Errorf("the output has %q", r.out)
	}
}

// TestInterrupt holds that Ctrl-C leaves an operation alone and says how to go on.
func TestInterrupt(t *testing.T) {
	w := newWorld(t)
	w.fail(20)
	w.handles(func(context.Context, order) error { return nil })
	w.ok("pause", "payment")
	ctx, interrupt := context.WithCancel(context.Background())
	out, code := tail(ctx, w.env, "redrive", "--query", "*", "--yes")
	eventually(t, "a line of progress", func() bool { return strings.Contains(out.String(), "\n") })
	var page deadletter.OperationPage
	w.into(&page, "ops", "--state", "running")
	if page.Total != 1 {
		t.Fatalf("%d operations run", page.Total)
	}
	op := page.Operations[0]
	interrupt()
	if got := <-code; got != cli.ExitInterrupted {
		t.Errorf("exit code %d, want %d", got, cli.ExitInterrupted)
	}
	if !strings.Contains(out.String(), "goes on at "+w.url) || !strings.Contains(out.String(), "troupe ops watch "+op.ID) {
		t.Errorf("it says %q", out)
	}
	w.ok("resume", "payment")
	all := lines(t, w.ok("ops", "watch", op.ID[:20]))
	if last := all[len(all)-1]; last.Done != 20 {
		t.Errorf("the operation has not gone on: %+v", last)
	}
}

// TestSteering holds pause, rate, resume and cancel of an operation.
func TestSteering(t *testing.T) {
	w := newWorld(t)
	w.fail(30)
	w.handles(func(context.Context, order) error { return nil })
	id := strings.TrimSpace(w.ok("redrive", "--query", "*", "--rate", "0.5", "--yes", "--detach"))
	w.ok("ops", "pause", id)
	if r := w.run("ops", "watch", id); r.code != cli.ExitPartly || !strings.Contains(r.err, "ops resume "+id) {
		t.Errorf("watching a paused operation: %+v", r)
	}
	if r := w.run("ops", "pause", id); r.code != cli.ExitRefused {
		t.Errorf("pausing it again: %+v", r)
	}
	w.ok("ops", "rate", id, "1000")
	if r := w.run("ops", "rate", id, "fast"); r.code != cli.ExitUsage {
		t.Errorf("a rate that is none: %+v", r)
	}
	w.ok("ops", "resume", id, "--watch")
	if r := w.run("ops", "cancel", id); r.code != cli.ExitRefused {
		t.Errorf("cancelling what has ended: %+v", r)
	}
	var op ops.Operation
	w.into(&op, "ops", "show", id)
	if op.State != deadletter.OperationDone || op.Items[deadletter.ItemDone] != 30 {
		t.Errorf("in the end it is %+v", op)
	}
	var items deadletter.ItemPage
	w.into(&items, "ops", "show", id, "--items", "--state", "done", "-l", "7")
	if len(items.Items) != 7 || items.Total != 30 {
		t.Errorf("%d of %d items", len(items.Items), items.Total)
	}
}

// TestNothingMoves holds that a person who waits for a paused subscriber is told so,
// and what the preview says of it.
func TestNothingMoves(t *testing.T) {
	w := newWorld(t)
	w.fail(2)
	w.handles(func(context.Context, order) error { return nil })
	w.ok("pause", "payment")
	if out := w.ok("redrive", "--query", "*", "--dry-run"); !strings.Contains(out, "orders.placed/payment  2 letters  paused") || !strings.Contains(out, "takes them when it is resumed") {
		t.Errorf("the preview says\n%s", out)
	}
	var out buffer
	code := make(chan int, 1)
	go func() {
		env := environment(w.env, &out)
		env.OutTerminal, env.ErrTerminal = true, true
		code <- cli.Run(t.Context(), env, "redrive", "--query", "*", "--yes")
	}()
	eventually(t, "the reason", func() bool { return strings.Contains(out.String(), "is the subscriber paused?") })
	w.ok("resume", "payment")
	if got := <-code; got != cli.ExitOK {
		t.Errorf("exit code %d: %s", got, &out)
	}
}
