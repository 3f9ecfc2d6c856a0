package deadlettertest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
)

// ledger is the simplest ledger there is, with a bug of one's choice: whatever it is
// asked, it finds out from the list of all versions of all letters.
type ledger struct {
	*plain

	// All guarded by plain's mu.
	versions []deadletter.Letter
	gone     map[string]bool
	added    int64
	deleted  int64
	records  map[string]deadletter.GroupRecord
	ops      map[string]*plainOperation
	audit    []deadletter.AuditEntry
}

type plainOperation struct {
	deadletter.Operation
	items []deadletter.Item
}

func newLedger(bug string) *ledger {
	s := &ledger{gone: map[string]bool{}, records: map[string]deadletter.GroupRecord{}, ops: map[string]*plainOperation{}}
	s.plain = &plain{bug: bug, changed: func(l deadletter.Letter, is string) {
		switch is {
		case "added":
			s.added++
			delete(s.gone, l.ID)
		case "deleted":
			s.deleted++
			s.gone[l.ID] = true
			return
		}
		s.versions = append(s.versions, l.Clone())
	}}
	return s
}

// enter begins a call that Store does not have.
func (s *ledger) enter(ctx context.Context) (leave func(), err error) {
	if err := s.begin(ctx, "the ledger ignores ctx"); err != nil {
		if !errors.Is(err, deadletter.ErrClosed) || !s.has("the ledger works after Close") {
			return nil, err
		}
		s.mu.Lock()
	}
	return s.mu.Unlock, nil
}

// purge lets go of tombstones.
func (s *ledger) purge() {
	if s.has("tombstones stay") {
		return
	}
	s.letters = slices.DeleteFunc(s.letters, func(l deadletter.Letter) bool {
		if l.State != deadletter.StateDeleted || l.Closed == nil || l.Closed.PurgeAt.IsZero() || l.Closed.PurgeAt.After(time.Now()) {
			return false
		}
		s.gone[l.ID] = true
		s.deleted++
		return true
	})
}

func (s *ledger) Get(ctx context.Context, id string) (deadletter.Letter, error) {
	s.mu.Lock()
	s.purge()
	s.mu.Unlock()
	return s.plain.Get(ctx, id)
}

func (s *ledger) Change(ctx context.Context, ids []string, fn func(*deadletter.Letter) error) ([]error, error) {
	results := make([]error, len(ids))
	all := func(from int, err error) ([]error, error) {
		for i := from; i < len(ids) && !s.has("Change does not say what it did not reach"); i++ {
			results[i] = err
		}
		return results, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return all(0, err)
	}
	locked := true
	defer func() {
		if locked {
			leave()
		}
	}()
	if s.has("Change goes by ID") {
		ids = slices.Sorted(slices.Values(ids))
	}
	first := map[string]int{}
	for from := 0; from < len(ids); from += 100 {
		if err := ctx.Err(); err != nil {
			return all(from, err)
		}
		if s.has("Change forgets the last step") && from > 0 && from+100 >= len(ids) {
			break
		}
		made := map[int]deadletter.Letter{}
		for i := from; i < min(from+100, len(ids)); i++ {
			id := ids[i]
			if j, again := first[id]; again && !s.has("Change calls again for an id that comes again") {
				results[i] = results[j]
				continue
			}
			first[id] = i
			at := s.find(id)
			if at < 0 {
				results[i] = deadletter.ErrNotFound
				continue
			}
			l := s.letters[at].Clone()
			if s.has("Change writes before a panic") || s.has("Change shares the letter") {
				l = s.letters[at]
			}
			if s.has("Change calls fn twice") {
				tmp := l.Clone()
				_ = fn(&tmp)
			}
			switch s.bug {
			case "Change does not hold the lock":
				leave()
				func() {
					defer func() { leave, _ = s.enter(context.Background()) }()
					err = fn(&l)
				}()
			case "Change keeps the lock at a panic":
				locked = false
				err = fn(&l)
				locked = true
			default:
				err = fn(&l)
			}
			if err == nil || s.has("Change takes what fn refuses") {
				if verr := l.Validate(); verr != nil || l.ID != id {
					if verr == nil {
						verr = deadletter.ErrInvalidLetter
					}
					if !s.has("Change takes another ID") || l.ID == id {
						err = &deadletter.LetterError{Index: i, ID: id, Err: verr}
					}
				}
			}
			results[i] = err
			switch {
			case err == nil:
				made[at] = s.in(l)
				if s.has("Change keeps what fn made") {
					made[at] = l
				}
			case s.has("Change stops at the first error"):
				return results, err
			case s.has("Change hides fn's errors"):
				results[i] = errors.New("no")
			}
			if s.has("Change writes before a panic") {
				s.letters[at] = l
			}
		}
		for at, l := range made {
			s.letters[at] = l
			s.versions = append(s.versions, l.Clone())
		}
	}
	return results, nil
}

