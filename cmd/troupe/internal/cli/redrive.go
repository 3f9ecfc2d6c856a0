package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/ops"
)

// redriveFlags are those of redrive and fix.
type redriveFlags struct {
	choice
	to, steps   string
	canary      bool
	budget      int
	rate        float64
	maxFailures float64
	never       bool
	rehearse    bool
	detach      bool
}

func (f *redriveFlags) flags(cmd *cobra.Command) {
	f.choice.flags(cmd)
	p := cmd.Flags()
	p.BoolVar(&f.canary, "canary", false, "in steps of 1, 5, 20 and 100 %, which stop when too many fail")
	p.StringVar(&f.steps, "steps", "", "other steps, in `percent` of all, such as 10,50,100")
	p.Float64Var(&f.maxFailures, "max-failures", 0, "stop when more than that `percent` of a step fail; 0 is 10 with steps, and never without")
	p.BoolVar(&f.never, "never-stop", false, "go on whatever fails")
	p.Float64Var(&f.rate, "rate", 0, "letters per `second`; 0 is as fast as the mailbox has room")
	p.IntVar(&f.budget, "attempts", 0, "attempts for each letter; 0 is what the subscriber's retry policy gives to a new event")
	p.StringVar(&f.to, "to", "", "another `[topic/]subscriber`, or topic/ for all of a topic; empty is who failed")
	p.BoolVar(&f.rehearse, "rehearse", false, "call the handler without settling the letter, if the subscriber allows it")
	p.BoolVarP(&f.detach, "detach", "d", false, "begin it and do not wait for its end")
}

func (a *app) plan(ctx context.Context, f redriveFlags, ids []string) (ops.Redrive, error) {
	r := ops.Redrive{Budget: f.budget, Rate: f.rate, MaxFailures: f.maxFailures, Rehearse: f.rehearse}
	var err error
	if r.Scope, err = a.scope(ctx, f.choice, ids); err != nil {
		return r, err
	}
	if r.To, err = target(f.to); err != nil {
		return r, err
	}
	if f.canary {
		if f.steps != "" {
			return r, usage("--canary and --steps: choose one")
		}
		f.steps = "1,5,20,100"
	}
	if r.Steps, err = percents(f.steps); err != nil {
		return r, err
	}
	if f.never {
		if f.maxFailures != 0 {
			return r, usage("--never-stop and --max-failures: choose one")
		}
		r.MaxFailures = ops.NeverStop
	}
	return r, nil
}

func (a *app) redriveCmd() *cobra.Command {
	var f redriveFlags
	cmd := a.asking(&cobra.Command{
		Use:   "redrive [LETTER...] | --group GROUP | --query QUERY",
		Short: "Send letters back to the subscriber that failed",
		Long: `Sends letters back, oldest first, to the subscriber that failed and to nobody else.
It is an operation of the server: it has an ID, a fixed set of letters, and goes on
when this command ends, or the server restarts. Letters that come later are not in it.

With --canary, it waits after each step for the outcomes, and stops by itself when too
many have failed; troupe ops resume goes on. A letter that fails again is open again,
with its history. --dry-run says what would happen, and decodes every payload.

The command shows the progress until the end: a bar on a terminal, one line of JSON a
second if the output is a pipe. Ctrl-C leaves the operation alone and says how to pause
or cancel it. The exit code is 3 if it stopped, or not all letters were done.`,
		Example: `  troupe redrive 01JD3XK5                              try one
  troupe redrive --group 5f0c --dry-run
  troupe redrive --group 5f0c --canary --rate 50 --why "tax service is back"
  troupe redrive --query 'sub:mailer err:timeout age:<1d' --attempts 1 --yes
  troupe redrive 01JD3XK5 --to orders.placed/payment-v2
  troupe redrive 01JD3XK5 --rehearse                   call the handler, change nothing`,
		Args: cobra.ArbitraryArgs,
	})
	f.flags(cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		r, err := a.plan(ctx, f, args)
		if err != nil {
			return err
		}
		return a.redrive(ctx, r, f.detach)
	})
	return cmd
}

