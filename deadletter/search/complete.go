package search

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Completion is what may be typed at a place of a query.
type Completion struct {
	// From and To bound the bytes that a suggestion takes the place of.
	From, To int `json:"-"`
	// Field is the field whose value stands there, empty where a field may stand;
	// Path is its path. The values that letters have are known elsewhere.
	Field string   `json:"field,omitempty"`
	Path  []string `json:"path,omitempty"`
	// Typed is what stands between From and the cursor, without quotes.
	Typed       string       `json:"typed"`
	Suggestions []Suggestion `json:"suggestions"`
}

// Suggestion is a text and what it is for.
type Suggestion struct {
	Text  string `json:"text"`
	About string `json:"about,omitempty"`
}

// Complete suggests what may stand in a query where the cursor is, in bytes from 0:
// fields and keywords, and the values of fields that have few. The text need not be
// a query yet.
func Complete(text string, at int) Completion {
	at = max(0, min(at, len(text)))
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	begin, closed := tokenAt(text, at)
	p := parser{text: text, at: begin}
	first := strings.TrimLeft(text[:begin], " \t\r\n(") == ""
	for p.at < at && text[p.at] == '-' {
		p.at++
	}
	token := parser{text: text[:at], at: p.at}
	var t Term
	f, err := token.field(&t)
	if name, rest, found := strings.Cut(text[p.at:at], ":"); err != nil && found && strings.EqualFold(name, "has") {
		f, _ = lookup("has")
		token.at = at - len(rest)
		err = nil
	}
	switch {
	case err != nil || closed:
		return Completion{From: at, To: at, Suggestions: []Suggestion{}}
	case f != &freeText:
		if f.Kind != Presence {
			token.order(&t, f)
		}
		c := Completion{From: token.at, To: endOfToken(text, at), Field: f.Name, Path: t.Path}
		c.Typed = strings.NewReplacer(`\"`, `"`, `"`, "", `\\`, `\`).Replace(text[token.at:at])
		c.Suggestions = suggestValues(f, c.Typed)
		return c
	}
	c := Completion{From: p.at, To: endOfToken(text, at), Typed: text[p.at:at]}
	c.Suggestions = suggestFields(c.Typed)
	for _, k := range []Suggestion{{"or", "either side"}, {"not", "must not hold, as does -"}} {
		if strings.HasPrefix(k.Text, strings.ToLower(c.Typed)) && !(first && k.Text == "or") && p.at == begin {
			c.Suggestions = append(c.Suggestions, k)
		}
	}
	return c
}

// tokenAt returns where the token begins that ends at the cursor, and whether the
// cursor is behind a closing quote, where nothing can be added.
func tokenAt(text string, at int) (begin int, closed bool) {
	quoted := false
	for i := 0; i < at; i++ {
		c := text[i]
		closed = false
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			closed = !quoted
		case !quoted && (isBlank(c) || c == '(' || c == ')'):
			begin = i + 1
		}
	}
	return min(begin, at), closed
}

func endOfToken(text string, at int) int {
	p := parser{text: text, at: at}
	return at + len(p.word())
}

func suggestFields(typed string) []Suggestion {
	typed = strings.ToLower(typed)
	all := []Suggestion{}
	for i := range fields {
		f := &fields[i]
		if !slices.ContainsFunc(append([]string{f.Name}, f.Aliases...), func(n string) bool { return strings.HasPrefix(n, typed) }) {
			continue
		}
		if f.Path != "must" {
			all = append(all, Suggestion{f.Name + ":", f.About})
		}
		if f.Path != "" {
			all = append(all, Suggestion{f.Name + ".", f.About})
		}
	}
	if len(all) == 0 && typed != "" {
		if f, ok := lookup(suggestField(typed)); ok && f != &freeText {
			all = append(all, Suggestion{f.Name + ":", f.About})
		}
	}
	return all
}

func suggestValues(f *Field, typed string) []Suggestion {
	all := []Suggestion{}
	add := func(text, about string) {
		if strings.HasPrefix(text, strings.ToLower(typed)) {
			all = append(all, Suggestion{text, about})
		}
	}
	switch f.Kind {
	case State:
		for _, s := range States {
			add(s, "")
		}
	case Flag:
		add("yes", "")
		add("no", "")
	case Presence:
		for i := range fields {
			if g := &fields[i]; g.Kind != Presence {
				name := g.Name
				if g.Path == "must" {
					name += "."
				}
				add(name, g.About)
			}
		}
	case Integer, Time, Duration:
		if typed == "" {
			for _, v := range valueForms(f) {
				add(v, "")
			}
		}
	}
	return all
}
