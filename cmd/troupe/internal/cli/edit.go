package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

type editFlags struct {
	sets, unsets, headers []string
	file, to              string
	budget                int
}

func (a *app) editCmd() *cobra.Command {
	var f editFlags
	cmd := a.asking(&cobra.Command{
		Use:   "edit LETTER",
		Short: "Send another event in place of a letter's",
		Long: `Sends an event with another payload, or other headers, in place of the letter's: with an
ID of its own, to the subscriber that failed or to --to. The letter is kept, and
resolved as edited once the new event has its outcome.

--set and --unset change a JSON payload in one place; --file takes the whole payload
from a file, or - for the standard input. Without any of them, $EDITOR is opened.
What differs is shown, and whether it decodes, before anything is sent.`,
		Example: `  troupe edit 01JD3XK5 --set address.postcode='"D02 X285"' --dry-run
  troupe edit 01JD3XK5 --set items.0.quantity=2 --unset coupon --why "as the customer said"
  troupe show 01JD3XK5 --payload | jq '.currency = "EUR"' | troupe edit 01JD3XK5 --file - --yes
  troupe edit 01JD3XK5 --header tenant=acme --to orders.placed/payment-v2`,
		Args: cobra.ExactArgs(1),
	})
	p := cmd.Flags()
	p.StringArrayVarP(&f.sets, "set", "s", nil, "`path=value`: JSON, or a text if it is no JSON")
	p.StringArrayVar(&f.unsets, "unset", nil, "a `path` to take away")
	p.StringArrayVar(&f.headers, "header", nil, "`name=value`; without a value it is taken away")
	p.StringVarP(&f.file, "file", "f", "", "the new payload, from a `file` or -")
	p.StringVar(&f.to, "to", "", "another `[topic/]subscriber`")
	p.IntVar(&f.budget, "attempts", 0, "attempts; 0 is what the retry policy gives to a new event")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		id, err := a.letterID(ctx, args[0])
		if err != nil {
			return err
		}
		l, err := a.desk.Letter(ctx, id)
		if err != nil {
			return err
		}
		e, err := a.edited(ctx, f, l)
		if err != nil {
			return err
		}
		return a.edit(ctx, l, e)
	})
	return cmd
}

func (a *app) edit(ctx context.Context, l deadletter.Letter, e ops.Edit) error {
	p, err := a.desk.PreviewEdit(ctx, l.ID, e)
	if err != nil {
		return err
	}
	if a.dryRun && !a.plain() {
		return a.emit(p)
	}
	if a.dryRun || a.plain() {
		w := a.Err
		if a.dryRun {
			w = a.Out
		}
		writeDiff(w, p.Diff)
	}
	if a.dryRun {
		return nil
	}
	to := e.To.String()
	if e.To == (ops.Target{}) {
		to = l.Topic + "/" + l.Subscriber
	}
	if err := a.ask(fmt.Sprintf("Send this in place of letter %s to %s at %s?", l.ID, clean(to), a.place(ctx))); err != nil {
		return err
	}
	done, err := a.desk.Edit(ctx, a.who(), l.ID, e)
	if err != nil {
		return err
	}
	if !a.plain() {
		return a.emit(done)
	}
	a.printf("sent as event %s; troupe show %s tells its outcome\n", done.EventID, l.ID)
	return nil
}

func writeDiff(w io.Writer, lines []ops.DiffLine) {
	for _, d := range lines {
		path := or(d.Path, "(payload)")
		switch {
		case d.Old == "" && d.New == "":
			fmt.Fprintf(w, "  %s\n", oneLine(path))
		case d.Old == "":
			fmt.Fprintf(w, "  + %s: %s\n", oneLine(path), oneLine(d.New))
		case d.New == "":
			fmt.Fprintf(w, "  - %s: %s\n", oneLine(path), oneLine(d.Old))
		default:
			fmt.Fprintf(w, "  ~ %s: %s -> %s\n", oneLine(path), oneLine(d.Old), oneLine(d.New))
		}
	}
}

// edited makes the edit that the flags, or the editor, ask for.
func (a *app) edited(ctx context.Context, f editFlags, l deadletter.Letter) (ops.Edit, error) {
	e := ops.Edit{Budget: f.budget}
	var err error
	if e.To, err = target(f.to); err != nil {
		return e, err
	}
	if len(f.headers) > 0 {
		e.Headers = map[string]string{}
		maps.Copy(e.Headers, l.Headers)
		for _, h := range f.headers {
			name, value, given := strings.Cut(h, "=")
			if !given {
				delete(e.Headers, name)
				continue
			}
			e.Headers[name] = value
		}
	}
	var payload []byte
	switch {
	case f.file != "" && len(f.sets)+len(f.unsets) > 0:
		return e, usage("--file and --set: choose one")
	case f.file == "-":
		payload, err = io.ReadAll(a.In)
	case f.file != "":
		payload, err = os.ReadFile(f.file)
	case len(f.sets)+len(f.unsets) > 0:
		payload, err = setPaths(l.Payload, f.sets, f.unsets)
	case len(f.headers) == 0 && f.to == "":
		payload, err = a.editor(ctx, l.Payload)
	default:
		return e, nil // the payload stays
	}
	if err != nil {
		return e, err
	}
	if strings.Contains(l.ContentType, "json") {
		if !json.Valid(payload) {
			return e, usage("the payload is no JSON")
		}
		e.Payload = payload
	} else {
		e.Raw = payload
	}
	return e, nil
}

// editor lets a person edit the payload in a file that only she can read.
func (a *app) editor(ctx context.Context, payload []byte) ([]byte, error) {
	name := or(a.Getenv("VISUAL"), a.Getenv("EDITOR"))
	if !a.InTerminal || name == "" {
		return nil, usage("say what to change, with --set, --unset, --header, --to or --file (or set EDITOR, on a terminal)")
	}
	dir, err := os.MkdirTemp("", "troupe-edit-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var b bytes.Buffer
	if json.Indent(&b, payload, "", "  ") != nil {
		b.Reset()
		b.Write(payload)
	} else {
		b.WriteByte('\n')
	}
	path := filepath.Join(dir, "payload.json")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return nil, err
	}
	words := append(strings.Fields(name), path)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Out, a.Err
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(data, b.Bytes()) {
		return nil, refused("", "nothing was changed, nothing was done")
	}
	return bytes.TrimRight(data, "\n"), nil
}
