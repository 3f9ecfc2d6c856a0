package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

func (a *app) opsCmd() *cobra.Command {
	var page pageFlags
	var states []string
	cmd := &cobra.Command{
		Use:   "ops",
		Short: "Operations: what runs, what has stopped, and how to change that",
		Long: `Lists operations, newest first: redrives, and changes of many letters. Each belongs to
the server and goes on by itself. One that has stopped by itself, or was paused, waits
for ops resume or ops cancel.`,
		Example: `  troupe ops
  troupe ops --state running,stopped
  troupe ops show 01JD3XK5 --items --state failed
  troupe ops watch 01JD3XK5
  troupe ops rate 01JD3XK5 20
  troupe ops resume 01JD3XK5`,
		Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			q := deadletter.OperationQuery{After: page.after, Limit: page.limit}
			for _, s := range states {
				q.States = append(q.States, deadletter.OperationState(s))
			}
			p, err := a.desk.Operations(ctx, q)
			if err != nil {
				return err
			}
			if done, err := emitAll(a, p, p.Operations); done {
				return err
			}
			if len(p.Operations) == 0 {
				a.notef("no operations")
				return nil
			}
			rows := [][]string{}
			for _, op := range p.Operations {
				rows = append(rows, []string{
					op.ID, op.Kind, string(op.State), fmt.Sprintf("%d/%d", op.Items[deadletter.ItemDone], op.Total),
					fmt.Sprint(op.Items[deadletter.ItemFailed]), fmt.Sprint(op.Items[deadletter.ItemLeft] + op.Items[deadletter.ItemInDoubt]),
					a.ago(op.CreatedAt), op.By, op.Query, or(op.Stopped, op.Why),
				})
			}
			a.table([]string{"OPERATION", "KIND", "STATE", "DONE", "FAILED", "LEFT", "BEGUN", "BY", "LETTERS", "WHY"}, rows)
			a.more(len(p.Operations), p.Total, p.Next)
			return nil
		}),
	}
	page.flags(cmd)
	cmd.Flags().StringSliceVar(&states, "state", nil, "running, paused, stopped, done or cancelled")
	cmd.AddCommand(a.opShowCmd(), a.opWatchCmd(),
		a.opTurnCmd("pause", "Keep an operation from going on", Desk.PauseOperation),
		a.opTurnCmd("resume", "Let an operation go on that was paused or has stopped", Desk.ResumeOperation),
		a.opTurnCmd("cancel", "End an operation for good; what was not sent is left alone", Desk.CancelOperation),
		a.opRateCmd())
	return cmd
}

func (a *app) opShowCmd() *cobra.Command {
	var items bool
	var states []string
	limit, after := 0, 0
	cmd := &cobra.Command{
		Use:     "show OPERATION",
		Short:   "One operation, and with --items what became of each letter",
		Example: "  troupe ops show 01JD3XK5 --items --state failed,left",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			id, err := a.operation(ctx, args[0])
			if err != nil {
				return err
			}
			op, err := a.desk.Operation(ctx, id)
			if err != nil {
				return err
			}
			if !items {
				if !a.plain() {
					return a.emit(op)
				}
				a.showOperation(op)
				return nil
			}
			q := deadletter.ItemQuery{Operation: id, After: after, Limit: limit}
			for _, s := range states {
				q.States = append(q.States, deadletter.ItemState(s))
			}
			p, err := a.desk.Items(ctx, q)
			if err != nil {
				return err
			}
			if done, err := emitAll(a, p, p.Items); done {
				return err
			}
			rows := [][]string{}
			for _, it := range p.Items {
				rows = append(rows, []string{strconv.Itoa(it.Position), it.Letter, string(it.State), a.ago(it.EndedAt), it.Error})
			}
			a.table([]string{"#", "LETTER", "STATE", "ENDED", "ERROR"}, rows)
			if p.Next >= 0 {
				a.notef("%d of %d; --after %d goes on", len(p.Items), p.Total, p.Next)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&items, "items", false, "the letters")
	cmd.Flags().StringSliceVar(&states, "state", nil, "of letters: pending, issued, done, failed, left or in_doubt")
	cmd.Flags().IntVarP(&limit, "limit", "l", deadletter.DefaultLimit, "how many letters at most, up to 1000")
	cmd.Flags().IntVar(&after, "after", -1, "go on behind the letter with that number")
	return cmd
}

func (a *app) showOperation(op ops.Operation) {
	a.printf("%s\n", status(op))
	rows := [][]string{{"  letters", or(op.Query, "-")}, {"  begun", a.at(op.CreatedAt) + " by " + op.By}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{"  " + name, value})
		}
	}
	add("why", op.Why)
	if !op.EndedAt.IsZero() {
		add("ended", a.at(op.EndedAt))
	}
	if op.Kind == "redrive" {
		add("to", op.Plan.To.String())
		if len(op.Plan.Steps) > 0 {
			add("step", fmt.Sprintf("%d of %v %%", op.Step, op.Plan.Steps))
		}
		if op.Rate > 0 {
			add("rate", fmt.Sprintf("%v a second", op.Rate))
		}
		add("fix", op.Plan.Fix)
	}
	a.table(nil, rows)
}

func (a *app) opWatchCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "watch OPERATION",
		Short:   "Show the progress of an operation until it ends, stops or is paused",
		Example: "  troupe ops watch 01JD3XK5",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			id, err := a.operation(ctx, args[0])
			if err != nil {
				return err
			}
			return a.follow(ctx, id)
		}),
	}
}

func (a *app) opTurnCmd(name, short string, do func(Desk, context.Context, ops.By, string) (ops.Operation, error)) *cobra.Command {
	var watch bool
	cmd := a.changing(&cobra.Command{
		Use: name + " OPERATION", Short: short, Example: "  troupe ops " + name + " 01JD3XK5",
		Args: cobra.ExactArgs(1),
	})
	if name == "resume" {
		cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the progress until it ends")
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		id, err := a.operation(ctx, args[0])
		if err != nil {
			return err
		}
		op, err := do(a.desk, ctx, a.who(), id)
		if err != nil {
			return err
		}
		if watch {
			return a.follow(ctx, id)
		}
		return a.shortly(op)
	})
	return cmd
}

func (a *app) opRateCmd() *cobra.Command {
	cmd := a.changing(&cobra.Command{
		Use: "rate OPERATION PER_SECOND", Short: "Change how fast a redrive sends letters back; 0 is no limit",
		Example: "  troupe ops rate 01JD3XK5 20", Args: cobra.ExactArgs(2),
	})
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		id, err := a.operation(ctx, args[0])
		if err != nil {
			return err
		}
		rate, err := strconv.ParseFloat(args[1], 64)
		if err != nil {
			return usage("rate %q: must be a number of letters per second", args[1])
		}
		op, err := a.desk.SetRate(ctx, a.who(), id, rate)
		if err != nil {
			return err
		}
		return a.shortly(op)
	})
	return cmd
}

// shortly says how an operation stands.
func (a *app) shortly(op ops.Operation) error {
	if !a.plain() {
		return a.emit(op)
	}
	a.showOperation(op)
	return nil
}
