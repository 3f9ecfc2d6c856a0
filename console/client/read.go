package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/troupe-go/troupe/console/internal/wire"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// values makes a query of what is not empty.
type values url.Values

func (v values) text(name, s string) values {
	if s != "" {
		v[name] = append(v[name], s)
	}
	return v
}

func (v values) number(name string, n int) values {
	if n != 0 {
		v[name] = []string{strconv.Itoa(n)}
	}
	return v
}

func (v values) time(name string, t time.Time) values {
	if !t.IsZero() {
		v[name] = []string{t.Format(time.RFC3339Nano)}
	}
	return v
}

// About says what the console is and what this client may do there.
type About = wire.About

// About asks for it.
func (c *Client) About(ctx context.Context) (About, error) {
	return get[wire.About](ctx, c, "about", nil)
}

// Overview is that of ops.Desk.
func (c *Client) Overview(ctx context.Context) (ops.Overview, error) {
	return get[ops.Overview](ctx, c, "overview", nil)
}

// shortly bounds methods without a context.
const shortly = 30 * time.Second

// Tree is that of ops.Desk. It waits for up to 30 s.
func (c *Client) Tree() (runtime.Description, error) {
	ctx, cancel := context.WithTimeout(context.Background(), shortly)
	defer cancel()
	return get[runtime.Description](ctx, c, "tree", nil)
}

// SubscriberQuery selects subscribers.
type SubscriberQuery struct {
	Filter      string // that topic, name or groups contain
	Topic, Name string // whole
	Group       string // the way to a group of the tree, such as /root/shop
	State       string
	Sort        string // tree, trouble, depth, age, restarts, failures or dead; empty is tree
	Offset      int
	Limit       int // up to 1000, 0 is 50
}

// Subscribers is a page of them, Subscriber one.
type (
	Subscribers = wire.Subscribers
	Subscriber  = wire.Subscriber
)

// Subscribers returns a page of subscribers, where Tree returns all.
func (c *Client) Subscribers(ctx context.Context, q SubscriberQuery) (Subscribers, error) {
	return get[wire.Subscribers](ctx, c, "subscribers", url.Values(values{}.text("filter", q.Filter).text("topic", q.Topic).
		text("name", q.Name).text("group", q.Group).text("state", q.State).text("sort", q.Sort).number("offset", q.Offset).number("limit", q.Limit)))
}

// Health is how the groups of the tree stand.
type Health = wire.Health

// Health sums up the groups of the tree.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return get[wire.Health](ctx, c, "health", nil)
}

// Topics is a page of topics.
type Topics = wire.Topics

// Topics returns a page of topics whose names contain filter.
func (c *Client) Topics(ctx context.Context, filter string, offset, limit int) (Topics, error) {
	return get[wire.Topics](ctx, c, "topics", url.Values(values{}.text("filter", filter).number("offset", offset).number("limit", limit)))
}

// Series is how the runtime did in the last hour.
type Series = wire.Series

// Series returns throughput, failures and depth of the last hour.
func (c *Client) Series(ctx context.Context) (Series, error) {
	return get[wire.Series](ctx, c, "series", nil)
}

// selection is what a deadletter.Query selects beside the text of a query, which
// the API does not have apart.
func selection(query string, q deadletter.Query) string {
	add := func(field, value string) {
		if value != "" {
			query += " " + field + ":" + strconv.Quote(value)
		}
	}
	add("topic", q.Topic)
	add("sub", q.Subscriber)
	add("reason", q.Reason)
	add("group", q.Fingerprint)
	add("state", string(q.State))
	return query
}

// Groups is that of ops.Desk.
func (c *Client) Groups(ctx context.Context, query string, q deadletter.GroupQuery) (deadletter.GroupPage, error) {
	page, err := get[wire.GroupPage](ctx, c, "groups", url.Values(values{}.text("query", selection(query, q.Letters)).text("state", string(q.State)).
		number("spark", q.Spark).time("since", q.SparkSince).text("after", q.After).number("limit", q.Limit)))
	return page.GroupPage, err
}

// Group is that of ops.Desk.
func (c *Client) Group(ctx context.Context, fingerprint string) (deadletter.Group, error) {
	return get[deadletter.Group](ctx, c, "group", url.Values(values{}.text("fingerprint", fingerprint)))
}