// redrive shows what would happen, asks, begins and follows.
func (a *app) redrive(ctx context.Context, r ops.Redrive, detach bool) error {
	n, err := a.foreseen(ctx, r)
	if err != nil || a.dryRun {
		return err
	}
	if n == 0 {
		return notFound("", "there are no letters to send back")
	}
	if err := a.ask(fmt.Sprintf("Send %s back to %s at %s?", letters(n), clean(r.To.String()), a.place(ctx))); err != nil {
		return err
	}
	op, err := a.desk.Redrive(ctx, a.who(), r)
	if err != nil {
		return err
	}
	if detach {
		if !a.plain() {
			return a.emit(op)
		}
		a.printf("%s\n", op.ID)
		a.notef("%s; troupe ops watch %s shows the progress", status(op), op.ID)
		return nil
	}
	return a.follow(ctx, op.ID)
}

// foreseen shows what a redrive would do to who wants to know, and returns how many
// letters it has.
func (a *app) foreseen(ctx context.Context, r ops.Redrive) (int, error) {
	if !a.dryRun && (a.yes || !a.InTerminal) {
		// A preview reads every letter, which nobody would see.
		return a.concerned(ctx, ops.Change{Kind: "redrive", Scope: r.Scope})
	}
	p, err := a.desk.Preview(ctx, r)
	switch {
	case err != nil:
		return 0, err
	case !a.dryRun:
		fmt.Fprint(a.Err, a.preview(r, p))
	case a.plain():
		fmt.Fprint(a.Out, a.preview(r, p))
	default:
		return p.Total, a.emit(p)
	}
	return p.Total, nil
}

// preview says what a redrive would do.
func (a *app) preview(r ops.Redrive, p ops.Preview) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", said(r.Scope, p.Total))
	rows := [][]string{}
	paused := false
	for _, s := range p.Subscribers {
		rows = append(rows, []string{"  to " + s.Topic + "/" + or(s.Subscriber, "all"), letters(s.Count), s.State})
		paused = paused || s.State == "paused" || s.State == "cooldown"
	}
	writeTable(&b, 0, nil, rows)
	if paused {
		b.WriteString("  a paused subscriber takes them when it is resumed\n")
	}
	counted := func(n int, what string) {
		if n > 0 {
			fmt.Fprintf(&b, "  %d %s\n", n, what)
		}
	}
	counted(p.Total-p.Open, "are not open")
	counted(p.Gone, "have no subscriber any more")
	counted(p.Undecodable, "have a payload that does not decode")
	for _, times := range slices.Sorted(maps.Keys(p.Redriven)) {
		if times > 0 {
			counted(p.Redriven[times], fmt.Sprintf("have been sent back before, %d times", times))
		}
	}
	if p.Left > 0 {
		fmt.Fprintf(&b, "  %d of them would be left:\n", p.Left)
		for _, e := range p.Examples {
			fmt.Fprintf(&b, "    %s  %s\n", e.Letter, oneLine(e.Why))
		}
	}
	fmt.Fprintf(&b, "  attempts: %s\n", clean(p.Budget))
	if len(r.Steps) > 0 {
		var steps []string
		for _, s := range r.Steps {
			steps = append(steps, fmt.Sprint(s))
		}
		fmt.Fprintf(&b, "  in steps of %s %%", strings.Join(steps, ", "))
	} else {
		fmt.Fprint(&b, "  all at once")
	}
	switch limit := r.MaxFailures; {
	case limit == ops.NeverStop, limit == 0 && len(r.Steps) == 0:
		fmt.Fprint(&b, ", whatever fails\n")
	case limit == 0:
		fmt.Fprintf(&b, ", stops when more than %d %% of a step fail\n", ops.DefaultMaxFailures)
	default:
		fmt.Fprintf(&b, ", stops when more than %v %% of a step fail\n", limit)
	}
	if r.Fix != "" {
		fmt.Fprintf(&b, "  each repaired by %s\n", clean(r.Fix))
	}
	if r.Rehearse {
		fmt.Fprint(&b, "  as a rehearsal: the letters stay as they are\n")
	}
	if p.Estimate > 0 {
		fmt.Fprintf(&b, "  at %v a second, about %v\n", r.Rate, p.Estimate.Round(time.Second))
	}
	return b.String()
}
