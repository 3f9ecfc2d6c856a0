package ops

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// overviewGroups is how many groups the overview names.
const overviewGroups = 10

// Overview is the first page: what fails, since when, how it stands.
type Overview struct {
	Name        string                  `json:"name"`
	Node        string                  `json:"node"`
	At          time.Time               `json:"at"`
	Account     deadletter.Account      `json:"account"`
	Letters     runtime.LettersSnapshot `json:"letters"` // the dead-letter actor
	Faults      []runtime.Fault         `json:"faults"`
	Groups      []deadletter.Group      `json:"groups"` // the ten with the latest failure that have open letters
	GroupsTotal int                     `json:"groups_total"`
	Running     []deadletter.Operation  `json:"running"`         // running, paused and stopped ones, newest first
	Fleet       []deadletter.Member     `json:"fleet,omitempty"` // the living members, if the ledger is that of a deadletter.Fleet
}

// Overview returns the first page. At a desk without a runtime it has no name, and
// nothing of what runs.
func (d *Desk) Overview(ctx context.Context) (Overview, error) {
	o := Overview{At: time.Now(), Faults: []runtime.Fault{}}
	if d.rt != nil {
		snap := d.rt.Snapshot()
		o.Name, o.Node, o.Letters = d.rt.Name(), d.rt.Node(), snap.Letters
		o.Faults = append(o.Faults, snap.Faults()...)
	}
	var err error
	if o.Account, err = d.ledger.Account(ctx); err != nil {
		return Overview{}, err
	}
	groups, err := d.ledger.Groups(ctx, deadletter.GroupQuery{Letters: deadletter.Query{State: deadletter.StateOpen}, Limit: overviewGroups})
	if err != nil {
		return Overview{}, err
	}
	o.Groups, o.GroupsTotal = groups.Groups, groups.Total
	running, err := d.ledger.Operations(ctx, deadletter.OperationQuery{States: unfinished, Limit: deadletter.DefaultLimit})
	if err != nil {
		return Overview{}, err
	}
	o.Running = running.Operations
	if fleet, ok := d.ledger.(deadletter.Fleet); ok {
		o.Fleet, err = fleet.Members(ctx)
	}
	return o, err
}

// Tree returns the supervision tree. It returns [ErrReadOnly] at a desk without a
// runtime, which has none.
func (d *Desk) Tree() (runtime.Description, error) {
	if d.rt == nil {
		return runtime.Description{}, ErrReadOnly
	}
	return d.rt.Describe(), nil
}

// Groups returns a page of the groups that have letters which the query selects. What
// q.Letters selects beside holds as well.
func (d *Desk) Groups(ctx context.Context, query string, q deadletter.GroupQuery) (deadletter.GroupPage, error) {
	var err error
	if q.Letters.Where, err = parse(query); err != nil {
		return deadletter.GroupPage{}, err
	}
	return d.ledger.Groups(ctx, q)
}

// Group returns the group, or deadletter.ErrNotFound.
func (d *Desk) Group(ctx context.Context, fingerprint string) (deadletter.Group, error) {
	return d.ledger.Group(ctx, fingerprint)
}

// Letters returns a page of the letters that the query selects, newest first. after is
// the Next of the page before, and empty for the first; limit 0 is
// deadletter.DefaultLimit.
func (d *Desk) Letters(ctx context.Context, query, after string, limit int) (deadletter.Page, error) {
	return d.list(ctx, deadletter.Query{After: after, Limit: limit}, query)
}

// QuickLetters is Letters without a wait. If the total takes longer than the page,
// Page.Partial is set, and Count tells it. If the letters are rare, the page ends after
// about within, 0 for deadletter.DefaultWithin, with what has been found: Page.Searched
// says how far it has come, and Page.Next goes on.
func (d *Desk) QuickLetters(ctx context.Context, query, after string, limit int, within time.Duration) (deadletter.Page, error) {
	return d.list(ctx, deadletter.Query{After: after, Limit: limit, Quick: true, Within: within}, query)
}

func (d *Desk) list(ctx context.Context, q deadletter.Query, query string) (_ deadletter.Page, err error) {
	if q.Where, err = parse(query); err != nil {
		return deadletter.Page{}, err
	}
	return d.ledger.List(ctx, q)
}

// Letter returns the letter, or deadletter.ErrNotFound.
func (d *Desk) Letter(ctx context.Context, id string) (deadletter.Letter, error) {
	return d.ledger.Get(ctx, id)
}

// Timeline counts, in equal spans of time, the failures and resolutions of the letters
// that the query selects.
func (d *Desk) Timeline(ctx context.Context, query string, from, until time.Time, spans int) ([]deadletter.Span, error) {
	where, err := parse(query)
	if err != nil {
		return nil, err
	}
	return d.ledger.Timeline(ctx, deadletter.Query{Where: where}, from, until, spans)
}

// Verify returns the account, and an error that says what does not add up.
func (d *Desk) Verify(ctx context.Context) (deadletter.Account, error) {
	a, err := d.ledger.Account(ctx)
	if err != nil {
		return a, err
	}
	return a, a.Check()
}

// Items returns a page of an operation's items.
func (d *Desk) Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error) {
	return d.ledger.Items(ctx, q)
}

// Operations returns a page of operations, newest first.
func (d *Desk) Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error) {
	return d.ledger.Operations(ctx, q)
}