func (s *ledger) selected(q deadletter.Query) (found []deadletter.Letter) {
	for _, l := range s.letters {
		if s.matches(q, &l) {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b deadletter.Letter) int { return strings.Compare(a.ID, b.ID) })
	return found
}

func (s *ledger) IDs(ctx context.Context, q deadletter.Query) ([]string, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	after := q.After
	q.After, q.Limit = "", 0
	if err := q.Validate(); err != nil {
		return nil, err
	}
	var ids []string
	for _, l := range s.selected(q) {
		if after == "" || !s.has("IDs looks behind After") || l.ID < after {
			ids = append(ids, l.ID)
		}
	}
	switch s.bug {
	case "IDs are newest first":
		slices.Reverse(ids)
	case "IDs are a page":
		ids = ids[:min(len(ids), deadletter.MaxLimit)]
	}
	return ids, nil
}

// groups is what the suite expects, with bugs.
func (s *ledger) groups(q deadletter.GroupQuery) []deadletter.Group {
	now := q.Letters.Now
	if s.has("Groups ignores the query") {
		q.Letters = deadletter.Query{Now: now}
	}
	state := q.State
	q.State = ""
	versions := s.versions
	if s.has("Groups counts what is selected") {
		versions = slices.DeleteFunc(slices.Clone(versions), func(l deadletter.Letter) bool { return !q.Letters.Matches(&l) })
	}
	groups := deadlettertest.GroupsOf(versions, s.gone, q)
	for i := range groups {
		g := &groups[i]
		g.GroupRecord = s.records[g.Fingerprint]
		switch s.bug {
		case "Groups forgets snoozes":
			g.Snoozed = 0
		case "Groups samples the oldest", "a group never regresses", "Groups names all topics":
			for _, l := range s.letters {
				if l.Fingerprint == g.Fingerprint {
					if s.has("Groups samples the oldest") && l.ID < g.Sample {
						g.Sample = l.ID
					}
					if s.has("Groups names all topics") && !slices.Contains(g.Topics, l.Topic) {
						g.Topics = append(g.Topics, l.Topic)
					}
				}
			}
			if s.has("a group never regresses") {
				g.RedrivenAt = time.Time{}
			}
		case "Groups sees only letters that are there":
			g.FirstSeen = time.Time{}
			for _, l := range s.letters {
				if l.Fingerprint == g.Fingerprint && (g.FirstSeen.IsZero() || l.FirstFailedAt.Before(g.FirstSeen)) {
					g.FirstSeen = l.FirstFailedAt
				}
			}
		case "Spark is newest first":
			slices.Reverse(g.Spark)
		}
		g.State = g.StateOf()
	}
	return slices.DeleteFunc(groups, func(g deadletter.Group) bool { return state != "" && g.State != state })
}

func (s *ledger) Groups(ctx context.Context, q deadletter.GroupQuery) (deadletter.GroupPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return deadletter.GroupPage{}, err
	}
	defer leave()
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return deadletter.GroupPage{}, err
	}
	groups := s.groups(q)
	if s.has("Groups orders by fingerprint") {
		slices.SortFunc(groups, func(a, b deadletter.Group) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
	}
	p := deadletter.GroupPage{Total: len(groups)}
	from := 0
	fmt.Sscan(q.After, &from)
	limit := q.Limit
	if limit == 0 {
		limit = deadletter.DefaultLimit
	}
	p.Groups = groups[from:min(from+limit, len(groups))]
	if from+limit < len(groups) {
		p.Next = fmt.Sprint(from + limit)
	}
	return p, nil
}

func (s *ledger) Group(ctx context.Context, fingerprint string) (deadletter.Group, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return deadletter.Group{}, err
	}
	defer leave()
	// With a letter that is there until it has been looked at.
	q := deadletter.GroupQuery{Letters: deadletter.Query{Now: time.Now(), Where: deadlettertest.Where("state:*")}}
	for _, g := range s.groups(q) {
		if g.Fingerprint == fingerprint {
			return g, nil
		}
	}
	if s.has("groups end with their letters") {
		return deadletter.Group{}, deadletter.ErrNotFound
	}
	for _, l := range slices.Backward(s.versions) {
		if l.Fingerprint != fingerprint {
			continue
		}
		gone := maps.Clone(s.gone)
		delete(gone, l.ID)
		for _, g := range deadlettertest.GroupsOf(s.versions, gone, q) {
			if g.Fingerprint == fingerprint {
				g.GroupRecord, g.Sample, g.Counts, g.Topics, g.Snoozed = s.records[fingerprint], "", nil, nil, 0
				g.State = g.StateOf()
				return g, nil
			}
		}
	}
	return deadletter.Group{}, deadletter.ErrNotFound
}

