package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/ops"
)

func (a *app) tailCmd() *cobra.Command {
	var last int
	var events bool
	cmd := &cobra.Command{
		Use:   "tail [QUERY]",
		Short: "Follow letters as they come",
		Long: `Shows the latest letters that the query selects and then each one that comes, or
fails again, until Ctrl-C. With --events it shows whatever happens: letters, groups,
operations, subscribers, the store, the audit trail.

What could not be shown, because it came faster than it could be read, is counted.
Of a store file, new letters are looked for once a second.`,
		Example: `  troupe tail
  troupe tail sub:payment -o jsonl | jq .error
  troupe tail --events`,
		Args: cobra.ArbitraryArgs,
		RunE: a.run(func(ctx context.Context, args []string) error {
			query := join(args)
			where, err := search.Parse(query)
			if err != nil {
				return usage("query: %w", err)
			}
			err = a.tail(ctx, query, deadletter.Query{Where: where}, last, events)
			if ctx.Err() != nil {
				return nil // that is how it ends
			}
			return err
		}),
	}
	cmd.Flags().IntVarP(&last, "last", "l", 10, "how many letters to begin with")
	cmd.Flags().BoolVar(&events, "events", false, "whatever happens, not only letters")
	return cmd
}

func (a *app) tail(ctx context.Context, query string, q deadletter.Query, last int, events bool) error {
	if last < 0 || last > deadletter.MaxLimit {
		return usage("--last %d: must be 0 to %d", last, deadletter.MaxLimit)
	}
	newest := ""
	if last > 0 && !events {
		p, err := a.desk.Letters(ctx, query, "", last)
		if err != nil {
			return err
		}
		for i := len(p.Letters) - 1; i >= 0; i-- {
			if err := a.tailLetter(p.Letters[i]); err != nil {
				return err
			}
			newest = p.Letters[i].ID
		}
	}
	if a.store != "" {
		if events {
			return usage("--events needs a running server: a file tells of nothing")
		}
		return a.poll(ctx, query, newest)
	}
	for e := range a.desk.Watch(ctx, 0) {
		switch {
		case e.Kind == "error":
			a.notef("troupe: %s", clean(e.Text))
			continue
		case e.Kind == ops.EventLost:
			a.notef("troupe: %d events came too fast to be shown", e.Lost)
			continue
		case events:
			if err := a.tailEvent(e); err != nil {
				return err
			}
			continue
		case e.Kind != ops.EventLetter:
			continue
		}
		l, err := a.desk.Letter(ctx, e.Object)
		if errors.Is(err, deadletter.ErrNotFound) {
			continue // gone already
		}
		if err != nil {
			return err
		}
		if q.Matches(&l) {
			if err := a.tailLetter(l); err != nil {
				return err
			}
		}
	}
	if ctx.Err() == nil {
		return &exitError{code: ExitUnreachable, err: errors.New("the server has ended the stream")}
	}
	return nil
}

// poll looks for letters that are newer than the newest.
func (a *app) poll(ctx context.Context, query, newest string) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		var fresh []deadletter.Letter
		for after := ""; ; {
			p, err := a.desk.Letters(ctx, query, after, 0)
			if err != nil {
				return err
			}
			old := false
			for _, l := range p.Letters {
				if old = l.ID <= newest; old {
					break
				}
				fresh = append(fresh, l)
			}
			if old || p.Next == "" || newest == "" {
				break
			}
			after = p.Next
		}
		for i := len(fresh) - 1; i >= 0; i-- {
			if err := a.tailLetter(fresh[i]); err != nil {
				return err
			}
			newest = fresh[i].ID
		}
	}
}

func (a *app) tailLetter(l deadletter.Letter) error {
	if !a.plain() {
		return a.emit(l)
	}
	again := ""
	if n := l.RedriveCount(); n > 0 {
		again = fmt.Sprintf(" (redriven %d times)", n)
	}
	a.printf("%s  %s  %s  %s: %s%s\n", a.at(l.LastFailedAt), l.ID, oneLine(l.Topic+"/"+l.Subscriber), oneLine(l.Reason), oneLine(l.Error), again)
	return nil
}

func (a *app) tailEvent(e ops.Event) error {
	if !a.plain() {
		return a.emit(e)
	}
	a.printf("%s  %-10s  %s  %s\n", a.at(e.At), e.Kind, oneLine(e.Object), oneLine(e.Text))
	return nil
}
