package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/ops"
)

func (a *app) exportCmd() *cobra.Command {
	var c choice
	var format, file string
	cmd := &cobra.Command{
		Use:   "export [LETTER...] | --group GROUP | --query QUERY",
		Short: "Write letters to a file, as JSON Lines or CloudEvents",
		Long: `Writes letters with all that is known of them. A file appears under its name when it is
whole, readable by its owner only: it has the payloads in it. The audit trail of a
running program says who took which.`,
		Example: `  troupe export --query '*' --file letters.jsonl
  troupe export --group 5f0c --format cloudevents > events.jsonl
  troupe export --query '*' --store letters.db | gzip > letters.jsonl.gz`,
		Args: cobra.ArbitraryArgs,
		RunE: a.run(func(ctx context.Context, args []string) error {
			s, err := a.scope(ctx, c, args)
			if err != nil {
				return err
			}
			n, err := a.export(ctx, s, format, file)
			if err != nil {
				return err
			}
			a.notef("%s", letters(n))
			return nil
		}),
	}
	c.flags(cmd)
	a.auditFlags(cmd)
	cmd.Flags().StringVar(&format, "format", ops.JSONLines, "jsonl or cloudevents")
	cmd.Flags().StringVarP(&file, "file", "f", "", "where to; the standard output without it")
	return cmd
}

func (a *app) export(ctx context.Context, s ops.Scope, format, file string) (n int, err error) {
	if file == "" || file == "-" {
		return a.desk.Export(ctx, a.who(), a.Out, s, format)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".troupe-export-") // 0600
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if n, err = a.desk.Export(ctx, a.who(), f, s, format); err != nil {
		return n, err
	}
	if err = f.Sync(); err != nil {
		return n, err
	}
	if err = f.Close(); err != nil {
		return n, err
	}
	return n, os.Rename(f.Name(), file)
}

func (a *app) importCmd() *cobra.Command {
	var format string
	cmd := a.asking(&cobra.Command{
		Use:   "import FILE",
		Short: "Add letters from a file of an export; - is the standard input",
		Long: `Adds the letters of a file. Those that are there already are left out, so a file can be
imported again. Each says where it came from: imported:* finds them. The exit code is 3
if some lines were no letters. With --dry-run nothing is added: it says how many would
be, and which lines are no letters.`,
		Example: "  troupe import letters.jsonl --dry-run\n  troupe import letters.jsonl --why \"from production, to look at\"\n  troupe import events.jsonl --format cloudevents",
		Args:    cobra.ExactArgs(1),
	})
	cmd.Annotations[changes] = unlessTried
	cmd.Flags().StringVar(&format, "format", ops.JSONLines, "jsonl or cloudevents")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		in := a.In
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		if a.dryRun {
			would, err := a.desk.PreviewImport(ctx, in, format)
			if err != nil {
				return err
			}
			return a.imported(would, "would be added", "are")
		}
		if args[0] != "-" { // the standard input cannot be asked, it is the letters
			if err := a.ask(fmt.Sprintf("Add the letters of %s at %s?", args[0], a.place(ctx))); err != nil {
				return err
			}
		}
		done, err := a.desk.Import(ctx, a.who(), io.NopCloser(in), format)
		if err != nil {
			return err
		}
		return a.imported(done, "added", "were")
	})
	return cmd
}

// imported says what an import did, or would do.
func (a *app) imported(im ops.Imported, added, were string) error {
	if !a.plain() {
		if err := a.emit(im); err != nil {
			return err
		}
	} else {
		a.printf("%s %s, %d %s there already\n", letters(im.Added), added, im.Known, were)
		for _, f := range im.Faults {
			a.notef("  %s", oneLine(f))
		}
		if left := im.Faulty - len(im.Faults); left > 0 {
			a.notef("  and %d more", left)
		}
	}
	if im.Faulty > 0 {
		return partly("%d lines %s no letters", im.Faulty, were)
	}
	return nil
}
