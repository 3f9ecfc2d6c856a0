package ops

import (
	"context"
	"slices"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// maxValues is how many values of a field are suggested.
const maxValues = 20

// Complete suggests what may follow in a query whose cursor is at that byte: whole
// queries, the likeliest first. Fields and keywords are those of the language; values
// of topic, subscriber, reason and group are those of the groups with the latest
// failures.
func (d *Desk) Complete(ctx context.Context, query string, at int) ([]string, error) {
	c := search.Complete(query, at)
	texts := make([]string, 0, len(c.Suggestions))
	for _, s := range c.Suggestions {
		texts = append(texts, s.Text)
	}
	if len(c.Path) == 0 {
		values, err := d.values(ctx, c.Field)
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			if strings.HasPrefix(strings.ToLower(v), strings.ToLower(c.Typed)) && len(texts) < maxValues {
				texts = append(texts, quoted(v))
			}
		}
	}
	all := []string{}
	for _, text := range texts {
		all = append(all, query[:c.From]+text+query[c.To:])
	}
	return all, nil
}

// values returns the values that letters have of a field, if they are few.
func (d *Desk) values(ctx context.Context, field string) ([]string, error) {
	var of func(deadletter.Group) []string
	switch field {
	case "topic":
		of = func(g deadletter.Group) []string { return g.Topics }
	case "sub", "subscriber":
		of = func(g deadletter.Group) []string { return []string{g.Subscriber} }
	case "reason":
		of = func(g deadletter.Group) []string { return []string{g.Reason} }
	case "group", "fingerprint":
		of = func(g deadletter.Group) []string { return []string{g.Fingerprint} }
	default:
		return nil, nil
	}
	page, err := d.ledger.Groups(ctx, deadletter.GroupQuery{Limit: 200})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, g := range page.Groups {
		for _, v := range of(g) {
			if v != "" && !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	return all, nil
}

// quoted returns a value as it stands in a query.
func quoted(v string) string {
	if strings.ContainsAny(v, " \t\r\n()\"*<>=:\\") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
	}
	return v
}
