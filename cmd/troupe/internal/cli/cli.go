// Package cli is the command line.
package cli

import (
	"context"
	"errors"
	"io"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/ops"
)

// Env is what surrounds a call of the program.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	// Whether a person is at the other end.
	InTerminal, OutTerminal, ErrTerminal bool
	// Size is that of the terminal, in characters; 0 is not known.
	Size func() (width, height int)
}

// app is one call of the program.
type app struct {
	Env
	server, token, store string
	output               string
	by, why              string
	utc, yes, dryRun     bool
	timeout              time.Duration

	asked  string // the query, to point into
	began  bool   // the command itself runs: what is wrong now is no wrong usage
	desk   Desk
	where  string // for people: what desk is
	closer func()
}

// Run does what the arguments say and returns the exit code. It ends early with
// ctx.
func Run(ctx context.Context, env Env, args ...string) int {
	a := &app{Env: env}
	defer a.close()
	root := a.root()
	root.SetArgs(append([]string{}, args...))
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	cmd, err := root.ExecuteContextC(ctx)
	return a.end(ctx, cmd, err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "troupe",
		Short: "Dead letters: see what fails, pause, repair, send back",
		Long: `troupe works on the dead letters of a program that runs Troupe.

It talks to the program's console, or reads the file of its SQLite store while the
program is down or busy:

  --server http://host:port/ops/     over HTTP, with --token if it asks for one
  --server unix:///run/shop.sock     over a Unix socket (?prefix=/ops/ if it is mounted there)
  --store letters.db                 the file, for looking only

TROUPE_SERVER, TROUPE_TOKEN and TROUPE_STORE are used without these flags, and
TROUPE_USER as the name in the audit trail without --by.

Letters are chosen by their IDs, of which the beginning is enough, by --group, or by
a query; troupe help search tells the query language.

` + exitHelp(),
		Example: `  troupe groups                                   what fails, since when
  troupe show 01JD3X                              one letter, with all that is known
  troupe pause orders.placed/payment              while you look
  troupe redrive --group 5f0c --canary --rate 50  1 %, 5 %, 20 %, all; stops if it fails
  troupe demo                                     a shop to try all of it on`,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	p := root.PersistentFlags()
	p.StringVar(&a.server, "server", "", "where the console is: http://host:port/prefix or unix:///path.sock")
	p.StringVar(&a.token, "token", "", "the bearer `token` that the console wants; better in TROUPE_TOKEN")
	p.StringVar(&a.store, "store", "", "a SQLite store `file`, for looking only")
	p.StringVarP(&a.output, "output", "o", "table", "table, json (one value) or jsonl (a line each)")
	p.BoolVar(&a.utc, "utc", false, "show times in UTC, not in the zone of this machine")
	p.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long the server may take to begin its answer")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch a.output {
		case "table", "json", "jsonl":
			return nil
		}
		return usage("--output %q: must be table, json or jsonl", a.output)
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage("%w", err) })
	root.AddGroup(
		&cobra.Group{ID: "see", Title: "See"}, &cobra.Group{ID: "act", Title: "Change letters"},
		&cobra.Group{ID: "control", Title: "The tree of supervision"}, &cobra.Group{ID: "other", Title: "Other"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("see", a.groupsCmd(), a.lsCmd(), a.searchCmd(), a.showCmd(), a.tailCmd(), a.statsCmd(), a.verifyCmd(), a.auditCmd())
	add("act", a.redriveCmd(), a.opsCmd(), a.editCmd(), a.fixCmd())
	add("act", a.changeCmds()...)
	add("act", a.exportCmd(), a.importCmd())
	add("control", a.treeCmd(), a.subsCmd(), a.topCmd())
	add("control", a.controlCmds()...)
	add("other", a.goTestCmd(), a.demoCmd(), a.versionCmd())
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	a.completions(root)
	return root
}

// run makes the RunE of a command that needs a desk.
func (a *app) run(fn func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := a.connect(cmd.Context(), cmd.Annotations[changes] == always || cmd.Annotations[changes] == unlessTried && !a.dryRun); err != nil {
			return err
		}
		a.began = true
		return fn(cmd.Context(), args)
	}
}

// changes marks commands that a store file is not enough for: always, or unless they
// are only tried.
const (
	changes     = "changes"
	always      = "always"
	unlessTried = "unless tried"
)

// changing has a command change something: it gets the flags for that.
func (a *app) changing(cmd *cobra.Command) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[changes] = always
	a.auditFlags(cmd)
	return cmd
}

// auditFlags are for commands that are recorded.
func (a *app) auditFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.why, "why", "", "the reason, for the audit trail")
	f.StringVar(&a.by, "by", "", "your `name`, for the audit trail")
}

// asking adds the flags of a command that asks before it changes something.
func (a *app) asking(cmd *cobra.Command) *cobra.Command {
	f := a.changing(cmd).Flags()
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	f.BoolVarP(&a.dryRun, "dry-run", "n", false, "say what would be done, and do nothing")
	return cmd
}

// who says who does it.
func (a *app) who() ops.By {
	name := a.by
	if name == "" {
		name = a.Getenv("TROUPE_USER")
	}
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return ops.By{Name: name, Why: a.why}
}

func (a *app) close() {
	if a.closer != nil {
		a.closer()
	}
}

// join makes one query of the arguments.
func join(args []string) string { return strings.TrimSpace(strings.Join(args, " ")) }

var errNothing = errors.New("nothing")
