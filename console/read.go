package console

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/console/internal/wire"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

func (c *call) about() error {
	name, node := c.name()
	a := wire.About{
		Name: name, Node: node, Environment: c.cfg.Environment, Offline: c.rt == nil, Named: c.cfg.User != nil,
		Started: c.started, At: time.Now(), Rights: map[string]bool{},
	}
	if c.cfg.User != nil {
		a.User = c.cfg.User(c.r)
	}
	for _, right := range []Right{Metadata, Payload, Control, Mutate} {
		a.Rights[string(right)] = c.may(right, "") == nil
	}
	return c.answer(a)
}

func (c *call) overview() error {
	o, err := c.desk.Overview(c.r.Context())
	if err != nil {
		return err
	}
	shown := []deadletter.Group{}
	for _, g := range o.Groups {
		if visible, _ := c.showGroup(&g); visible {
			shown = append(shown, g)
		}
	}
	o.Groups = shown
	return c.answer(o)
}

func (c *call) groups() error {
	query := c.text("query")
	q := deadletter.GroupQuery{
		State: deadletter.GroupState(c.text("state")), Spark: c.between("spark", 0, 0, 200), SparkSince: c.time("since"),
		After: c.text("after"), Limit: c.limit(),
	}
	if c.fault != nil {
		return c.fault
	}
	if q.Spark > 0 && q.SparkSince.IsZero() {
		q.SparkSince = time.Now().Add(-24 * time.Hour)
	}
	if err := c.mayQuery(query); err != nil {
		return err
	}
	page, err := c.desk.Groups(c.r.Context(), query, q)
	if err != nil {
		return err
	}
	answer := wire.GroupPage{GroupPage: page}
	answer.Groups = []deadletter.Group{}
	for _, g := range page.Groups {
		visible, whole := c.showGroup(&g)
		if !visible {
			answer.Hidden++
			continue
		}
		if !whole {
			answer.Withheld++
		}
		answer.Groups = append(answer.Groups, g)
	}
	return c.answer(answer)
}

func (c *call) group() error {
	fingerprint := c.need("fingerprint")
	if c.fault != nil {
		return c.fault
	}
	g, err := c.desk.Group(c.r.Context(), fingerprint)
	if err != nil {
		return err
	}
	if visible, _ := c.showGroup(&g); !visible {
		return deadletter.ErrNotFound
	}
	return c.answer(g)
}

// limit is the size of a page.
func (c *call) limit() int { return c.between("limit", 0, 0, deadletter.MaxLimit) }

// maxWithin is how many milliseconds a quick page of letters takes at most.
const maxWithin = 1000

func (c *call) letters() error {
	query, after, limit, brief := c.text("query"), c.text("after"), c.limit(), c.flag("brief")
	quick, within := c.flag("quick"), time.Duration(c.between("within", 0, 0, maxWithin))*time.Millisecond
	if c.fault != nil {
		return c.fault
	}
	if err := c.mayQuery(query); err != nil {
		return err
	}
	var page deadletter.Page
	var err error
	if quick {
		page, err = c.desk.QuickLetters(c.r.Context(), query, after, limit, within)
	} else {
		page, err = c.desk.Letters(c.r.Context(), query, after, limit)
	}
	if err != nil {
		return err
	}
	answer := wire.LetterPage{Page: page}
	answer.Letters = []deadletter.Letter{}
	var size int64
	for i, l := range page.Letters {
		visible, whole := c.show(&l)
		if brief {
			briefly(&l)
		}
		if visible {
			if size += l.Size(); size > c.cfg.MaxPage && i > 0 {
				answer.Next, answer.Searched = page.Letters[i-1].ID, 0 // the page is full before its number is reached
				break
			}
			answer.Letters = append(answer.Letters, l)
		} else {
			answer.Hidden++
		}
		if visible && !whole {
			answer.Withheld++
		}
	}
	return c.answer(answer)
}

func (c *call) letter() error {
	l, whole, err := c.one(c.need("id"))
	if err != nil {
		return err
	}
	return c.answer(wire.Letter{Letter: l, Withheld: !whole, UserFrames: userFrames(l.Stack)})
}

// one reads a letter that the caller may see.
func (c *call) one(id string) (l deadletter.Letter, whole bool, err error) {
	if c.fault != nil {
		return l, false, c.fault
	}
	if l, err = c.desk.Letter(c.r.Context(), id); err != nil {
		return l, false, err
	}
	visible, whole := c.show(&l)
	if !visible {
		return deadletter.Letter{}, false, deadletter.ErrNotFound
	}
	return l, whole, nil
}

func (c *call) timeline() error {
	query, from, until, spans := c.text("query"), c.time("from"), c.time("until"), c.between("spans", 60, 1, 1000)
	if c.fault != nil {
		return c.fault
	}
	if until.IsZero() {
		until = time.Now()
	}
	if from.IsZero() {
		from = until.Add(-24 * time.Hour)
	}
	if !from.Before(until) {
		return bad("from", "console: from is not before until", "send an earlier time")
	}
	if err := c.mayQuery(query); err != nil {
		return err
	}
	t, err := c.desk.Timeline(c.r.Context(), query, from, until, spans)
	if err != nil {
		return err
	}
	return c.answer(wire.Timeline{Spans: notNil(t)})
}

