package topics

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/troupe-go/troupe/mailbox"
)

// Filter says which events a subscription wants; see [Where], [Header], [And], [Or]
// and [Not]. The zero value wants all.
//
// What it does not want is counted ([actors.Counts].Filtered) and never reaches the
// handler. It takes no room in the mailbox and wakes nobody. A filter is called by
// the subscriber and by publishers that find it asleep, one call at a time, with
// the mailbox locked: it must be quick and must not publish. An event about which
// it panics is delivered, and the panic reported to Observer.Fault.
type Filter struct {
	kind  filterKind
	where any // of Where
	name  string
	value []string
	parts []Filter
	n     int // of EveryNth
}

type filterKind uint8

const (
	filterAll filterKind = iota
	filterWhere
	filterHeader
	filterAnd
	filterOr
	filterNot
	filterNth
)

// Where wants the events of which f reports true.
func Where[T any](f func(T) bool) Filter { return Filter{kind: filterWhere, where: f} }

// Header wants the events that have the header, with one of the values if any are
// given.
func Header(name string, values ...string) Filter {
	return Filter{kind: filterHeader, name: name, value: values}
}

// And wants what all of the filters want.
func And(filters ...Filter) Filter { return Filter{kind: filterAnd, parts: filters} }

// Or wants what at least one of the filters wants.
func Or(filters ...Filter) Filter { return Filter{kind: filterOr, parts: filters} }

// Not wants what f does not want.
func Not(f Filter) Filter { return Filter{kind: filterNot, parts: []Filter{f}} }

// compile returns f for events of type T, nil for one that wants all.
func compile[T any](f Filter) (func(T, *mailbox.Meta) bool, error) {
	switch f.kind {
	case filterAll:
		return nil, nil
	case filterNth:
		return nth[T](f.n)
	case filterWhere:
		where, ok := f.where.(func(T) bool)
		if !ok {
			return nil, fmt.Errorf("Where: %w: takes %v, the events are %v", ErrTypeMismatch, reflect.TypeOf(f.where).In(0), reflect.TypeFor[T]())
		}
		if where == nil {
			return nil, errors.New("Where: function must not be nil")
		}
		return func(ev T, _ *mailbox.Meta) bool { return where(ev) }, nil
	case filterHeader:
		if f.name == "" {
			return nil, errors.New("Header: name must not be empty")
		}
		return func(_ T, m *mailbox.Meta) bool {
			if m == nil {
				return false
			}
			v, ok := m.Headers[f.name]
			return ok && (len(f.value) == 0 || slices.Contains(f.value, v))
		}, nil
	}
	if len(f.parts) == 0 {
		return nil, errors.New("And, Or: need at least one filter")
	}
	var parts []func(T, *mailbox.Meta) bool
	for _, p := range f.parts {
		part, err := compile[T](p)
		if err != nil {
			return nil, err
		}
		if part == nil {
			part = func(T, *mailbox.Meta) bool { return true }
		}
		parts = append(parts, part)
	}
	switch f.kind {
	case filterNot:
		return func(ev T, m *mailbox.Meta) bool { return !parts[0](ev, m) }, nil
	case filterOr:
		return func(ev T, m *mailbox.Meta) bool {
			return slices.ContainsFunc(parts, func(p func(T, *mailbox.Meta) bool) bool { return p(ev, m) })
		}, nil
	}
	return func(ev T, m *mailbox.Meta) bool {
		return !slices.ContainsFunc(parts, func(p func(T, *mailbox.Meta) bool) bool { return !p(ev, m) })
	}, nil
}
