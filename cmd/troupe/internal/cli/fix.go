package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) fixCmd() *cobra.Command {
	var f redriveFlags
	var samples int
	cmd := a.asking(&cobra.Command{
		Use:   "fix [NAME [LETTER...] | --group GROUP | --query QUERY]",
		Short: "Repair many payloads by a function of the program, and send them back",
		Long: `Lists the fixes that the program has registered. With the name of one, shows what it
makes of some letters, asks, and sends each letter's event back with the repaired
payload, as a new event; the letter is resolved as fixed.

It takes the flags of redrive: --canary stops when too many fail.`,
		Example: `  troupe fix
  troupe fix country-codes --group 5f0c --dry-run
  troupe fix country-codes --group 5f0c --canary --why "carts wrote UK for GB"`,
		Args: cobra.ArbitraryArgs,
	})
	f.flags(cmd)
	cmd.Flags().IntVar(&samples, "samples", 5, "how many letters to show, up to 100")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return a.fixes()
		}
		r, err := a.plan(ctx, f, args[1:])
		if err != nil {
			return err
		}
		r.Fix = args[0]
		tried, err := a.desk.PreviewFix(ctx, r.Fix, r.Scope, samples)
		if err != nil {
			return err
		}
		if a.plain() && (a.dryRun || a.InTerminal && !a.yes) {
			w := a.Err
			if a.dryRun {
				w = a.Out
			}
			for _, s := range tried {
				fmt.Fprintf(w, "%s\n", s.Letter)
				writeDiff(w, s.Diff)
				if s.Error != "" {
					fmt.Fprintf(w, "  ! %s\n", oneLine(s.Error))
				}
			}
		}
		if a.dryRun && !a.plain() {
			_, err := emitAll(a, tried, tried)
			return err
		}
		return a.redrive(ctx, r, f.detach)
	})
	return cmd
}

func (a *app) fixes() error {
	type named struct {
		Name  string `json:"name"`
		About string `json:"about,omitempty"`
	}
	all := []named{}
	rows := [][]string{}
	for _, f := range a.desk.Fixes() {
		all = append(all, named{f.Name, f.About})
		rows = append(rows, []string{f.Name, f.About})
	}
	if done, err := emitAll(a, all, all); done {
		return err
	}
	if len(all) == 0 {
		a.notef("the program has registered no fixes (ops.Config.Fixes)")
		return nil
	}
	a.table([]string{"FIX", "WHAT IT DOES"}, rows)
	return nil
}
