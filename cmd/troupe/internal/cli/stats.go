package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

func (a *app) statsCmd() *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "stats [QUERY]",
		Short: "How many letters there are, and when they failed and were resolved",
		Example: `  troupe stats
  troupe stats sub:payment --since 1h
  troupe stats -o json`,
		Args: cobra.ArbitraryArgs,
		RunE: a.run(func(ctx context.Context, args []string) error {
			now := a.Now()
			if since < sparkSpans {
				return usage("--since %v: must be longer", since)
			}
			o, err := a.desk.Overview(ctx)
			if err != nil {
				return err
			}
			a.asked = join(args)
			spans, err := a.desk.Timeline(ctx, a.asked, now.Add(-since), now, sparkSpans)
			if err != nil {
				return err
			}
			if !a.plain() {
				return a.emit(struct {
					ops.Overview
					Timeline []deadletter.Span `json:"timeline"`
				}{o, spans})
			}
			if o.Name != "" {
				a.printf("%s on %s\n\n", clean(o.Name), clean(o.Node))
			}
			a.showAccount(o.Account)
			failed, resolved := make([]int, len(spans)), make([]int, len(spans))
			sums := [2]int{}
			for i, s := range spans {
				failed[i], resolved[i] = s.Failed, s.Resolved
				sums[0], sums[1] = sums[0]+s.Failed, sums[1]+s.Resolved
			}
			a.printf("\nthe last %s\n", span(since))
			a.table(nil, [][]string{{"  failed", spark(failed), fmt.Sprint(sums[0])}, {"  resolved", spark(resolved), fmt.Sprint(sums[1])}})
			a.printf("\n%d groups with open letters\n", o.GroupsTotal)
			for _, m := range o.Fleet {
				a.printf("member %s\n", oneLine(fmt.Sprintf("%s: %s on %s%s, since %s", m.ID, m.Runtime, m.Node, built(m.Build), a.ago(m.StartedAt))))
			}
			for _, f := range o.Faults {
				a.printf("! %s\n", oneLine(fmt.Sprintf("%+v", f)))
			}
			for _, op := range o.Running {
				a.printf("operation %s\n", status(ops.Operation{Operation: op}))
			}
			return nil
		}),
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back")
	return cmd
}

func built(version string) string {
	if version == "" {
		return ""
	}
	return ", " + version
}

func (a *app) showAccount(c deadletter.Account) {
	rows := [][]string{}
	for _, r := range []struct {
		name string
		n    int64
	}{
		{"added", c.Added}, {"= open", c.Open}, {"+ redriving", c.Redriving}, {"+ resolved", c.Resolved},
		{"+ archived", c.Archived}, {"+ deleted", c.Deleted}, {"+ expired", c.Expired}, {"+ dropped", c.Dropped},
	} {
		rows = append(rows, []string{"  " + r.name, fmt.Sprintf("%9d", r.n)})
	}
	a.printf("letters\n")
	a.table(nil, rows)
	a.printf("  they take %s", size(c.Bytes))
	if c.Fill > 0 {
		a.printf(", %.0f %% of the fullest limit", 100*c.Fill)
	}
	if !c.Oldest.IsZero() {
		a.printf("; the oldest that is open failed %s", a.ago(c.Oldest))
	}
	a.printf("\n")
}

func (a *app) verifyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check that every letter that was ever added is accounted for",
		Long: `Checks that added = open + redriving + resolved + archived + deleted + expired +
dropped. The exit code is 1 if it is not.`,
		Example: "  troupe verify\n  troupe verify --store letters.db",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			account, err := a.desk.Verify(ctx)
			wrong := errors.Is(err, deadletter.ErrAccount)
			if err != nil && !wrong {
				return err
			}
			if !a.plain() {
				if e := a.emit(account); e != nil {
					return e
				}
				return err
			}
			a.showAccount(account)
			if err == nil {
				a.printf("it adds up\n")
			}
			return err
		}),
	}
}
