package runtime

import (
	"errors"
	"fmt"
	"strings"
)

// The wildcards of a pattern, each of which is a whole part of it.
const (
	anyPart = "*" // any one part
	anyRest = ">" // one part or more, at the end
)

// IsPattern reports whether name has the form of a pattern of topics: some part of
// it is a wildcard.
func IsPattern(name string) bool { return strings.ContainsAny(name, anyPart+anyRest) }

// validPattern returns what is wrong with a pattern of topics.
func validPattern(pattern string) error {
	if !IsPattern(pattern) {
		return errors.New("has no wildcard: subscribe to the topic of that name")
	}
	parts := strings.Split(pattern, ".")
	plain := make([]string, len(parts))
	for i, part := range parts {
		switch {
		case part == anyRest && i < len(parts)-1:
			return errors.New(`must not go on behind ">", which stands for all that follows`)
		case part == anyPart || part == anyRest:
			plain[i] = "x"
		case IsPattern(part):
			return fmt.Errorf(`must not have a wildcard inside %q: "*" and ">" are whole parts between dots`, part)
		default:
			plain[i] = part
		}
	}
	return validName(strings.Join(plain, "."))
}

// trie is a set of names, or of patterns, part by part: what is looked for costs a
// step for each part and not a look at all others.
type trie[V any] struct {
	next  map[string]*trie[V]
	value []V
}

func (t *trie[V]) add(name string, v V) {
	for part := range strings.SplitSeq(name, ".") {
		if t.next == nil {
			t.next = map[string]*trie[V]{}
		}
		n := t.next[part]
		if n == nil {
			n = &trie[V]{}
			t.next[part] = n
		}
		t = n
	}
	t.value = append(t.value, v)
}

// remove takes out the values under name that gone reports, and the branches that
// are empty then.
func (t *trie[V]) remove(name string, gone func(V) bool) {
	t.cut(strings.Split(name, "."), gone)
}

func (t *trie[V]) cut(parts []string, gone func(V) bool) {
	if len(parts) == 0 {
		var left []V
		for _, v := range t.value {
			if !gone(v) {
				left = append(left, v)
			}
		}
		t.value = left
		return
	}
	if n := t.next[parts[0]]; n != nil {
		n.cut(parts[1:], gone)
		if len(n.value) == 0 && len(n.next) == 0 {
			delete(t.next, parts[0])
		}
	}
}

// matching calls yield with the values of the patterns, of which t is made, that
// name matches.
func (t *trie[V]) matching(name string, yield func(V)) { t.match(strings.Split(name, "."), yield) }

func (t *trie[V]) match(parts []string, yield func(V)) {
	if len(parts) == 0 {
		each(t.value, yield)
		return
	}
	if n := t.next[anyRest]; n != nil {
		each(n.value, yield)
	}
	for _, part := range []string{parts[0], anyPart} {
		if n := t.next[part]; n != nil {
			n.match(parts[1:], yield)
		}
	}
}

// matched calls yield with the values of the names, of which t is made, that match
// the pattern.
func (t *trie[V]) matched(pattern string, yield func(V)) {
	t.look(strings.Split(pattern, "."), yield)
}

func (t *trie[V]) look(parts []string, yield func(V)) {
	switch {
	case len(parts) == 0:
		each(t.value, yield)
	case parts[0] == anyRest:
		for _, n := range t.next {
			n.all(yield)
		}
	case parts[0] == anyPart:
		for _, n := range t.next {
			n.look(parts[1:], yield)
		}
	default:
		if n := t.next[parts[0]]; n != nil {
			n.look(parts[1:], yield)
		}
	}
}

func (t *trie[V]) all(yield func(V)) {
	each(t.value, yield)
	for _, n := range t.next {
		n.all(yield)
	}
}

func each[V any](vs []V, yield func(V)) {
	for _, v := range vs {
		yield(v)
	}
}
