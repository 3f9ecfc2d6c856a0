package deadletter

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxEmptyGroups is how many groups without letters a memory store remembers;
// forgetting begins when there are a quarter more, so that it is rare.
const maxEmptyGroups = 1000

// maxGoneError bounds what a group keeps of the message of a letter that is gone.
const maxGoneError = 1024

// memoryGroups is what is known of groups beyond the letters that are there.
type memoryGroups struct {
	byPrint map[string]*memoryGroup
	empty   int // of them without letters
}

type memoryGroup struct {
	fingerprint string
	letters     int
	record      GroupRecord
	// gone is the newest of the letters that have gone, without anything large.
	gone                  Letter
	first, last, redriven time.Time
}

// put counts a letter in, which may have been there as another version.
func (g *memoryGroups) put(e *entry) {
	l := &e.letter
	mg := g.byPrint[l.Fingerprint]
	if mg == nil {
		mg = &memoryGroup{fingerprint: l.Fingerprint}
		g.byPrint[l.Fingerprint] = mg
	} else if mg.letters == 0 {
		g.empty--
	}
	mg.letters++
	e.group = mg
	if f := l.FirstFailedAt; !f.IsZero() && (mg.first.IsZero() || f.Before(mg.first)) {
		mg.first = f
	}
	if l.LastFailedAt.After(mg.last) {
		mg.last = l.LastFailedAt
	}
	if n := len(l.Redrives); n > 0 && l.Redrives[n-1].StartedAt.After(mg.redriven) {
		mg.redriven = l.Redrives[n-1].StartedAt
	}
}

func (g *memoryGroups) take(e *entry) {
	mg := e.group
	if mg.letters--; mg.letters == 0 {
		g.empty++
	}
	if l := &e.letter; l.ID >= mg.gone.ID {
		mg.gone = Letter{
			ID: l.ID, Subscriber: l.Subscriber, Reason: l.Reason, Cause: l.Cause, ErrorTypes: l.ErrorTypes,
			Error: l.Error,
		}
		if len(l.Error) > maxGoneError {
			mg.gone.Error = strings.Clone(l.Error[:maxGoneError])
		}
	}
}

// forget bounds the groups without letters: those that failed last long ago go
// first. It is called at the end of a change, since take and put may only be two
// halves of one.
func (g *memoryGroups) forget() {
	if g.empty <= maxEmptyGroups+maxEmptyGroups/4 {
		return
	}
	var empty []*memoryGroup
	for _, mg := range g.byPrint {
		if mg.letters == 0 {
			empty = append(empty, mg)
		}
	}
	slices.SortFunc(empty, func(a, b *memoryGroup) int {
		return cmp.Or(a.last.Compare(b.last), strings.Compare(a.fingerprint, b.fingerprint))
	})
	for _, mg := range empty[:len(empty)-maxEmptyGroups] {
		delete(g.byPrint, mg.fingerprint)
	}
	g.empty = maxEmptyGroups
}

// tally is what one look at all letters finds out about a group.
type tally struct {
	selected bool
	counts   map[State]int
	snoozed  int
	topics   []string
	sample   *entry
	spark    *Timeline
}

func (t *tally) add(e *entry, q *GroupQuery) {
	l := &e.letter
	t.counts[l.State]++
	if l.Snoozed(q.Letters.Now) {
		t.snoozed++
	}
	if at, found := slices.BinarySearch(t.topics, l.Topic); !found && at < MaxGroupTopics {
		t.topics = slices.Insert(t.topics, at, l.Topic)
		t.topics = t.topics[:min(len(t.topics), MaxGroupTopics)]
	}
	if s := t.sample; s == nil || (s.letter.State == StateDeleted) == (l.State == StateDeleted) && l.ID > s.letter.ID ||
		s.letter.State == StateDeleted && l.State != StateDeleted {
		t.sample = e
	}
	if q.Spark > 0 {
		if t.spark == nil {
			t.spark, _ = NewTimeline(q.SparkSince, q.Letters.Now, q.Spark) // has been validated
		}
		t.spark.Add(l.LastFailedAt, time.Time{})
	}
}

// group puts together what a group is.
func (mg *memoryGroup) group(t *tally) Group {
	newest := &mg.gone
	g := Group{
		GroupRecord: mg.record, Fingerprint: mg.fingerprint,
		FirstSeen: mg.first, LastSeen: mg.last, RedrivenAt: mg.redriven, Counts: map[State]int{},
	}
	if t != nil {
		newest = &t.sample.letter
		g.Sample, g.Topics, g.Counts, g.Snoozed = newest.ID, t.topics, t.counts, t.snoozed
		if t.spark != nil {
			g.Spark = t.spark.Spark()
		}
	}
	g.Subscriber, g.Reason, g.Cause, g.Error = newest.Subscriber, newest.Reason, newest.Cause, newest.Error
	g.ErrorTypes = slices.Clone(newest.ErrorTypes)
	g.State = g.StateOf()
	return g
}

