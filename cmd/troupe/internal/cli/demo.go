package cli

import (
	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/cmd/troupe/internal/demo"
)

func (a *app) demoCmd() *cobra.Command {
	cfg := demo.Config{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a small shop that fails in several ways, with its console",
		Long: `Starts a small shop with handlers that fail, a console in the browser, and a store in a
temporary folder, and says what to try. Orders come in all the time. Ctrl-C ends it and
takes the folder away, unless --dir names one.

The tax service of the shop is down: Enter in the demo's terminal, or troupe demo repair
in another, repairs it, so that a redrive that has failed before goes through.`,
		Example: "  troupe demo\n  troupe demo --addr 127.0.0.1:8080 --for 10m\n  troupe demo repair",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.began = true
			cfg.In, cfg.Out = a.In, a.Out
			if !a.InTerminal {
				cfg.In = nil
			}
			return demo.Run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&cfg.Addr, "addr", "127.0.0.1:8321", "where the console listens; port 0 is any")
	cmd.Flags().StringVar(&cfg.Dir, "dir", "", "a `folder` for the store, which is kept; a temporary one without it")
	cmd.Flags().DurationVar(&cfg.For, "for", 0, "end after that time; 0 is with Ctrl-C")
	cmd.Flags().BoolVar(&cfg.Once, "once", false, "end when the shop has failed in all its ways")
	cmd.Flags().Uint64Var(&cfg.Seed, "seed", 1, "which orders there are, and which fail")
	cmd.AddCommand(&cobra.Command{
		Use: "repair", Short: "Repair the tax service of a demo that runs", Args: cobra.NoArgs,
		Example: "  troupe demo repair\n  troupe demo repair --server http://127.0.0.1:8080/",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.began = true
			if a.server == "" {
				a.server = or(a.Getenv("TROUPE_SERVER"), demo.DefaultURL)
			}
			if err := demo.Repair(cmd.Context(), a.server); err != nil {
				return &exitError{code: ExitUnreachable, err: err, hint: "is troupe demo running there?"}
			}
			a.printf("the tax service works again\n")
			return nil
		},
	})
	return cmd
}
