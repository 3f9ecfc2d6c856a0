package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// Progress is a line of JSON about an operation that goes on.
type Progress struct {
	At         time.Time                 `json:"at"`
	Operation  string                    `json:"operation"`
	Kind       string                    `json:"kind"`
	State      deadletter.OperationState `json:"state"`
	Stopped    string                    `json:"stopped,omitempty"` // why, if it stopped by itself
	Total      int                       `json:"total"`
	Pending    int                       `json:"pending"`
	Issued     int                       `json:"issued"`
	Done       int                       `json:"done"`
	Failed     int                       `json:"failed"`
	Left       int                       `json:"left"`
	InDoubt    int                       `json:"in_doubt"`
	Step       int                       `json:"step,omitempty"`
	Rate       float64                   `json:"rate,omitempty"`
	ETASeconds float64                   `json:"eta_seconds,omitempty"`
}

func progressOf(now time.Time, op ops.Operation) Progress {
	return Progress{
		At: now, Operation: op.ID, Kind: op.Kind, State: op.State, Stopped: op.Stopped, Total: op.Total,
		Pending: op.Items[deadletter.ItemPending], Issued: op.Items[deadletter.ItemIssued], Done: op.Items[deadletter.ItemDone],
		Failed: op.Items[deadletter.ItemFailed], Left: op.Items[deadletter.ItemLeft], InDoubt: op.Items[deadletter.ItemInDoubt],
		Step: op.Step, Rate: op.Rate, ETASeconds: op.ETA.Seconds(),
	}
}

const (
	lookEvery = 100 * time.Millisecond
	lineEvery = time.Second
	barWidth  = 30
	// patience is how long nothing may happen until a person is told a likely reason.
	patience = 3 * time.Second
)

// follow shows an operation until it ends, stops or is paused. With ctx it detaches.
func (a *app) follow(ctx context.Context, id string) error {
	bar := a.OutTerminal && a.ErrTerminal && a.plain()
	lines := !a.OutTerminal && a.plain() || a.output == "jsonl"
	var printed time.Time
	var ended int
	moved := time.Now() // when an outcome came last
	for {
		op, err := a.desk.Operation(ctx, id)
		switch {
		case ctx.Err() != nil:
			if bar {
				fmt.Fprintln(a.Err)
			}
			return a.detached(id)
		case err != nil:
			return fmt.Errorf("operation %s, which goes on at the server: %w", id, err)
		}
		over := op.State != deadletter.OperationRunning && op.Items[deadletter.ItemIssued] == 0 || op.State == deadletter.OperationPaused
		now := time.Now()
		if n := endedOf(op); n != ended {
			ended, moved = n, now
		}
		if bar {
			text := a.bar(op)
			if still := now.Sub(moved); still > patience && op.Items[deadletter.ItemIssued] > 0 {
				text += fmt.Sprintf("  no outcome for %s: is the subscriber paused?", span(still))
			}
			fmt.Fprintf(a.Err, "\r\x1b[K%s", a.fit(text))
			if over {
				fmt.Fprintln(a.Err)
			}
		}
		if lines && (over || now.Sub(printed) >= lineEvery) {
			if err := a.line(op); err != nil {
				return err
			}
			printed = now
		}
		if over {
			return a.outcome(ctx, op)
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
}

// line writes one line of JSON, whatever -o is.
func (a *app) line(op ops.Operation) error {
	was := a.output
	defer func() { a.output = was }()
	a.output = "jsonl"
	return a.emit(progressOf(a.Now(), op))
}

func (a *app) detached(id string) error {
	return &exitError{code: ExitInterrupted, err: fmt.Errorf("operation %s goes on at %s", id, a.where),
		hint: fmt.Sprintf("troupe ops watch %[1]s shows it again, troupe ops pause %[1]s or cancel %[1]s stops it", id)}
}

// bar draws how far an operation is.
func (a *app) bar(op ops.Operation) string {
	ended := endedOf(op)
	full := barWidth * ended / max(1, op.Total)
	text := fmt.Sprintf("[%s%s] %d/%d", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), ended, op.Total)
	if len(op.Plan.Steps) > 0 {
		text += fmt.Sprintf("  step %d of %d", op.Step, len(op.Plan.Steps))
	}
	for _, s := range []deadletter.ItemState{deadletter.ItemIssued, deadletter.ItemFailed, deadletter.ItemLeft} {
		if n := op.Items[s]; n > 0 {
			text += fmt.Sprintf("  %d %s", n, s)
		}
	}
	if op.ETA > 0 {
		text += "  " + op.ETA.Round(time.Second).String() + " to go"
	}
	return text
}

// endedOf is how many letters have an outcome.
func endedOf(op ops.Operation) (n int) {
	for _, s := range []deadletter.ItemState{deadletter.ItemDone, deadletter.ItemFailed, deadletter.ItemLeft, deadletter.ItemInDoubt} {
		n += op.Items[s]
	}
	return n
}

// fit cuts a text to a line of the terminal.
func (a *app) fit(text string) string {
	if a.Size != nil {
		if width, _ := a.Size(); width > 0 {
			return cut(text, width-1)
		}
	}
	return text
}

// status says in words how an operation stands.
func status(op ops.Operation) string {
	text := fmt.Sprintf("%s %s: %s, %d of %d done", op.Kind, op.ID, op.State, op.Items[deadletter.ItemDone], op.Total)
	for _, s := range []deadletter.ItemState{deadletter.ItemIssued, deadletter.ItemPending, deadletter.ItemFailed, deadletter.ItemLeft, deadletter.ItemInDoubt} {
		if n := op.Items[s]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, strings.ReplaceAll(string(s), "_", " "))
		}
	}
	if op.Stopped != "" {
		text += "; " + clean(op.Stopped)
	}
	return text
}

// outcome says how an operation has ended, and is an error unless all is done.
func (a *app) outcome(ctx context.Context, op ops.Operation) error {
	if a.output == "json" {
		if err := a.emit(op); err != nil {
			return err
		}
	}
	if op.State == deadletter.OperationDone && op.Items[deadletter.ItemDone] == op.Total {
		a.notef("%s", status(op))
		return nil
	}
	page, err := a.desk.Items(ctx, deadletter.ItemQuery{Operation: op.ID, After: -1, Limit: 3,
		States: []deadletter.ItemState{deadletter.ItemFailed, deadletter.ItemLeft, deadletter.ItemInDoubt}})
	if err == nil {
		for _, it := range page.Items {
			a.notef("  %s %s: %s", it.Letter, it.State, oneLine(it.Error))
		}
		if page.Total > len(page.Items) {
			a.notef("  … %d more: troupe ops show %s --items", page.Total-len(page.Items), op.ID)
		}
	}
	hint := ""
	switch op.State {
	case deadletter.OperationStopped, deadletter.OperationPaused:
		hint = fmt.Sprintf("troupe ops resume %[1]s goes on, troupe ops cancel %[1]s ends it", op.ID)
	}
	return &exitError{code: ExitPartly, err: fmt.Errorf("%s", status(op)), hint: hint}
}
