package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/ops"
)

// call is one request to the API.
type call struct {
	*Console
	w     http.ResponseWriter
	r     *http.Request
	route *route
	query url.Values
	asked map[Action]error // what Authorize has said in this request
	fault error            // the first parameter that cannot be used
}

// may returns nil if the caller may do that of this call.
func (c *call) may(right Right, topic string) error {
	a := Action{Right: right, Name: c.route.name(), Topic: topic}
	if err, ok := c.asked[a]; ok {
		return err
	}
	err := c.authorize(c.r, a)
	c.asked[a] = err
	return err
}

// sees reports whether payloads of that topic may be shown.
func (c *call) sees(topic string) bool { return c.may(Payload, topic) == nil }

func (c *Console) authorize(r *http.Request, a Action) error {
	if c.cfg.Authorize == nil {
		if a.Right == Metadata || a.Right == Payload {
			return nil
		}
		return &fault{
			status: http.StatusForbidden, code: "read_only", message: errReadOnly.Error(),
			fix: "set console.Config.Authorize",
		}
	}
	err := c.cfg.Authorize(r, a)
	if err == nil {
		return nil
	}
	of := ""
	if a.Topic != "" {
		of = " of topic " + quote(a.Topic)
		if a.Topic == AllTopics {
			of = " of all topics"
		}
	}
	return &fault{
		status: http.StatusForbidden, code: "forbidden", field: a.Topic,
		message: fmt.Sprintf("console: %s%s needs the right %q: %v", a.Name, of, a.Right, err),
		fix:     "ask who runs this console for the right",
	}
}

// by says who does it.
func (c *call) by(claimed ops.By) (ops.By, error) {
	claimed.Why = strings.TrimSpace(claimed.Why)
	if c.cfg.User != nil {
		claimed.Name = c.cfg.User(c.r)
		if claimed.Name == "" {
			return claimed, &fault{
				status: http.StatusUnauthorized, code: "unknown_user", message: "console: it is not known who you are, and what is done here is recorded",
				fix: "sign in",
			}
		}
		return claimed, nil
	}
	if claimed.Name = strings.TrimSpace(claimed.Name); claimed.Name == "" {
		claimed.Name = "somebody"
	}
	if len(claimed.Name) > 100 {
		return claimed, bad("by.name", "console: by.name has more than 100 bytes", "send a shorter name")
	}
	claimed.Name += " (unverified)"
	return claimed, nil
}

// text, number and so on read parameters. The first fault is kept.
func (c *call) text(name string) string { return c.query.Get(name) }

func (c *call) need(name string) string {
	v := c.query.Get(name)
	if v == "" {
		c.wrong(name, "is missing", "add ?"+name+"=")
	}
	return v
}

func (c *call) number(name string, zero int) int {
	v := c.query.Get(name)
	if v == "" {
		return zero
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		c.wrong(name, quote(v)+" is not a number", "send a whole number")
	}
	return n
}

func (c *call) between(name string, zero, least, most int) int {
	n := c.number(name, zero)
	if n < least || n > most {
		c.wrong(name, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("send %d to %d", least, most))
	}
	return n
}

func (c *call) flag(name string) bool {
	switch v := c.query.Get(name); v {
	case "", "false":
		return false
	case "true":
		return true
	default:
		c.wrong(name, quote(v)+" is neither true nor false", "send true or false")
		return false
	}
}

func (c *call) time(name string) time.Time {
	v := c.query.Get(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		c.wrong(name, quote(v)+" is not a time", "send one like 2026-01-02T15:04:05Z")
	}
	return t
}

func (c *call) wrong(name, what, fix string) {
	if c.fault == nil {
		c.fault = bad(name, "console: "+name+" "+what, fix)
	}
}

// scope reads a scope from id (any number), group and query.
func (c *call) scope() ops.Scope {
	return ops.Scope{IDs: c.query["id"], Group: c.text("group"), Query: c.text("query")}
}

// checkQuery refuses parameters that the route does not have: a misspelled filter
// would select everything.
func (c *call) checkQuery() error {
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return bad("", "console: the query string cannot be read: "+err.Error(), "escape its values")
	}
	for name, values := range c.query {
		p, ok := c.route.param(name)
		if !ok {
			return bad(name, "console: "+c.route.path+" has no parameter "+quote(name), "use "+c.route.paramNames())
		}
		if len(values) > 1 && !p.many {
			return bad(name, "console: "+name+" is there more than once", "send it once")
		}
	}
	return nil
}

// body reads the JSON body.
func body[T any](c *call) (T, error) {
	var v T
	if err := checkType(c.r, "application/json"); err != nil {
		return v, err
	}
	dec := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, c.cfg.MaxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, bodyFault(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return v, bad("", "console: there is something behind the JSON object of the body", "send one JSON object")
	}
	return v, nil
}

// answer writes v as JSON.
func (c *call) answer(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("console: %s: %w", c.route.path, err)
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(append(data, '\n')) // the reader is gone, which is its own affair
	return nil
}
