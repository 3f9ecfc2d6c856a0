package console

import (
	"slices"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/ops"
)

// withheld stands for a text that the caller may not see, and tells it from one
// that is not there.
const withheld = "(withheld)"

func hide(s *string) {
	if *s != "" {
		*s = withheld
	}
}

// withholdLetter takes out of a letter what the event and its handler say.
func withholdLetter(l *deadletter.Letter) {
	if len(l.Payload) > 0 {
		l.Payload, l.PayloadError = nil, withheld
	}
	hide(&l.PayloadError)
	for k := range l.Headers {
		l.Headers[k] = withheld
	}
	hide(&l.Error)
	hide(&l.Stack)
	hide(&l.PanicValue)
	for i := range l.Attempts {
		hide(&l.Attempts[i].Error)
	}
	for i := range l.Redrives {
		hide(&l.Redrives[i].Error)
		hide(&l.Redrives[i].Errand)
	}
}

// briefly takes out of a letter what a row of a list does not show.
func briefly(l *deadletter.Letter) {
	l.Payload, l.Stack, l.Attempts, l.Headers = nil, "", nil, nil
	for i := range l.Redrives {
		hide(&l.Redrives[i].Errand) // it may have an edited payload
	}
	if len(l.Error) > 500 {
		l.Error = l.Error[:500] + "…"
	}
	if len(l.PanicValue) > 500 {
		l.PanicValue = l.PanicValue[:500] + "…"
	}
}

// letter prepares a letter for the caller, false if it may not see it at all.
func (c *call) show(l *deadletter.Letter) (visible, whole bool) {
	if c.may(Metadata, l.Topic) != nil {
		return false, false
	}
	if c.sees(l.Topic) {
		return true, true
	}
	withholdLetter(l)
	return true, false
}

// showGroup is show for a group, which is seen by who may see one of its topics,
// and its errors by who may see those of all.
func (c *call) showGroup(g *deadletter.Group) (visible, whole bool) {
	visible, whole = len(g.Topics) == 0, true
	for _, t := range g.Topics {
		visible = visible || c.may(Metadata, t) == nil
		whole = whole && c.sees(t)
	}
	if visible && !whole {
		hide(&g.Error)
		g.Topics = slices.DeleteFunc(slices.Clone(g.Topics), func(t string) bool { return c.may(Metadata, t) != nil })
	}
	return visible, whole
}

// open are the fields of the query language that say nothing of what is in an
// event, secret those that do: who may not see payloads could otherwise find out
// what is in them by asking whether it is.
var (
	open = strings.Fields(`topic sub pattern state reason cause type group content gotype size age failed first published
		resolved attempts redrives snoozed closed op id seq event causation corr node build imported`)
	secret = []string{"", "err", "panic", "stack", "payload", "header", "has"}
)

// mayQuery refuses a query on payloads, headers or errors by who may not see them.
func (c *call) mayQuery(query string) error {
	if query == "" || query == "*" || c.sees(AllTopics) {
		return nil
	}
	e, err := search.Parse(query)
	if err != nil {
		return err
	}
	var refused error
	var walk func(search.Node)
	walk = func(n search.Node) {
		switch n := n.(type) {
		case *search.And:
			for _, m := range n.Nodes {
				walk(m)
			}
		case *search.Or:
			for _, m := range n.Nodes {
				walk(m)
			}
		case *search.Not:
			walk(n.Node)
		case *search.Term:
			if refused == nil && !slices.Contains(open, n.Field) {
				refused = c.may(Payload, AllTopics)
			}
		}
	}
	if e.Root != nil {
		walk(e.Root)
	}
	return refused
}

// mayScope checks a right for all letters of a scope: those that are named by
// their topics, which never change, others as letters of whatever topic.
func (c *call) mayScope(right Right, s ops.Scope) error {
	if err := c.mayQuery(s.Query); err != nil {
		return err
	}
	if s.Query != "" || s.Group != "" || c.cfg.Authorize == nil || c.may(right, AllTopics) == nil {
		return c.may(right, AllTopics)
	}
	if len(s.IDs) > maxIDs {
		return bad("scope.ids", "console: too many IDs", "choose the letters by a group or query")
	}
	for _, id := range s.IDs {
		l, err := c.desk.Letter(c.r.Context(), id)
		if err != nil {
			return err
		}
		if err := c.may(right, l.Topic); err != nil {
			return err
		}
	}
	return nil
}

// maxIDs is how many letters can be named one by one by who has to be asked for
// the topic of each.
const maxIDs = 1000
