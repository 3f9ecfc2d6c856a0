package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/ops"
)

func (a *app) lsCmd() *cobra.Command {
	var page pageFlags
	var all bool
	var c choice
	cmd := &cobra.Command{
		Use:   "ls [QUERY]",
		Short: "List letters, newest first",
		Long: `Lists letters, newest first: those that are open, unless the query speaks of states,
IDs or operations, or --all is given.`,
		Example: `  troupe ls
  troupe ls sub:payment age:<1h
  troupe ls --group 5f0c
  troupe ls 'state:resolved closed:edited' -o jsonl
  troupe ls payload.country:CH -l 1000`,
		Args: cobra.ArbitraryArgs,
		RunE: a.run(func(ctx context.Context, args []string) error {
			query := join(args)
			if c.group != "" {
				fp, err := a.group(ctx, c.group)
				if err != nil {
					return err
				}
				query = strings.TrimSpace(query + " group:" + fp)
			}
			return a.list(ctx, open(query, all), page, false)
		}),
	}
	page.flags(cmd)
	cmd.Flags().StringVarP(&c.group, "group", "g", "", "the letters of a group")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "letters of any state but deleted")
	return cmd
}

func (a *app) list(ctx context.Context, query string, page pageFlags, payload bool) error {
	a.asked = query
	list := a.desk.Letters
	if a.plain() {
		list = a.look // the rows first
	}
	p, err := list(ctx, query, page.after, page.limit)
	if err != nil {
		return err
	}
	if done, err := emitAll(a, p, p.Letters); done {
		return err
	}
	if len(p.Letters) == 0 {
		a.notef("no letters")
		return nil
	}
	rows := [][]string{}
	for _, l := range p.Letters {
		row := []string{l.ID, state(l, l.Snoozed(a.Now())), a.ago(l.LastFailedAt), l.Topic + "/" + l.Subscriber, fmt.Sprint(l.AttemptCount), fmt.Sprint(l.RedriveCount())}
		if payload {
			row = append(row, cut(oneLine(l.Error), 60), cut(oneLine(string(l.Payload)), 120))
		} else {
			row = append(row, l.Error)
		}
		rows = append(rows, row)
	}
	head := []string{"LETTER", "STATE", "FAILED", "SUBSCRIBER", "ATTEMPTS", "REDRIVES", "ERROR"}
	if payload {
		head = append(head, "PAYLOAD")
	}
	a.table(head, rows)
	if p.Partial && p.Next != "" {
		if p.Total, err = a.desk.Count(ctx, ops.Scope{Query: or(strings.TrimSpace(query), "*")}); err != nil {
			return err
		}
	}
	a.more(len(p.Letters), p.Total, p.Next)
	return nil
}

// lookStep is how often a search tells how far it is.
const lookStep = 250 * time.Millisecond

// look reads a page without a wait for its total. Where letters are rare it says how much
// of the store it has searched.
func (a *app) look(ctx context.Context, query, after string, limit int) (deadletter.Page, error) {
	var found deadletter.Page
	if limit == 0 {
		limit = deadletter.DefaultLimit
	}
	first, said := after == "", false
	for {
		p, err := a.desk.QuickLetters(ctx, query, after, limit-len(found.Letters), lookStep)
		if err != nil {
			return p, err
		}
		if p.Partial {
			p.Total += len(found.Letters)
		}
		p.Letters = append(found.Letters, p.Letters...)
		found = p
		if p.Searched == 0 || len(p.Letters) >= limit {
			break
		}
		after = p.Next
		if a.ErrTerminal {
			fmt.Fprintf(a.Err, "\r\x1b[K%s", a.fit(fmt.Sprintf("%d found, %.0f %% of the store searched", len(p.Letters), 100*p.Searched)))
			said = true
		}
	}
	if said {
		fmt.Fprint(a.Err, "\r\x1b[K")
	}
	if found.Partial && found.Next == "" && first {
		found.Partial, found.Total = false, len(found.Letters)
	}
	return found, nil
}

func state(l deadletter.Letter, snoozed bool) string {
	switch {
	case snoozed && l.State == deadletter.StateOpen:
		return "snoozed"
	case l.Closed != nil && l.State == deadletter.StateResolved:
		return l.Closed.As
	}
	return string(l.State)
}

func (a *app) searchCmd() *cobra.Command {
	var page pageFlags
	var count bool
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Find letters of any state, in errors and payloads",
		Long: `Finds letters of any state but deleted, newest first, with what their payload says.

Terms that stand beside each other must all hold; write or between two, - or not before
one, and parentheses. A term is field:value, or a text to be found in the error and the
payload. Names are matched as a whole, and * stands for anything; texts are searched for
what is in them; numbers, times and durations take > >= < <=. Quote what has blanks, and
write -- before a query that begins with -.

  topic:orders.* sub:billing reason:permanent err:"timeout" payload.order.id:123
  age:>1h redrives:>0 state:open "free text"

` + fieldHelp(),
		Example: `  troupe search 'sub:payment payload.total_cents:>100000'
  troupe search '"card declined" or "insufficient funds"'
  troupe search err:timeout failed:today --count`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if !count {
				return a.list(ctx, join(args), page, true)
			}
			a.asked = join(args)
			p, err := a.desk.Letters(ctx, a.asked, "", 1)
			if err != nil {
				return err
			}
			if !a.plain() {
				return a.emit(map[string]int{"count": p.Total})
			}
			a.printf("%d\n", p.Total)
			return nil
		}),
	}
	page.flags(cmd)
	cmd.Flags().BoolVar(&count, "count", false, "only how many there are")
	return cmd
}

func fieldHelp() string {
	var b strings.Builder
	rows := [][]string{}
	for _, f := range search.Fields() {
		name := f.Name
		switch f.Path {
		case "may":
			name += "[.path]"
		case "must":
			name += ".name"
		}
		rows = append(rows, []string{"  " + name, f.Kind.String(), f.Example, f.About})
	}
	b.WriteString("Fields:\n")
	writeTable(&b, 0, nil, rows)
	return strings.TrimRight(b.String(), "\n")
}
