package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
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
		ctx, cancel := a.completing(cmd)
		defer cancel()
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

// completing bounds what a completion may take.
func (a *app) completing(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	a.timeout = completeTimeout
	return context.WithTimeout(parent, completeTimeout)
}

// values are the queries that one may become, as the desk knows them; none without one.
func (a *app) values(cmd *cobra.Command, query string) []string {
	ctx, cancel := a.completing(cmd)
	defer cancel()
	if a.connect(ctx, false) != nil {
		return nil
	}
	queries, err := a.desk.Complete(ctx, query, len(query))
	if err != nil {
		return nil
	}
	return queries
}

// completeQuery completes the query language in a flag, which has all of the query, or
// in arguments, which are parts of it.
func (a *app) completeQuery(inFlag bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		before := ""
		if !inFlag && len(args) > 0 {
			before = strings.Join(args, " ") + " "
		}
		query := before + toComplete
		place := search.Complete(query, len(query))
		head := query[:place.From]
		if len(head) < len(before) {
			return nil, cobra.ShellCompDirectiveNoFileComp // within what has been typed before
		}
		about := map[string]string{}
		var words []string
		for _, s := range place.Suggestions {
			words, about[s.Text] = append(words, s.Text), s.About
		}
		// The values that letters have, if somebody can be asked.
		for _, whole := range a.values(cmd, query) {
			word, ok := strings.CutPrefix(whole, head)
			if _, known := about[word]; ok && !known {
				words, about[word] = append(words, word), ""
			}
		}
		found := []string{}
		directive := cobra.ShellCompDirectiveNoFileComp
		for _, w := range words {
			if strings.HasSuffix(w, ":") || strings.HasSuffix(w, ".") {
				directive |= cobra.ShellCompDirectiveNoSpace // a value follows
			}
			candidate := oneLine(strings.TrimPrefix(head, before) + w)
			if about[w] != "" {
				candidate = described(candidate, about[w])
			}
			found = append(found, candidate)
		}
		return found, directive
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
	set(a.completeQuery(false), "ls", "search", "tail", "stats", "groups")
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
		if cmd.Flags().Lookup("query") != nil {
			_ = cmd.RegisterFlagCompletionFunc("query", a.completeQuery(true))
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
