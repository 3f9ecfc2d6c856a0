package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
)

func (a *app) auditCmd() *cobra.Command {
	var page pageFlags
	var q deadletter.AuditQuery
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who did what, to which letters, why; also what was refused",
		Example: `  troupe audit
  troupe audit --by ada --since 24h
  troupe audit --action redrive -o jsonl`,
		Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			q.After, q.Limit = page.after, page.limit
			if since > 0 {
				q.From = a.Now().Add(-since)
			}
			p, err := a.desk.Audit(ctx, q)
			if err != nil {
				return err
			}
			if done, err := emitAll(a, p, p.Entries); done {
				return err
			}
			if len(p.Entries) == 0 {
				a.notef("nobody has done anything")
				return nil
			}
			rows := [][]string{}
			for _, e := range p.Entries {
				why := e.Why
				if e.Error != "" {
					why = "REFUSED: " + e.Error
				}
				rows = append(rows, []string{a.at(e.At), e.By, e.Action, fmt.Sprint(e.Count), or(e.Object, "-"), or(e.Query, "-"), why})
			}
			a.table([]string{"AT", "BY", "ACTION", "COUNT", "OBJECT", "LETTERS", "WHY"}, rows)
			a.more(len(p.Entries), p.Total, p.Next)
			return nil
		}),
	}
	page.flags(cmd)
	cmd.Flags().StringVar(&q.By, "by", "", "of that person")
	cmd.Flags().StringVar(&q.Action, "action", "", "such as redrive, delete, edit, pause_subscriber")
	cmd.Flags().StringVar(&q.Object, "object", "", "a letter, group, operation or subscriber")
	cmd.Flags().DurationVar(&since, "since", 0, "of the last hours, such as 24h")
	return cmd
}
