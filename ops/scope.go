package ops

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// Scope selects letters: exactly one of the three. A group stands for those of its
// letters that the change is for: open ones to be redriven, resolved or snoozed;
// archived and deleted ones to be restored; all that are not deleted for the others.
type Scope struct {
	IDs   []string `json:"ids,omitempty"`
	Group string   `json:"group,omitempty"`
	Query string   `json:"query,omitempty"` // "*" is all that are not deleted
}

// all is the query for everything.
const all = "*"

// parse reads a query. An empty one selects all.
func parse(text string) (search.Expr, error) {
	if t := strings.TrimSpace(text); t == "" || t == all {
		return search.Expr{}, nil
	}
	e, err := search.Parse(text)
	if err != nil {
		return e, fmt.Errorf("%w: query: %w", ErrInvalid, err)
	}
	return e, nil
}

func (s Scope) validate() error {
	n := 0
	if s.IDs != nil {
		n++
	}
	if s.Group != "" {
		n++
	}
	if s.Query != "" {
		n++
	}
	switch {
	case n != 1:
		return invalid("Scope: set exactly one of IDs, Group and Query; a Query of * is all letters")
	case s.IDs != nil && len(s.IDs) == 0:
		return invalid("Scope.IDs: name a letter at least")
	case slices.Contains(s.IDs, ""):
		return invalid(`Scope.IDs: contains "", which is no letter`)
	}
	return nil
}

// text says for people how the letters were chosen.
func (s Scope) text() string {
	switch {
	case s.Group != "":
		return "group:" + s.Group
	case s.Query != "":
		return s.Query
	case len(s.IDs) == 1:
		return "id:" + s.IDs[0]
	}
	return fmt.Sprintf("%d letters by id", len(s.IDs))
}

// queries returns the queries that together select the letters of a group or a query,
// each letter once.
func (s Scope) queries(kind string) ([]deadletter.Query, error) {
	if s.Query != "" {
		e, err := parse(s.Query)
		return []deadletter.Query{{Where: e}}, err
	}
	q := deadletter.Query{Fingerprint: s.Group}
	switch kind {
	case kindRedrive, ChangeResolve, ChangeSnooze:
		q.State = deadletter.StateOpen
	case ChangeRestore:
		q.State = deadletter.StateArchived
		deleted := q
		deleted.State = deadletter.StateDeleted
		return []deadletter.Query{q, deleted}, nil
	}
	return []deadletter.Query{q}, nil
}

// ids returns the letters of the scope, oldest first, each once.
func (d *Desk) ids(ctx context.Context, s Scope, kind string) ([]string, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	var ids []string
	if s.IDs != nil {
		ids = slices.Clone(s.IDs)
	} else {
		queries, err := s.queries(kind)
		if err != nil {
			return nil, err
		}
		for _, q := range queries {
			some, err := d.ledger.IDs(ctx, q)
			if err != nil {
				return nil, err
			}
			ids = append(ids, some...)
		}
		if len(queries) == 1 {
			return ids, nil
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// each yields the letters of the scope, in no particular order. A letter by ID that is
// not there is a letter without anything but its ID.
func (d *Desk) each(ctx context.Context, s Scope, kind string) iter.Seq2[deadletter.Letter, error] {
	return func(yield func(deadletter.Letter, error) bool) {
		if err := s.validate(); err != nil {
			yield(deadletter.Letter{}, err)
			return
		}
		if s.IDs != nil {
			ids := slices.Clone(s.IDs)
			slices.Sort(ids)
			for _, id := range slices.Compact(ids) {
				l, err := d.ledger.Get(ctx, id)
				if errors.Is(err, deadletter.ErrNotFound) {
					l, err = deadletter.Letter{ID: id}, nil
				}
				if !yield(l, err) || err != nil {
					return
				}
			}
			return
		}
		queries, err := s.queries(kind)
		if err != nil {
			yield(deadletter.Letter{}, err)
			return
		}
		for _, q := range queries {
			q.Limit = deadletter.MaxLimit
			for l, err := range deadletter.All(ctx, d.ledger, q) {
				if !yield(l, err) || err != nil {
					return
				}
			}
		}
	}
}

// Count returns how many letters the scope selects at this moment.
func (d *Desk) Count(ctx context.Context, s Scope) (int, error) {
	if err := s.validate(); err != nil {
		return 0, err
	}
	if s.IDs != nil {
		ids, err := d.ids(ctx, s, "")
		return len(ids), err
	}
	queries, err := s.queries("")
	if err != nil {
		return 0, err
	}
	n := 0
	for _, q := range queries {
		q.Limit = 1
		page, err := d.ledger.List(ctx, q)
		if err != nil {
			return 0, err
		}
		n += page.Total
	}
	return n, nil
}
