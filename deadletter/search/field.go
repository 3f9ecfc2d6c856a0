package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind says what the values of a field are, and so what can be asked of it.
type Kind int

// The kinds of fields.
const (
	// Name is matched as a whole, in its case, or by a pattern.
	Name Kind = iota
	// Text is searched for what is in it, in any case.
	Text
	// Integer is a whole number.
	Integer
	// Time is a time, or the time that a day or a minute takes.
	Time
	// Duration is how long ago something was.
	Duration
	// State is one of States, or a pattern that some of them fit.
	State
	// Flag is yes or no.
	Flag
	// Presence is the name of another field.
	Presence
)

var kindNames = [...]string{"name", "text", "number", "time", "duration", "state", "yes or no", "field"}

// String returns the kind in a word.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindNames[k]
}

// Field describes what can stand before a colon.
type Field struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
	Kind    Kind     `json:"-"`
	// Path says whether a path may follow the name: "", "may" or "must".
	Path string `json:"path,omitempty"`
	// About says in a line what the values are, Example is a term.
	About   string `json:"about"`
	Example string `json:"example"`
}

// States are the states of letters.
var States = []string{"open", "redriving", "resolved", "archived", "deleted"}

var fields = []Field{
	{Name: "topic", Kind: Name, About: "the topic of the event", Example: "topic:orders.*"},
	{Name: "sub", Aliases: []string{"subscriber"}, Kind: Name, About: "the subscriber that failed", Example: "sub:billing"},
	{Name: "pattern", Kind: Name, About: "what the subscriber is subscribed to, if not to the topic itself", Example: "pattern:orders.*"},
	{Name: "state", Kind: State, About: "what is left to do: " + strings.Join(States, ", "), Example: "state:open"},
	{Name: "reason", Kind: Name, About: "why the runtime gave up", Example: "reason:attempts_exhausted"},
	{Name: "cause", Kind: Name, About: "what the last attempt ended with", Example: "cause:panic"},
	{Name: "err", Aliases: []string{"error"}, Kind: Text, About: "the last attempt's error", Example: `err:"connection refused"`},
	{Name: "type", Aliases: []string{"error_type"}, Kind: Name, About: "a Go type in the chain of errors", Example: "type:*fs.PathError"},
	{Name: "panic", Kind: Text, About: "the value of the panic", Example: `panic:"index out of range"`},
	{Name: "stack", Kind: Text, About: "the stack of the panic", Example: "stack:main.bill"},
	{Name: "group", Aliases: []string{"fingerprint"}, Kind: Name, About: "the fingerprint of the group", Example: "group:0123456789abcdef"},
	{Name: "payload", Kind: Text, Path: "may", About: "the event as it is encoded; with a path, a value in its JSON", Example: "payload.order.id:123"},
	{Name: "header", Kind: Name, Path: "must", About: "a header, whose name may be in any case", Example: "header.tenant:acme"},
	{Name: "content", Aliases: []string{"content_type"}, Kind: Name, About: "the encoding of the payload", Example: "content:application/json*"},
	{Name: "gotype", Aliases: []string{"go_type"}, Kind: Name, About: "the Go type of the event", Example: "gotype:shop.*"},
	{Name: "size", Kind: Integer, About: "the bytes of the payload", Example: "size:>100000"},
	{Name: "age", Kind: Duration, About: "the time since the first failure", Example: "age:>1h"},
	{Name: "failed", Aliases: []string{"last_failed"}, Kind: Time, About: "when it failed last", Example: "failed:>now-15m"},
	{Name: "first", Aliases: []string{"first_failed"}, Kind: Time, About: "when it failed first", Example: "first:<2026-11-20"},
	{Name: "published", Kind: Time, About: "when the event was published", Example: "published:yesterday"},
	{Name: "resolved", Kind: Time, About: "when it was resolved", Example: "resolved:today"},
	{Name: "attempts", Kind: Integer, About: "how many attempts were made", Example: "attempts:>=5"},
	{Name: "redrives", Kind: Integer, About: "how often it was redriven", Example: "redrives:>0"},
	{Name: "snoozed", Kind: Flag, About: "whether it is open and snoozed", Example: "snoozed:no"},
	{Name: "closed", Kind: Name, About: "as what it was closed: redriven, edited, fixed, by_hand, archived, deleted", Example: "closed:edited"},
	{Name: "op", Aliases: []string{"operation"}, Kind: Name, About: "an operation that redrove or closed it", Example: "op:01JD3X*"},
	{Name: "id", Kind: Name, About: "the letter's ID", Example: "id:01JD3X*"},
	{Name: "seq", Aliases: []string{"sequence"}, Kind: Integer, About: "the event's number in its topic", Example: "seq:1042"},
	{Name: "event", Aliases: []string{"event_id"}, Kind: Name, About: "the event's ID", Example: "event:01JD3X*"},
	{Name: "causation", Aliases: []string{"causation_id"}, Kind: Name, About: "the event that led to it", Example: "causation:01JD3X*"},
	{Name: "corr", Aliases: []string{"correlation", "correlation_id"}, Kind: Name, About: "the piece of work that it belongs to", Example: "corr:01JD3X*"},
	{Name: "node", Kind: Name, About: "the process or host where it failed", Example: "node:web-*"},
	{Name: "build", Kind: Name, About: "the version of the program in which it failed", Example: "build:v1.4.*"},
	{Name: "imported", Kind: Name, About: "where it was imported from", Example: "imported:*.jsonl"},
	{Name: "has", Kind: Presence, About: "another field that is there and not empty", Example: "has:stack"},
}

// freeText stands for the terms without a field.
var freeText = Field{Kind: Text, About: "free text, over the error and the payload"}

var byName = func() map[string]*Field {
	m := map[string]*Field{"": &freeText}
	for i := range fields {
		f := &fields[i]
		for _, n := range append([]string{f.Name}, f.Aliases...) {
			if m[n] != nil {
				panic("search: two fields named " + n)
			}
			m[n] = f
		}
	}
	return m
}()

// Fields describes the fields, in the order in which a help text shows them.
func Fields() []Field {
	all := slices.Clone(fields)
	for i := range all {
		all[i].Aliases = slices.Clone(all[i].Aliases)
	}
	return all
}

// lookup finds a field by its name, its alias, or "" for free text.
func lookup(name string) (*Field, bool) {
	f, ok := byName[strings.ToLower(name)]
	return f, ok
}

// maxPath bounds the steps into a payload.
const maxPath = 32

func (f *Field) allowsPath(path []string) error {
	switch {
	case f.Path == "must" && len(path) == 0:
		return fmt.Errorf("%s needs a name: write %s", f.Name, f.Example)
	case f.Path == "" && len(path) > 0:
		return fmt.Errorf("%s has no parts: write %s", f.Name, f.Example)
	case f.Name == "header" && len(path) > 1:
		return errors.New("a header has one name")
	case len(path) > maxPath:
		return fmt.Errorf("a path of more than %d steps", maxPath)
	}
	return nil
}