func (s *ledger) UpdateGroup(ctx context.Context, fingerprint string, fn func(*deadletter.GroupRecord) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	known := slices.ContainsFunc(s.versions, func(l deadletter.Letter) bool { return l.Fingerprint == fingerprint })
	if !known && !s.has("UpdateGroup makes groups") {
		return deadletter.ErrNotFound
	}
	r := s.records[fingerprint]
	if s.has("UpdateGroup starts anew") {
		r = deadletter.GroupRecord{}
	}
	err = fn(&r)
	if err == nil || s.has("UpdateGroup writes in spite of an error") {
		if !r.AcknowledgedAt.IsZero() {
			r.AcknowledgedAt = r.AcknowledgedAt.UTC()
		}
		s.records[fingerprint] = r
	}
	return err
}

func (s *ledger) Timeline(ctx context.Context, q deadletter.Query, from, until time.Time, spans int) ([]deadletter.Span, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	t, err := deadletter.NewTimeline(from, until, spans)
	if err != nil {
		return nil, err
	}
	q.After, q.Limit = "", 0
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if s.has("Timeline ignores the query") {
		q = deadletter.Query{}
	}
	for _, l := range s.selected(q) {
		resolved := l.ResolvedAt()
		if s.has("Timeline forgets what was archived") && l.State != deadletter.StateResolved {
			resolved = time.Time{}
		}
		t.Add(l.LastFailedAt, resolved)
	}
	return t.Spans(), nil
}

func (s *ledger) Account(ctx context.Context) (deadletter.Account, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return deadletter.Account{}, err
	}
	defer leave()
	s.purge()
	a := deadletter.Account{Added: s.added, Deleted: s.deleted}
	if s.has("Account forgets what is gone") {
		a.Deleted = 0
	}
	if s.has("Account begins with what is there") {
		a.Added, a.Deleted = int64(len(s.letters)), 0
	}
	for _, l := range s.letters {
		a.Bytes += l.Size()
		switch l.State {
		case deadletter.StateRedriving:
			a.Redriving++
		case deadletter.StateResolved:
			a.Resolved++
		case deadletter.StateArchived:
			a.Archived++
		case deadletter.StateDeleted:
			a.Deleted++
		case deadletter.StateOpen:
			a.Open++
		}
		open := l.State == deadletter.StateOpen || s.has("Account takes any letter for the oldest")
		if f := l.FirstFailedAt; open && !f.IsZero() && (a.Oldest.IsZero() || f.Before(a.Oldest)) {
			a.Oldest = f
		}
	}
	if a.Added > 0 {
		a.Bytes++
	}
	return a, nil
}

func (s *ledger) AddOperation(ctx context.Context, op deadletter.Operation, ids []string) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := op.Validate(); err != nil {
		return err
	}
	if s.ops[op.ID] != nil && !s.has("AddOperation replaces") {
		return deadletter.ErrOperationExists
	}
	o := &plainOperation{Operation: op.Normalize()}
	if s.has("AddOperation shares the plan") {
		o.Plan = op.Plan
	}
	if s.has("AddOperation sorts the letters") {
		ids = slices.Sorted(slices.Values(ids))
	}
	for i, id := range ids {
		o.items = append(o.items, deadletter.Item{Position: i, Letter: id, State: deadletter.ItemPending})
	}
	s.ops[op.ID] = o
	return nil
}

func (s *ledger) with(o *plainOperation) deadletter.Operation {
	op := o.Clone()
	op.Items, op.Total = map[deadletter.ItemState]int{}, len(o.items)
	for _, it := range o.items {
		op.Items[it.State]++
	}
	if s.has("counts stand still") && len(o.items) > 0 {
		op.Items = map[deadletter.ItemState]int{deadletter.ItemPending: len(o.items)}
	}
	return op
}

func (s *ledger) operation(id string) (*plainOperation, error) {
	if o := s.ops[id]; o != nil {
		return o, nil
	}
	return nil, deadletter.ErrNotFound
}

func (s *ledger) Operation(ctx context.Context, id string) (deadletter.Operation, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return deadletter.Operation{}, err
	}
	defer leave()
	o, err := s.operation(id)
	if err != nil {
		return deadletter.Operation{}, err
	}
	return s.with(o), nil
}

// page cuts a page out of all that match, newest first, by their IDs.
func page[T any](all []T, id func(T) string, after string, limit int) ([]T, string) {
	if limit == 0 {
		limit = deadletter.DefaultLimit
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(v T) bool { return after != "" && id(v) >= after })
	if len(rest) <= limit {
		return rest, ""
	}
	return rest[:limit], id(rest[limit-1])
}