// Letters is that of ops.Desk. A page larger than the console sends has fewer letters
// than limit.
func (c *Client) Letters(ctx context.Context, query, after string, limit int) (deadletter.Page, error) {
	page, err := get[wire.LetterPage](ctx, c, "letters", url.Values(values{}.text("query", query).text("after", after).number("limit", limit)))
	return page.Page, err
}

// QuickLetters is that of ops.Desk.
func (c *Client) QuickLetters(ctx context.Context, query, after string, limit int, within time.Duration) (deadletter.Page, error) {
	page, err := get[wire.LetterPage](ctx, c, "letters", url.Values(values{}.text("query", query).text("after", after).number("limit", limit).text("quick", "true").
		number("within", int(min(within.Milliseconds(), 1000)))))
	return page.Page, err
}

// Letter is that of ops.Desk.
func (c *Client) Letter(ctx context.Context, id string) (deadletter.Letter, error) {
	l, err := get[wire.Letter](ctx, c, "letter", url.Values(values{}.text("id", id)))
	return l.Letter, err
}

// Timeline is that of ops.Desk.
func (c *Client) Timeline(ctx context.Context, query string, from, until time.Time, spans int) ([]deadletter.Span, error) {
	t, err := get[wire.Timeline](ctx, c, "timeline", url.Values(values{}.text("query", query).time("from", from).time("until", until).number("spans", spans)))
	return t.Spans, err
}

// Operations is that of ops.Desk.
func (c *Client) Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error) {
	v := values{}.text("after", q.After).number("limit", q.Limit)
	for _, s := range q.States {
		v.text("state", string(s))
	}
	return get[deadletter.OperationPage](ctx, c, "operations", url.Values(v))
}

// Operation is that of ops.Desk.
func (c *Client) Operation(ctx context.Context, id string) (ops.Operation, error) {
	return get[ops.Operation](ctx, c, "operation", url.Values(values{}.text("id", id)))
}

// Items is that of ops.Desk.
func (c *Client) Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error) {
	v := values{}.text("operation", q.Operation).text("after", strconv.Itoa(q.After)).number("limit", q.Limit)
	for _, s := range q.States {
		v.text("state", string(s))
	}
	return get[deadletter.ItemPage](ctx, c, "items", url.Values(v))
}

// Audit is that of ops.Desk.
func (c *Client) Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error) {
	return get[deadletter.AuditPage](ctx, c, "audit", url.Values(values{}.text("by", q.By).text("action", q.Action).text("object", q.Object).
		time("from", q.From).time("until", q.Until).text("after", q.After).number("limit", q.Limit)))
}

// Verify is that of ops.Desk; an account that does not add up is an error.
func (c *Client) Verify(ctx context.Context) (deadletter.Account, error) {
	return get[deadletter.Account](ctx, c, "verify", nil)
}

// Complete is that of ops.Desk.
func (c *Client) Complete(ctx context.Context, query string, at int) ([]string, error) {
	w, err := get[wire.Completions](ctx, c, "complete", url.Values{"query": {query}, "at": {strconv.Itoa(at)}})
	return w.Completions, err
}

// Fixes returns the names of the fixes that are registered there, without what
// they do; nil if the console does not answer within 30 s.
func (c *Client) Fixes() []ops.Fix {
	ctx, cancel := context.WithTimeout(context.Background(), shortly)
	defer cancel()
	f, err := get[wire.Fixes](ctx, c, "fixes", nil)
	if err != nil {
		return nil
	}
	var fixes []ops.Fix
	for _, i := range f.Fixes {
		fixes = append(fixes, ops.Fix{Name: i.Name, About: i.About})
	}
	return fixes
}

// Diff says where payloads and headers of two letters differ.
func (c *Client) Diff(ctx context.Context, a, b string) ([]ops.DiffLine, error) {
	d, err := get[wire.Diff](ctx, c, "diff", url.Values(values{}.text("a", a).text("b", b)))
	return d.Diff, err
}

// GoTest is that of ops.Desk.
func (c *Client) GoTest(ctx context.Context, id string) (string, error) {
	t, err := get[wire.Text](ctx, c, "gotest", url.Values(values{}.text("id", id)))
	return t.Text, err
}
