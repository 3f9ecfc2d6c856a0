package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
)

// completeTimeout bounds what a Tab may take.
const completeTimeout = 3 * time.Second

// completer makes the function that a shell asks what may follow. What goes wrong
// completes nothing: there is nobody to tell.
func (a *app) completer(most int, candidates func(ctx context.Context, toComplete string) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completeTimeout)
		defer cancel()
		a.timeout = completeTimeout
		if a.connect(ctx, false) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := []string{}
		for _, c := range candidates(ctx, toComplete) {
			if word, _, _ := strings.Cut(c, "\t"); strings.HasPrefix(strings.ToLower(word), strings.ToLower(toComplete)) {
				found = append(found, c)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// described is a candidate with what it is.
func described(word, about string) string { return oneLine(word) + "\t" + cut(oneLine(about), 60) }

func (a *app) completeGroups(ctx context.Context, _ string) (words []string) {
	page, err := a.desk.Groups(ctx, "state:open", deadletter.GroupQuery{})
	if err != nil {
		return nil
	}
	for _, g := range page.Groups {
		words = append(words, described(g.Fingerprint, g.Subscriber+": "+g.Error))
	}
	return words
}

func (a *app) completeLetters(ctx context.Context, _ string) (words []string) {
	page, err := a.desk.Letters(ctx, "state:open", "", 0)
	if err != nil {
		return nil
	}
	for _, l := range page.Letters {
		words = append(words, described(l.ID, l.Subscriber+": "+l.Error))
	}
	return words
}

func (a *app) completeOperations(ctx context.Context, _ string) (words []string) {
	page, err := a.desk.Operations(ctx, deadletter.OperationQuery{})
	if err != nil {
		return nil
	}
	for _, op := range page.Operations {
		words = append(words, described(op.ID, op.Kind+" "+string(op.State)+" "+op.Query))
	}
	return words
}

func (a *app) completeSubscribers(_ context.Context, _ string) (words []string) {
	d, err := a.desk.Tree()
	if err != nil {
		return nil
	}
	for _, s := range subscribers(d.Tree) {
		words = append(words, described(s.Topic+"/"+s.Name, string(s.State)))
	}
	return words
}

func (a *app) completeFixes(_ context.Context, _ string) (words []string) {
	for _, f := range a.desk.Fixes() {
		words = append(words, described(f.Name, f.About))
	}
	return words
}

// completions gives commands the candidates of their arguments.
func (a *app) completions(root *cobra.Command) {
	letters, groups := a.completer(0, a.completeLetters), a.completer(1, a.completeGroups)
	operations, subs := a.completer(1, a.completeOperations), a.completer(0, a.completeSubscribers)
	set := func(fn cobra.CompletionFunc, paths ...string) {
		for _, path := range paths {
			if cmd, _, err := root.Find(strings.Fields(path)); err == nil {
				cmd.ValidArgsFunction = fn
			}
		}
	}
	set(letters, "show", "redrive", "edit", "archive", "restore", "rm", "snooze", "resolve", "export", "gotest")
	set(groups, "groups show", "groups ack")
	set(operations, "ops show", "ops watch", "ops pause", "ops resume", "ops cancel", "ops rate")
	set(subs, "pause", "resume", "restart")
	set(a.completer(1, a.completeFixes), "fix")
	words := func(words ...string) cobra.CompletionFunc {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return slices.Clone(words), cobra.ShellCompDirectiveNoFileComp
		}
	}
	_ = root.RegisterFlagCompletionFunc("output", words("table", "json", "jsonl"))
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("group") != nil {
			_ = cmd.RegisterFlagCompletionFunc("group", a.completer(0, a.completeGroups))
		}
		if cmd.Flags().Lookup("format") != nil {
			_ = cmd.RegisterFlagCompletionFunc("format", words("jsonl", "cloudevents"))
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