func (c *call) operations() error {
	q := deadletter.OperationQuery{After: c.text("after"), Limit: c.limit()}
	for _, s := range c.query["state"] {
		q.States = append(q.States, deadletter.OperationState(s))
	}
	if c.fault != nil {
		return c.fault
	}
	page, err := c.desk.Operations(c.r.Context(), q)
	if err != nil {
		return err
	}
	page.Operations = notNil(page.Operations)
	for i := range page.Operations {
		op := &page.Operations[i]
		if c.hideQuery(&op.Query); op.Query == withheld {
			op.Plan = nil // it has the query, too
		}
	}
	return c.answer(page)
}

// hideQuery withholds a query in which somebody else asked for what is in events.
func (c *call) hideQuery(query *string) {
	if c.mayQuery(*query) != nil {
		*query = withheld
	}
}

func (c *call) operation() error {
	id := c.need("id")
	if c.fault != nil {
		return c.fault
	}
	op, err := c.desk.Operation(c.r.Context(), id)
	if err != nil {
		return err
	}
	c.hideQuery(&op.Query)
	c.hideQuery(&op.Plan.Scope.Query)
	if op.Query == withheld {
		op.Operation.Plan = nil // it has the query, too
	}
	return c.answer(op)
}

func (c *call) items() error {
	q := deadletter.ItemQuery{Operation: c.need("operation"), After: c.number("after", -1), Limit: c.limit()}
	for _, s := range c.query["state"] {
		q.States = append(q.States, deadletter.ItemState(s))
	}
	if c.fault != nil {
		return c.fault
	}
	page, err := c.desk.Items(c.r.Context(), q)
	if err != nil {
		return err
	}
	page.Items = notNil(page.Items)
	if !c.sees(AllTopics) {
		for i := range page.Items {
			hide(&page.Items[i].Error)
		}
	}
	return c.answer(page)
}

func (c *call) audit() error {
	q := deadletter.AuditQuery{
		By: c.text("by"), Action: c.text("action"), Object: c.text("object"), From: c.time("from"), Until: c.time("until"),
		After: c.text("after"), Limit: c.limit(),
	}
	if c.fault != nil {
		return c.fault
	}
	page, err := c.desk.Audit(c.r.Context(), q)
	if err != nil {
		return err
	}
	page.Entries = notNil(page.Entries)
	for i := range page.Entries {
		c.hideQuery(&page.Entries[i].Query)
		if !c.sees(AllTopics) {
			hide(&page.Entries[i].Error)
		}
	}
	return c.answer(page)
}

func (c *call) verify() error {
	a, err := c.desk.Verify(c.r.Context())
	if err != nil {
		return err
	}
	return c.answer(a)
}

func (c *call) complete() error {
	query := c.text("query")
	at := c.between("at", len(query), 0, len(query))
	if c.fault != nil {
		return c.fault
	}
	queries, err := c.desk.Complete(c.r.Context(), query, at)
	if err != nil {
		return err
	}
	place := search.Complete(query, at)
	answer := wire.Completions{Completions: []string{}, Words: []string{}, From: place.From, To: place.To}
	head, tail := query[:place.From], query[place.To:]
	for _, q := range queries {
		if len(q) < len(head)+len(tail) || !strings.HasPrefix(q, head) || !strings.HasSuffix(q, tail) {
			continue // it changes more than the place
		}
		if word := q[len(head) : len(q)-len(tail)]; c.mayComplete(place, word) {
			answer.Completions = append(answer.Completions, q)
			answer.Words = append(answer.Words, word)
		}
	}
	return c.answer(answer)
}

// mayComplete reports whether a completion tells nothing that the caller may not
// see: those of the language never do, others are values that letters have.
func (c *call) mayComplete(place search.Completion, word string) bool {
	if slices.ContainsFunc(place.Suggestions, func(s search.Suggestion) bool { return s.Text == word }) {
		return true
	}
	if !slices.Contains(open, place.Field) {
		return c.sees(AllTopics)
	}
	if place.Field == "topic" {
		return c.may(Metadata, strings.Trim(word, `"`)) == nil
	}
	return c.may(Metadata, AllTopics) == nil
}

func (c *call) fixes() error {
	answer := wire.Fixes{Fixes: []wire.FixInfo{}}
	for _, f := range c.desk.Fixes() {
		answer.Fixes = append(answer.Fixes, wire.FixInfo{Name: f.Name, About: f.About})
	}
	return c.answer(answer)
}

func (c *call) goTest() error {
	l, _, err := c.one(c.need("id"))
	if err != nil {
		return err
	}
	if err := c.may(Payload, l.Topic); err != nil {
		return err
	}
	text, err := c.desk.GoTest(c.r.Context(), l.ID)
	if err != nil {
		return err
	}
	return c.answer(wire.Text{Text: text})
}

func (c *call) description() error {
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(c.openAPI)
	return nil
}

// notNil makes a list that is [] in JSON rather than null.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
