package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// pageFlags are those of commands that list something.
type pageFlags struct {
	limit int
	after string
}

func (p *pageFlags) flags(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&p.limit, "limit", "l", deadletter.DefaultLimit, "how many at most, up to 1000")
	cmd.Flags().StringVar(&p.after, "after", "", "go on behind a page: what it said is `next`")
}

// more says how to see what did not fit.
func (a *app) more(shown, total int, next string) {
	if next != "" {
		a.notef("%d of %d; --after %s goes on", shown, total, next)
	}
}

const sparkSpans = 24

func (a *app) groupsCmd() *cobra.Command {
	var page pageFlags
	var state string
	var since time.Duration
	var all bool
	cmd := &cobra.Command{
		Use:   "groups [QUERY]",
		Short: "What fails in the same way, since when, how often",
		Long: `Lists the groups that have open letters, the latest failure first. Letters belong to
one group if the same subscriber gave up on them for the same reason, with the same
error but for its numbers and names, in the same place of the code.

The line of blocks is when they failed, over --since. STATE is new until somebody
acknowledges the group, and regressed if it failed again after a redrive.`,
		Example: `  troupe groups
  troupe groups --state regressed
  troupe groups sub:payment age:<1h -o json
  troupe groups show 5f0c
  troupe groups ack 5f0c --note "tax service is down, see SHOP-1412"`,
		Args: cobra.ArbitraryArgs,
		RunE: a.run(func(ctx context.Context, args []string) error {
			q := deadletter.GroupQuery{State: deadletter.GroupState(state), After: page.after, Limit: page.limit}
			if since > 0 {
				now := a.Now()
				q.Spark, q.SparkSince, q.Letters.Now = sparkSpans, now.Add(-since), now
			}
			a.asked = open(join(args), all)
			p, err := a.desk.Groups(ctx, a.asked, q)
			if err != nil {
				return err
			}
			if done, err := emitAll(a, p, p.Groups); done {
				return err
			}
			if len(p.Groups) == 0 {
				a.notef("nothing fails")
				return nil
			}
			rows := [][]string{}
			for _, g := range p.Groups {
				rows = append(rows, []string{
					g.Fingerprint, string(g.State), fmt.Sprint(g.Counts[deadletter.StateOpen]), a.ago(g.LastSeen), a.ago(g.FirstSeen),
					spark(g.Spark), g.Subscriber, g.Reason, g.Error,
				})
			}
			a.table([]string{"GROUP", "STATE", "OPEN", "LAST", "FIRST", "WHEN", "SUBSCRIBER", "REASON", "ERROR"}, rows)
			a.more(len(p.Groups), p.Total, p.Next)
			return nil
		}),
	}
	page.flags(cmd)
	cmd.Flags().StringVar(&state, "state", "", "new, acknowledged or regressed")
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "what the line of blocks covers; 0 leaves it out")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also groups without open letters")
	cmd.AddCommand(a.groupShowCmd(), a.groupAckCmd())
	return cmd
}

func (a *app) groupShowCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "show GROUP",
		Short:   "One group, and its newest letter",
		Example: "  troupe groups show 5f0c",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			fp, err := a.group(ctx, args[0])
			if err != nil {
				return err
			}
			g, err := a.desk.Group(ctx, fp)
			if err != nil {
				return err
			}
			if !a.plain() {
				return a.emit(g)
			}
			a.showGroup(g)
			if g.Sample == "" {
				return nil
			}
			l, err := a.desk.Letter(ctx, g.Sample)
			if err != nil {
				return err
			}
			a.printf("\nThe newest letter:\n\n")
			a.showLetter(l)
			return nil
		}),
	}
}

func (a *app) showGroup(g deadletter.Group) {
	var counts []string
	for _, s := range []deadletter.State{deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateDeleted} {
		if n := g.Counts[s]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, s))
		}
	}
	rows := [][]string{
		{"group", g.Fingerprint}, {"state", string(g.State)}, {"letters", or(strings.Join(counts, ", "), "all are gone")},
		{"subscriber", g.Subscriber}, {"topics", strings.Join(g.Topics, ", ")}, {"reason", or(g.Reason, "-") + " (" + or(g.Cause, "no attempt") + ")"},
		{"error", g.Error}, {"types", strings.Join(g.ErrorTypes, " > ")},
		{"first seen", a.at(g.FirstSeen) + ", " + a.ago(g.FirstSeen)}, {"last seen", a.at(g.LastSeen) + ", " + a.ago(g.LastSeen)},
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	if g.Snoozed > 0 {
		add("snoozed", fmt.Sprint(g.Snoozed))
	}
	if !g.RedrivenAt.IsZero() {
		add("redriven", a.at(g.RedrivenAt)+", "+a.ago(g.RedrivenAt))
	}
	if !g.AcknowledgedAt.IsZero() {
		add("acknowledged", a.ago(g.AcknowledgedAt)+" by "+g.AcknowledgedBy)
	}
	add("owner", g.Owner)
	add("note", g.Note)
	a.table(nil, rows)
}

func (a *app) groupAckCmd() *cobra.Command {
	var note, owner string
	var undo bool
	cmd := a.changing(&cobra.Command{
		Use:   "ack GROUP",
		Short: "Say that somebody knows of a group, with a note and an owner",
		Example: `  troupe groups ack 5f0c
  troupe groups ack 5f0c --owner payments --note "SHOP-1412"
  troupe groups ack 5f0c --undo`,
		Args: cobra.ExactArgs(1),
	})
	cmd.Flags().StringVar(&note, "note", "", "what to say of it; empty takes the note away")
	cmd.Flags().StringVar(&owner, "owner", "", "who takes care of it")
	cmd.Flags().BoolVar(&undo, "undo", false, "nobody knows of it")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		fp, err := a.group(ctx, args[0])
		if err != nil {
			return err
		}
		known := !undo
		change := ops.GroupChange{Acknowledged: &known}
		if cmd.Flags().Changed("note") {
			change.Note = &note
		}
		if cmd.Flags().Changed("owner") {
			change.Owner = &owner
		}
		g, err := a.desk.ChangeGroup(ctx, a.who(), fp, change)
		if err != nil {
			return err
		}
		if !a.plain() {
			return a.emit(g)
		}
		a.showGroup(g)
		return nil
	})
	return cmd
}