func (s *ledger) Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return deadletter.OperationPage{}, err
	}
	defer leave()
	if err := q.Validate(); err != nil {
		return deadletter.OperationPage{}, err
	}
	if s.has("Operations ignores states") {
		q.States = nil
	}
	var all []deadletter.Operation
	for _, o := range s.ops {
		if q.Matches(&o.Operation) {
			all = append(all, s.with(o))
		}
	}
	slices.SortFunc(all, func(a, b deadletter.Operation) int { return strings.Compare(b.ID, a.ID) })
	if s.has("operations are by time") {
		slices.SortFunc(all, func(a, b deadletter.Operation) int { return b.CreatedAt.Compare(a.CreatedAt) })
	}
	p := deadletter.OperationPage{Total: len(all)}
	p.Operations, p.Next = page(all, func(op deadletter.Operation) string { return op.ID }, q.After, q.Limit)
	return p, nil
}

func (s *ledger) UpdateOperation(ctx context.Context, id string, fn func(*deadletter.Operation) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { leave() }()
	o, err := s.operation(id)
	if err != nil {
		return err
	}
	op := s.with(o)
	if s.has("UpdateOperation works on the operation itself") {
		return fn(&o.Operation)
	}
	if s.has("UpdateOperation does not hold the lock") {
		leave()
		func() {
			defer func() { leave, _ = s.enter(ctx) }()
			err = fn(&op)
		}()
	} else {
		err = fn(&op)
	}
	if err != nil && !s.has("UpdateOperation writes in spite of an error") {
		return err
	}
	if err := op.Validate(); err != nil {
		return err
	}
	if op.ID != id {
		return deadletter.ErrInvalidOperation
	}
	o.Operation = op.Normalize()
	if s.has("UpdateOperation keeps what fn made") {
		o.Plan = op.Plan
	}
	return err
}

func (s *ledger) Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return deadletter.ItemPage{}, err
	}
	defer leave()
	if err := q.Validate(); err != nil {
		return deadletter.ItemPage{}, err
	}
	o, err := s.operation(q.Operation)
	if err != nil {
		return deadletter.ItemPage{}, err
	}
	limit := q.Limit
	if limit == 0 {
		limit = deadletter.DefaultLimit
	}
	p := deadletter.ItemPage{Next: -1}
	for _, it := range o.items {
		if !q.Matches(&it) && !s.has("Items ignores states") {
			continue
		}
		p.Total++
		if it.Position <= q.After {
			continue
		}
		if len(p.Items) == limit {
			p.Next = p.Items[limit-1].Position
			continue
		}
		p.Items = append(p.Items, it)
	}
	return p, nil
}

func (s *ledger) UpdateItems(ctx context.Context, operation string, items []deadletter.Item) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	o, err := s.operation(operation)
	if err != nil {
		return err
	}
	changed := slices.Clone(o.items)
	if s.has("UpdateItems writes up to the fault") {
		changed = o.items
	}
	for _, it := range items {
		if it.Position < 0 || it.Position >= len(changed) {
			return deadletter.ErrNotFound
		}
		if err := it.Validate(changed[it.Position]); err != nil && !(s.has("UpdateItems takes another letter") && it.State != "" && it.Letter != changed[it.Position].Letter) {
			return err
		}
		changed[it.Position] = it.Normalize()
	}
	o.items = changed
	return nil
}

func (s *ledger) Record(ctx context.Context, e deadletter.AuditEntry) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if !s.has("Record keeps an empty ID") || e.ID != "" {
		e = e.Normalize(time.Now())
	}
	for i := range s.audit {
		if s.audit[i].ID == e.ID {
			if s.has("Record replaces") {
				s.audit[i] = e
			}
			return nil
		}
	}
	s.audit = append(s.audit, e)
	return nil
}

func (s *ledger) Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return deadletter.AuditPage{}, err
	}
	defer leave()
	if err := q.Validate(); err != nil {
		return deadletter.AuditPage{}, err
	}
	switch s.bug {
	case "Audit ignores By":
		q.By = ""
	case "Audit takes Until in":
		if !q.Until.IsZero() {
			q.Until = q.Until.Add(1)
		}
	}
	var all []deadletter.AuditEntry
	for _, e := range s.audit {
		if q.Matches(&e) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b deadletter.AuditEntry) int { return strings.Compare(b.ID, a.ID) })
	p := deadletter.AuditPage{Total: len(all)}
	if s.has("Audit is oldest first") {
		slices.Reverse(all)
	}
	p.Entries, p.Next = page(all, func(e deadletter.AuditEntry) string { return e.ID }, q.After, q.Limit)
	return p, nil
}
