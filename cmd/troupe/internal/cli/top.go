package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

func (a *app) topCmd() *cobra.Command {
	var once bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "The tree, depths and rates, live",
		Long: `Shows subscribers with what they do a second, and the groups with open letters, drawn
again once a second until Ctrl-C. With --once, or if the output is no terminal, it shows
one picture, over --every.`,
		Example: "  troupe top\n  troupe top --once",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if every < 10*time.Millisecond {
				return usage("--every %v: must be at least 10ms", every)
			}
			err := a.top(ctx, every, once || !a.OutTerminal)
			if ctx.Err() != nil {
				return nil // that is how it ends
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&once, "once", false, "one picture")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often, and what rates are over")
	return cmd
}

func (a *app) top(ctx context.Context, every time.Duration, once bool) error {
	was, err := a.desk.Tree()
	if err != nil {
		return err
	}
	if !once {
		// An own screen without a cursor, which leaves the other as it was.
		fmt.Fprint(a.Out, "\x1b[?1049h\x1b[?25l")
		defer fmt.Fprint(a.Out, "\x1b[?25h\x1b[?1049l")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		is, err := a.desk.Tree()
		if err != nil {
			return err
		}
		o, err := a.desk.Overview(ctx)
		if err != nil {
			return err
		}
		if !a.plain() {
			if err := a.emit(rates(was, is)); err != nil || once {
				return err
			}
			was = is
			continue
		}
		picture := a.picture(was, is, o)
		if once {
			a.printf("%s", picture)
			return nil
		}
		if a.Size != nil {
			if _, height := a.Size(); height > 1 {
				lines := strings.SplitAfter(picture, "\n")
				picture = strings.Join(lines[:min(len(lines), height-1)], "")
			}
		}
		fmt.Fprint(a.Out, "\x1b[H"+strings.ReplaceAll(picture, "\n", "\x1b[K\n")+"\x1b[J")
		was = is
	}
}

// rated is what a subscriber does a second.
type rated struct {
	Topic      string       `json:"topic"`
	Subscriber string       `json:"subscriber"`
	State      actors.State `json:"state"`
	Depth      uint64       `json:"depth"`
	Done       float64      `json:"done_per_second"`
	Failures   float64      `json:"failures_per_second"`
	Dead       float64      `json:"dead_per_second"`
}

func rates(was, is runtime.Description) []rated {
	before := map[[2]string]actors.Counts{}
	for _, s := range subscribers(was.Tree) {
		before[[2]string{s.Topic, s.Name}] = s.Counts
	}
	seconds := max(is.At.Sub(was.At).Seconds(), 1e-9)
	all := []rated{}
	for _, s := range subscribers(is.Tree) {
		b := before[[2]string{s.Topic, s.Name}]
		per := func(now, then uint64) float64 { return max(0, float64(int64(now-then))/seconds) }
		all = append(all, rated{s.Topic, s.Name, s.State, depth(s.Counts), per(s.Counts.Done, b.Done), per(s.Counts.Failures, b.Failures), per(s.Counts.DeadLettered, b.DeadLettered)})
	}
	return all
}

func (a *app) picture(was, is runtime.Description, o ops.Overview) string {
	var b strings.Builder
	width := 0
	if a.OutTerminal && a.Size != nil {
		width, _ = a.Size()
	}
	fmt.Fprintf(&b, "%s on %s, %s   %s\n", clean(is.Name), clean(is.Node), is.State, a.at(is.At))
	fmt.Fprintf(&b, "letters: %d open, %d redriving, %d resolved, %d archived", o.Account.Open, o.Account.Redriving, o.Account.Resolved, o.Account.Archived)
	if !o.Account.Oldest.IsZero() {
		fmt.Fprintf(&b, "; the oldest %s", a.ago(o.Account.Oldest))
	}
	b.WriteString("\n\n")
	second := map[string]rated{}
	for _, r := range rates(was, is) {
		second[r.Topic+"/"+r.Subscriber] = r
	}
	rows := treeRows(is.Tree, "")
	subs := subscribersInOrder(is.Tree)
	for i := range rows {
		if len(rows[i]) == 1 {
			continue
		}
		r := second[subs[0]]
		subs = subs[1:]
		rows[i] = []string{rows[i][0], string(r.State), fmt.Sprint(r.Depth), rows[i][3], rate(r.Done), rate(r.Failures), rate(r.Dead), rows[i][6]}
	}
	writeTable(&b, width, []string{"", "STATE", "DEPTH", "OLDEST", "DONE/s", "FAILURES/s", "DEAD/s", "RESTARTS"}, rows)
	if len(o.Groups) > 0 {
		b.WriteString("\n")
		rows = nil
		for _, g := range o.Groups {
			rows = append(rows, []string{g.Fingerprint, string(g.State), fmt.Sprint(g.Counts[deadletter.StateOpen]), a.ago(g.LastSeen), g.Subscriber, g.Error})
		}
		writeTable(&b, width, []string{"GROUP", "STATE", "OPEN", "LAST", "SUBSCRIBER", "ERROR"}, rows)
	}
	for _, op := range o.Running {
		fmt.Fprintf(&b, "\n%s\n", status(ops.Operation{Operation: op}))
	}
	return b.String()
}

// subscribersInOrder are the subscribers in the order of treeRows.
func subscribersInOrder(g runtime.GroupDescription) (names []string) {
	for _, s := range g.Subscribers {
		names = append(names, s.Topic+"/"+s.Name)
	}
	for _, sub := range g.Groups {
		names = append(names, subscribersInOrder(sub)...)
	}
	return names
}

func rate(f float64) string {
	switch {
	case f == 0:
		return "-"
	case f < 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.0f", f)
}
