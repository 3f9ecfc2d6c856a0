package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

func (a *app) treeCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "tree",
		Short:   "Who supervises whom, who runs, restarts or is paused",
		Example: "  troupe tree\n  troupe tree -o json | jq .tree",
		Args:    cobra.NoArgs,
		RunE: a.run(func(_ context.Context, _ []string) error {
			d, err := a.desk.Tree()
			if err != nil {
				return err
			}
			if !a.plain() {
				return a.emit(d)
			}
			a.printf("%s on %s, %s\n", clean(d.Name), clean(d.Node), d.State)
			a.table([]string{"", "STATE", "DEPTH", "OLDEST", "DONE", "FAILURES", "RESTARTS", "DEAD"}, treeRows(d.Tree, ""))
			for _, f := range d.Faults {
				a.printf("! %s\n", oneLine(fmt.Sprintf("%+v", f)))
			}
			return nil
		}),
	}
}

func treeRows(g runtime.GroupDescription, lead string) [][]string {
	name := lead + g.Name + "  (" + g.Strategy + ")"
	if g.Stopped {
		name += " stopped"
	}
	rows := [][]string{{name}}
	n := len(g.Groups) + len(g.Subscribers)
	inner := strings.NewReplacer("├─ ", "│  ", "└─ ", "   ").Replace(lead)
	branch := func() string {
		if n--; n == 0 {
			return inner + "└─ "
		}
		return inner + "├─ "
	}
	for _, s := range g.Subscribers {
		rows = append(rows, append([]string{branch() + s.Topic + "/" + s.Name}, figures(s)...))
	}
	for _, sub := range g.Groups {
		rows = append(rows, treeRows(sub, branch())...)
	}
	return rows
}

// depth is how many events have no outcome yet.
func depth(c actors.Counts) uint64 { return c.Queued + c.InFlight + c.RetryWait }

func figures(s runtime.SubscriberDescription) []string {
	c := s.Counts
	oldest := "-"
	if s.Oldest > 0 {
		oldest = span(s.Oldest)
	}
	return []string{string(s.State), fmt.Sprint(depth(c)), oldest, fmt.Sprint(c.Done), fmt.Sprint(c.Failures), fmt.Sprint(c.Restarts), fmt.Sprint(c.DeadLettered)}
}

// subscribers are all of the tree.
func subscribers(g runtime.GroupDescription) []runtime.SubscriberDescription {
	all := slices.Clone(g.Subscribers)
	for _, sub := range g.Groups {
		all = append(all, subscribers(sub)...)
	}
	return all
}

func (a *app) subsCmd() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "subs [TEXT]",
		Short: "List subscribers whose topic or name contains a text",
		Example: `  troupe subs
  troupe subs payment
  troupe subs --state paused -o jsonl`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.run(func(_ context.Context, args []string) error {
			d, err := a.desk.Tree()
			if err != nil {
				return err
			}
			found := []runtime.SubscriberDescription{}
			for _, s := range subscribers(d.Tree) {
				if strings.Contains(s.Topic+"/"+s.Name, join(args)) && (state == "" || string(s.State) == state) {
					found = append(found, s)
				}
			}
			if done, err := emitAll(a, found, found); done {
				return err
			}
			if len(found) == 0 {
				a.notef("no subscribers")
				return nil
			}
			rows := [][]string{}
			for _, s := range found {
				row := append([]string{s.Topic + "/" + s.Name}, figures(s)...)
				rows = append(rows, append(row, attemptsOf(s)))
			}
			a.table([]string{"SUBSCRIBER", "STATE", "DEPTH", "OLDEST", "DONE", "FAILURES", "RESTARTS", "DEAD", "RETRY"}, rows)
			return nil
		}),
	}
	cmd.Flags().StringVar(&state, "state", "", "those in that state, such as running, paused, cooldown, restarting")
	return cmd
}

func attemptsOf(s runtime.SubscriberDescription) string {
	text := s.Retry.String()
	if s.Timeout > 0 {
		text += ", timeout " + s.Timeout.Round(time.Microsecond).String()
	}
	return text
}
