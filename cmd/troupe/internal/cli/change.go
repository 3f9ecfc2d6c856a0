package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/ops"
)

// changeCmds are archive, restore, rm, snooze and resolve.
func (a *app) changeCmds() []*cobra.Command {
	return []*cobra.Command{
		a.changeCmd(ops.ChangeArchive, "archive", "Put letters aside, to be kept",
			"They count neither as open nor as resolved. troupe restore takes it back.",
			"  troupe archive 01JD3XK5\n  troupe archive --query 'age:>30d' --why \"customers were refunded\""),
		a.changeCmd(ops.ChangeRestore, "restore", "Take back what closed letters: rm, archive, resolve",
			"A deleted letter can be restored for as long as its tombstone is there, a day unless the\nprogram says otherwise.",
			"  troupe restore 01JD3XK5\n  troupe restore --query 'state:deleted op:01JD3XK5'"),
		a.changeCmd(ops.ChangeDelete, "rm", "Delete letters; for some time they can be restored",
			"The number of letters has to be typed, or said with --yes --confirm N. It is refused if\nthere are more or fewer by then. troupe restore takes it back, for a day unless the\nprogram says otherwise.",
			"  troupe rm 01JD3XK5 --dry-run\n  troupe rm --query 'topic:test.* age:>7d'\n  troupe rm --group 5f0c --yes --confirm 12"),
		a.changeCmd(ops.ChangeSnooze, "snooze", "Hide open letters until a time",
			"They are open all the same: queries find them, and snoozed:no leaves them out.",
			"  troupe snooze --group 5f0c --for 2h\n  troupe snooze 01JD3XK5 --until 2026-11-22T09:00:00Z\n  troupe snooze 01JD3XK5 --for 0s        ends it"),
		a.changeCmd(ops.ChangeResolve, "resolve", "Say that letters have been dealt with by hand",
			"Nothing is sent to anybody. troupe restore takes it back.",
			"  troupe resolve 01JD3XK5 --why \"refunded by hand, ticket 88123\""),
	}
}

func (a *app) changeCmd(kind, name, short, long, example string) *cobra.Command {
	var c choice
	var until string
	var length time.Duration
	confirm := -1
	cmd := a.asking(&cobra.Command{
		Use: name + " [LETTER...] | --group GROUP | --query QUERY", Short: short, Long: long + "\n\nThe exit code is 3 if some of the letters could not be changed.",
		Example: example, Args: cobra.ArbitraryArgs,
	})
	c.flags(cmd)
	cmd.Flags().IntVar(&confirm, "confirm", -1, "the `number` of letters as you have seen it; it is refused if there is another number by now")
	if kind == ops.ChangeSnooze {
		cmd.Flags().StringVar(&until, "until", "", "until that `time`, such as 2026-11-22T09:00:00Z")
		cmd.Flags().DurationVar(&length, "for", 0, "for that long, such as 2h; 0s ends a snooze")
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		s, err := a.scope(ctx, c, args)
		if err != nil {
			return err
		}
		change := ops.Change{Kind: kind, Scope: s}
		if kind == ops.ChangeSnooze {
			if cmd.Flags().Changed("for") == (until != "") {
				return usage("say --for or --until")
			}
			change.Until = a.Now().Add(length)
			if until != "" {
				if change.Until, err = time.Parse(time.RFC3339, until); err != nil {
					return usage("--until %q: must be a time such as 2026-11-22T09:00:00Z", until)
				}
			}
		}
		return a.change(ctx, change, confirm)
	})
	return cmd
}

func (a *app) change(ctx context.Context, c ops.Change, confirm int) error {
	n, err := a.concerned(ctx, c)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s %s", c.Kind, said(c.Scope, n))
	switch {
	case a.dryRun && a.plain():
		a.printf("would %s\n", what)
		return nil
	case a.dryRun:
		return a.emit(map[string]any{"kind": c.Kind, "scope": c.Scope, "count": n})
	case n == 0:
		return notFound("", "there are no letters to %s", c.Kind)
	}
	question := fmt.Sprintf("%s at %s?", strings.ToUpper(what[:1])+what[1:], a.place(ctx))
	switch {
	case c.Kind == ops.ChangeDelete:
		if n, err = a.askCount(question, n, confirm); err != nil {
			return err
		}
		c.Confirm = &n
	case confirm >= 0:
		c.Confirm = &confirm
		if confirm != n {
			return refused("look again: others may have come or gone", "--confirm %d: there are %s", confirm, letters(n))
		}
	}
	if c.Kind != ops.ChangeDelete && c.Scope.IDs == nil {
		if err := a.ask(question); err != nil {
			return err
		}
	}
	op, err := a.desk.Change(ctx, a.who(), c)
	if err != nil {
		return err
	}
	return a.follow(ctx, op.ID)
}

// concerned counts the letters as the change will select them: of a group those that
// it is for.
func (a *app) concerned(ctx context.Context, c ops.Change) (int, error) {
	if c.Scope.Group == "" {
		return a.desk.Count(ctx, c.Scope)
	}
	var states string
	switch c.Kind {
	case ops.ChangeResolve, ops.ChangeSnooze, "redrive":
		states = "state:open"
	case ops.ChangeRestore:
		states = "(state:archived or state:deleted)"
	default:
		return a.desk.Count(ctx, c.Scope)
	}
	p, err := a.desk.Letters(ctx, "group:"+c.Scope.Group+" "+states, "", 1)
	return p.Total, err
}
