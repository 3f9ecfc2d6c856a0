package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
)

func (a *app) showCmd() *cobra.Command {
	var payload bool
	cmd := &cobra.Command{
		Use:   "show LETTER...",
		Short: "All that is known of a letter: payload, attempts, stack, redrives",
		Example: `  troupe show 01JD3XK5
  troupe show 01JD3XK5 --payload > payload.json
  troupe show 01JD3XK5 -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			for i, id := range args {
				id, err := a.letterID(ctx, id)
				if err != nil {
					return err
				}
				l, err := a.desk.Letter(ctx, id)
				if err != nil {
					return fmt.Errorf("letter %s: %w", id, err)
				}
				switch {
				case payload:
					_, err = a.Out.Write(l.Payload) // as it is: for a file
				case !a.plain():
					err = a.emit(l)
				default:
					if i > 0 {
						a.printf("\n")
					}
					a.showLetter(l)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&payload, "payload", false, "only the bytes of the payload, as they are")
	return cmd
}

func (a *app) showLetter(l deadletter.Letter) {
	rows := [][]string{
		{"letter", l.ID}, {"state", state(l, l.Snoozed(a.Now()))},
		{"failed", a.at(l.LastFailedAt) + ", " + a.ago(l.LastFailedAt)},
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	if !l.FirstFailedAt.Equal(l.LastFailedAt) {
		add("first failed", a.at(l.FirstFailedAt)+", "+a.ago(l.FirstFailedAt))
	}
	if l.Snoozed(a.Now()) {
		add("snoozed", "until "+a.at(l.SnoozedUntil))
	}
	if c := l.Closed; c != nil {
		text := c.As + " by " + or(c.By, "nobody in particular") + ", " + a.ago(c.At)
		if c.Why != "" {
			text += ": " + c.Why
		}
		add("closed", text)
		if !c.PurgeAt.IsZero() {
			add("gone for good", a.at(c.PurgeAt))
		}
		add("replaced by", c.EventID)
	}
	add("subscriber", fmt.Sprintf("%s/%s, event %d", l.Topic, l.Subscriber, l.Sequence))
	add("pattern", l.Pattern)
	add("reason", l.Reason+" ("+or(l.Cause, "no attempt")+")")
	if !strings.Contains(l.Error, "\n") {
		add("error", l.Error)
	}
	add("types", strings.Join(l.ErrorTypes, " > "))
	add("panic", l.PanicValue)
	add("group", l.Fingerprint)
	add("node", l.Node)
	add("build", l.Build)
	add("event", l.EventID)
	add("caused by", l.CausationID)
	if l.CorrelationID != l.EventID {
		add("belongs to", l.CorrelationID)
	}
	add("imported from", l.ImportedFrom)
	a.table(nil, rows)
	if strings.Contains(l.Error, "\n") {
		a.printf("\nerror\n%s\n", indent(clean(strings.TrimSpace(l.Error)), "  "))
	}

	a.printf("\nattempts  %d\n", l.AttemptCount)
	rows = nil
	for _, t := range l.Attempts {
		row := []string{fmt.Sprintf("  %d", t.Number), a.at(t.Started), t.Duration.String(), t.Cause, t.Error}
		if t.Redrive > 0 {
			row[0] += fmt.Sprintf(" of redrive %d", t.Redrive)
		}
		rows = append(rows, row)
	}
	a.table(nil, rows)
	if len(l.Redrives) > 0 {
		a.printf("\nredrives  %d\n", l.RedriveCount())
		rows = nil
		for _, r := range l.Redrives {
			outcome := or(string(r.Outcome), "runs")
			switch {
			case r.Errand != "":
				outcome = "waits for a member that has the subscriber"
			case r.Member != "":
				outcome += " at " + r.Member
			}
			rows = append(rows, []string{fmt.Sprintf("  %d", r.Number), a.at(r.StartedAt), "by " + r.By, outcome, r.Error})
		}
		a.table(nil, rows)
	}
	if len(l.Headers) > 0 {
		a.printf("\nheaders\n")
		rows = nil
		for _, k := range slices.Sorted(maps.Keys(l.Headers)) {
			rows = append(rows, []string{"  " + k, l.Headers[k]})
		}
		a.table(nil, rows)
	}
	a.printf("\npayload   %s\n", clean(strings.TrimSpace(fmt.Sprintf("%s %s, %s", l.ContentType, l.GoType, size(int64(len(l.Payload)))))))
	if l.PayloadError != "" {
		a.printf("  %s\n", oneLine(l.PayloadError))
	}
	a.printf("%s", pretty(l.Payload))
	if l.Stack != "" {
		a.printf("\nstack\n%s\n", indent(clean(strings.TrimSpace(l.Stack)), "  "))
	}
}

// pretty shows a payload: JSON with its numbers as they are, text, or bytes.
func pretty(payload []byte) string {
	if len(payload) == 0 {
		return ""
	}
	var b bytes.Buffer
	if json.Indent(&b, payload, "  ", "  ") == nil {
		return clean("  "+b.String()) + "\n"
	}
	if utf8.Valid(payload) {
		return clean(indent(strings.TrimRight(string(payload), "\n"), "  ")) + "\n"
	}
	return indent(strings.TrimRight(hex.Dump(payload), "\n"), "  ") + "\n"
}
