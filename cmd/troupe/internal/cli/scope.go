package cli

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// choice is how letters are chosen: by IDs, a group or a query.
type choice struct{ group, query string }

func (c *choice) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&c.group, "group", "g", "", "the letters of a group: its `fingerprint`, of which the beginning is enough")
	cmd.Flags().StringVarP(&c.query, "query", "q", "", `the letters that a query selects; "*" is all`)
}

// scope is the choice as the desk takes it.
func (a *app) scope(ctx context.Context, c choice, ids []string) (ops.Scope, error) {
	n := min(1, len(ids)) + min(1, len(c.group)) + min(1, len(c.query))
	switch {
	case n == 0:
		return ops.Scope{}, usage(`say which letters: by their IDs, with --group, or with --query ("*" is all)`)
	case n > 1:
		return ops.Scope{}, usage("choose letters in one way only: by their IDs, with --group, or with --query")
	case c.query != "":
		a.asked = c.query
		return ops.Scope{Query: c.query}, nil
	case c.group != "":
		fp, err := a.group(ctx, c.group)
		return ops.Scope{Group: fp}, err
	}
	s := ops.Scope{IDs: []string{}}
	for _, id := range ids {
		id, err := a.letterID(ctx, id)
		if err != nil {
			return ops.Scope{}, err
		}
		s.IDs = append(s.IDs, id)
	}
	return s, nil
}

// said names the scope for people, with how many letters it has.
func said(s ops.Scope, n int) string {
	switch {
	case s.Group != "":
		return letters(n) + " of group " + s.Group
	case s.Query != "":
		return letters(n) + " that fit " + clean(s.Query)
	case len(s.IDs) == 1:
		return "letter " + s.IDs[0]
	}
	return letters(n)
}

const idLength = 26

var plainID = regexp.MustCompile(`^[0-9A-Za-z]+$`)

// letterID completes the ID of a letter, of which the beginning is enough.
func (a *app) letterID(ctx context.Context, id string) (string, error) {
	if len(id) >= idLength || !plainID.MatchString(id) {
		return id, nil
	}
	page, err := a.desk.Letters(ctx, fmt.Sprintf("id:%s* (state:deleted or not state:deleted)", strings.ToUpper(id)), "", 2)
	switch {
	case err != nil:
		return "", err
	case page.Total == 0:
		return "", notFound("see troupe ls", "there is no letter whose ID begins with %s", id)
	case page.Total > 1:
		return "", usage("%d letters have IDs that begin with %s: write more of it", page.Total, id)
	}
	return page.Letters[0].ID, nil
}

// group completes a fingerprint.
func (a *app) group(ctx context.Context, prefix string) (string, error) {
	if !plainID.MatchString(prefix) {
		return prefix, nil
	}
	page, err := a.desk.Groups(ctx, "group:"+prefix+"*", deadletter.GroupQuery{Limit: 2})
	switch {
	case err != nil:
		return "", err
	case page.Total == 0:
		return prefix, nil // one whose letters are gone, perhaps
	case page.Total > 1:
		return "", usage("%d groups have fingerprints that begin with %s: write more of it", page.Total, prefix)
	}
	return page.Groups[0].Fingerprint, nil
}

// operation completes the ID of an operation, among the latest ones.
func (a *app) operation(ctx context.Context, id string) (string, error) {
	if len(id) >= idLength {
		return id, nil
	}
	page, err := a.desk.Operations(ctx, deadletter.OperationQuery{Limit: deadletter.MaxLimit})
	if err != nil {
		return "", err
	}
	var found []string
	for _, op := range page.Operations {
		if strings.HasPrefix(op.ID, strings.ToUpper(id)) {
			found = append(found, op.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", notFound("see troupe ops", "there is no operation whose ID begins with %s", id)
	case 1:
		return found[0], nil
	}
	return "", usage("%d operations have IDs that begin with %s: write more of it", len(found), id)
}

// aboutState finds terms that choose letters which are not open.
var aboutState = regexp.MustCompile(`(?i)(^|[\s(-])(state|closed|resolved|op|operation|id):`)

// open makes a query of what is open, unless it is about other states itself.
func open(query string, all bool) string {
	switch {
	case all || aboutState.MatchString(query):
		return query
	case query == "" || query == "*":
		return "state:open"
	}
	return "state:open (" + query + ")"
}

// target reads topic/subscriber; a topic alone ends with a slash.
func target(s string) (ops.Target, error) {
	if s == "" {
		return ops.Target{}, nil
	}
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return ops.Target{Subscriber: s}, nil
	}
	if s == "/" {
		return ops.Target{}, usage("--to %q: write SUBSCRIBER, TOPIC/SUBSCRIBER, or TOPIC/ for all of a topic", s)
	}
	return ops.Target{Topic: s[:i], Subscriber: s[i+1:]}, nil
}

// percents reads 1,5,20,100.
func percents(s string) ([]float64, error) {
	if s == "" {
		return nil, nil
	}
	var out []float64
	for part := range strings.SplitSeq(s, ",") {
		f, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(part), "%"), 64)
		if err != nil {
			return nil, usage("--steps %q: must be percentages such as 1,5,20,100", s)
		}
		out = append(out, f)
	}
	return out, nil
}