// tallies looks at all letters that only selects, nil for all.
func (m *Memory) tallies(q *GroupQuery, only *memoryGroup) map[*memoryGroup]*tally {
	letters := q.Letters
	f := newFilter(m.seed, letters)
	looked := m.sets(letters)
	all := map[*memoryGroup]*tally{}
	for i := range m.byState {
		set := &m.byState[i]
		selects := slices.Contains(looked, set)
		for _, chunk := range set.chunks {
			for k := range chunk {
				e := chunk[k].entry
				if only != nil && e.group != only {
					continue
				}
				t := all[e.group]
				if t == nil {
					t = &tally{counts: map[State]int{}}
					all[e.group] = t
				}
				t.add(e, q)
				t.selected = t.selected || selects && (f.all || f.selects(&chunk[k]))
			}
		}
	}
	return all
}

// Groups implements [Ledger].
func (m *Memory) Groups(ctx context.Context, q GroupQuery) (GroupPage, error) {
	if err := ctx.Err(); err != nil {
		return GroupPage{}, err
	}
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return GroupPage{}, err
	}
	behind, err := parseGroupCursor(q.After)
	if err != nil {
		return GroupPage{}, err
	}
	m.expire()
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return GroupPage{}, ErrClosed
	}
	tallies := m.tallies(&q, nil)
	var found []*memoryGroup
	page := GroupPage{Groups: []Group{}}
	for mg, t := range tallies {
		if !t.selected || q.State != "" && mg.state() != q.State {
			continue
		}
		page.Total++
		if q.After == "" || behind.compare(mg.cursor()) < 0 {
			found = append(found, mg)
		}
	}
	slices.SortFunc(found, func(a, b *memoryGroup) int { return a.cursor().compare(b.cursor()) })
	if limit := limitOr(q.Limit); len(found) > limit {
		found = found[:limit]
		page.Next = found[limit-1].cursor().String()
	}
	for _, mg := range found {
		page.Groups = append(page.Groups, mg.group(tallies[mg]))
	}
	return page, nil
}

func (mg *memoryGroup) state() GroupState {
	g := Group{GroupRecord: mg.record, LastSeen: mg.last, RedrivenAt: mg.redriven}
	return g.StateOf()
}

// Group implements [Ledger].
func (m *Memory) Group(ctx context.Context, fingerprint string) (Group, error) {
	if err := ctx.Err(); err != nil {
		return Group{}, err
	}
	m.expire()
	m.mu.RLock()
	defer m.mu.RUnlock()
	mg, err := m.lookupGroup(fingerprint)
	if err != nil {
		return Group{}, err
	}
	q := GroupQuery{}.AsOf(time.Now())
	return mg.group(m.tallies(&q, mg)[mg]), nil
}

func (m *Memory) lookupGroup(fingerprint string) (*memoryGroup, error) {
	if m.closed {
		return nil, ErrClosed
	}
	mg := m.groups.byPrint[fingerprint]
	if mg == nil {
		return nil, fmt.Errorf("%w: group %q", ErrNotFound, fingerprint)
	}
	return mg, nil
}

// UpdateGroup implements [Ledger].
func (m *Memory) UpdateGroup(ctx context.Context, fingerprint string, fn func(*GroupRecord) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := acquire(ctx, m.revising); err != nil {
		return err
	}
	defer func() { <-m.revising }()
	m.mu.RLock()
	mg, err := m.lookupGroup(fingerprint)
	var record GroupRecord
	if err == nil {
		record = mg.record
	}
	m.mu.RUnlock()
	if err != nil {
		return err
	}
	if err := fn(&record); err != nil {
		return fmt.Errorf("deadletter: update of group %q: %w", fingerprint, err)
	}
	record.AcknowledgedAt = utc(record.AcknowledgedAt)
	m.mu.Lock()
	defer m.mu.Unlock()
	if mg, err = m.lookupGroup(fingerprint); err != nil {
		return err
	}
	mg.record = record
	return nil
}

// groupCursor is the place of a group in the order of Groups.
type groupCursor struct {
	last        int64 // nanoseconds since 1970
	fingerprint string
}

func (mg *memoryGroup) cursor() groupCursor {
	if mg.last.IsZero() {
		return groupCursor{math.MinInt64, mg.fingerprint}
	}
	return groupCursor{mg.last.UnixNano(), mg.fingerprint}
}

// compare is negative if c comes first.
func (c groupCursor) compare(d groupCursor) int {
	return cmp.Or(cmp.Compare(d.last, c.last), strings.Compare(c.fingerprint, d.fingerprint))
}

// String returns the text that parseGroupCursor reads.
func (c groupCursor) String() string { return strconv.FormatInt(c.last, 10) + "," + c.fingerprint }

func parseGroupCursor(text string) (groupCursor, error) {
	if text == "" {
		return groupCursor{}, nil
	}
	last, fingerprint, ok := strings.Cut(text, ",")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil {
		return groupCursor{}, fmt.Errorf("%w: GroupQuery.After %q: must be the Next of a page", ErrInvalidQuery, text)
	}
	return groupCursor{n, fingerprint}, nil
}
