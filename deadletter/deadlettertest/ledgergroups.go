package deadlettertest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// groupsOf is what Groups has to answer, from all versions of all letters in the
// order in which they were stored, of which the last ones are there unless they
// are gone.
func groupsOf(versions []deadletter.Letter, gone map[string]bool, q deadletter.GroupQuery) []deadletter.Group {
	last := map[string]deadletter.Letter{}
	groups := map[string]*deadletter.Group{}
	for _, l := range versions {
		l = l.Normalize()
		last[l.ID] = l
		g := groups[l.Fingerprint]
		if g == nil {
			g = &deadletter.Group{Fingerprint: l.Fingerprint, Counts: map[deadletter.State]int{}}
			groups[l.Fingerprint] = g
		}
		if f := l.FirstFailedAt; !f.IsZero() && (g.FirstSeen.IsZero() || f.Before(g.FirstSeen)) {
			g.FirstSeen = f
		}
		if l.LastFailedAt.After(g.LastSeen) {
			g.LastSeen = l.LastFailedAt
		}
		if n := len(l.Redrives); n > 0 && l.Redrives[n-1].StartedAt.After(g.RedrivenAt) {
			g.RedrivenAt = l.Redrives[n-1].StartedAt
		}
	}
	matches := q.Letters.Matcher()
	selected := map[string]bool{}
	sparks := map[string]*deadletter.Timeline{}
	samples := map[string]deadletter.Letter{}
	for id, l := range last {
		if gone[id] {
			continue
		}
		g := groups[l.Fingerprint]
		g.Counts[l.State]++
		if l.Snoozed(q.Letters.Now) {
			g.Snoozed++
		}
		if !slices.Contains(g.Topics, l.Topic) {
			g.Topics = append(g.Topics, l.Topic)
		}
		s, ok := samples[g.Fingerprint]
		better := l.State != deadletter.StateDeleted && s.State == deadletter.StateDeleted
		worse := l.State == deadletter.StateDeleted && s.State != deadletter.StateDeleted
		if !ok || better || !worse && l.ID > s.ID {
			samples[g.Fingerprint] = l
		}
		selected[g.Fingerprint] = selected[g.Fingerprint] || matches(&l)
		if q.Spark > 0 {
			t := sparks[g.Fingerprint]
			if t == nil {
				t, _ = deadletter.NewTimeline(q.SparkSince, q.Letters.Now, q.Spark)
				sparks[g.Fingerprint] = t
			}
			t.Add(l.LastFailedAt, time.Time{})
		}
	}
	var found []deadletter.Group
	for fingerprint, g := range groups {
		g.State = g.StateOf()
		if !selected[fingerprint] || q.State != "" && g.State != q.State {
			continue
		}
		s := samples[fingerprint]
		g.Subscriber, g.Reason, g.Cause, g.Error, g.ErrorTypes, g.Sample = s.Subscriber, s.Reason, s.Cause, s.Error, s.ErrorTypes, s.ID
		slices.Sort(g.Topics)
		g.Topics = g.Topics[:min(len(g.Topics), deadletter.MaxGroupTopics)]
		if t := sparks[fingerprint]; t != nil {
			g.Spark = t.Spark()
		}
		found = append(found, *g)
	}
	slices.SortFunc(found, func(a, b deadletter.Group) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), strings.Compare(a.Fingerprint, b.Fingerprint))
	})
	return found
}

// groupDifference names the fields in which groups differ, "" if there are none.
func groupDifference(got, want deadletter.Group) string {
	var diffs []string
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		a, b := g.Field(i), w.Field(i)
		if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			diffs = append(diffs, fmt.Sprintf("%s = %+v, want %+v", g.Type().Field(i).Name, a.Interface(), b.Interface()))
		}
	}
	return strings.Join(diffs, "\n")
}

// allGroups reads page after page.
func (r *recorder) allGroups(s deadletter.Ledger, q deadletter.GroupQuery) (groups []deadletter.Group, total int) {
	for {
		p := must[deadletter.GroupPage](r, fmt.Sprintf("Groups(%+v)", q))(s.Groups(background, q))
		groups = append(groups, p.Groups...)
		if p.Next == "" {
			return groups, p.Total
		}
		if p.Next == q.After || len(p.Groups) == 0 || len(groups) > 10_000 {
			r.fatalf("Groups(%+v) gives %d groups and Next %q: paging does not advance", q, len(p.Groups), p.Next)
		}
		q.After = p.Next
	}
}

func (r *recorder) group(s deadletter.Ledger, fingerprint string) deadletter.Group {
	return must[deadletter.Group](r, "Group "+fingerprint)(s.Group(background, fingerprint))
}

var groupCases = []testCase{
	{
		name:    "groups are what their letters are",
		promise: "a group has the counts, the times, the topics and the newest of its letters, through updates and deletions; a query selects the groups that have letters it selects",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			rng := rand.New(rand.NewPCG(5, 2028))
			versions := randomLetters(rng, 250)
			r.add(s, versions...)
			gone := map[string]bool{}
			for n := range 80 {
				id := small(rng.IntN(250)).ID
				if gone[id] {
					continue
				}
				if n%4 == 0 {
					gone[id] = true
					r.delete(s, id)
					continue
				}
				l := randomLetter(rng, 0)
				l.ID = id
				versions = append(versions, l)
				r.update(s, id, func(stored *deadletter.Letter) error { *stored = l.Clone(); return nil })
			}
			for i := range 60 / slow {
				q := deadletter.GroupQuery{Letters: deadletter.Query{Now: day}, Limit: 1 + rng.IntN(5)}
				switch i % 4 {
				case 1:
					q.Letters.Where = randomExpr(rng)
				case 2:
					q.State = pick(rng, []deadletter.GroupState{deadletter.GroupNew, deadletter.GroupRegressed, deadletter.GroupAcknowledged})
				case 3:
					q.Letters.State = pick(rng, randomStates)
					q.Spark, q.SparkSince = 1+rng.IntN(7), day.Add(-48*time.Hour)
				}
				want := groupsOf(versions, gone, q)
				got, total := r.allGroups(s, q)
				if len(got) != len(want) || total != len(want) {
					r.fatalf("Groups(%+v) gives %d groups and Total %d, want %d", q, len(got), total, len(want))
				}
				for i := range want {
					if d := groupDifference(got[i], want[i]); d != "" {
						r.fatalf("Groups(%+v), group %d:\n%s", q, i, d)
					}
				}
			}
			for _, want := range groupsOf(versions, gone, deadletter.GroupQuery{Letters: deadletter.Query{Now: time.Now()}}) {
				if d := groupDifference(r.group(s, want.Fingerprint), want); d != "" {
					r.errorf("Group(%q):\n%s", want.Fingerprint, d)
				}
			}
			if _, err := s.Group(background, "never"); !errors.Is(err, deadletter.ErrNotFound) {
				r.errorf("Group of a fingerprint that never was = %v, want ErrNotFound", err)
			}
		}),
	},
	{
		name:    "a group names ten topics",
		promise: "of more than MaxGroupTopics topics a group names the first in their order",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			letters := smalls(0, 30)
			for i := range letters {
				letters[i].Topic = fmt.Sprintf("topic-%02d", (i*7)%30)
			}
			r.add(s, letters...)
			got, _ := r.allGroups(s, deadletter.GroupQuery{})
			if len(got) != 1 || len(got[0].Topics) != deadletter.MaxGroupTopics || got[0].Topics[0] != "topic-00" || got[0].Topics[9] != "topic-09" {
				r.errorf("Groups = %+v, want one group with topic-00 to topic-09", got)
			}
		}),
	},
	{
		name:    "a group outlives its letters",
		promise: "what is known of a group stays when its last letter has gone, and holds again when the next one comes",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			l := full("a")
			l.State, l.Closed, l.Redrives, l.Fingerprint = deadletter.StateOpen, nil, nil, "group"
			r.add(s, l)
			r.try("UpdateGroup", s.UpdateGroup(background, "group", func(g *deadletter.GroupRecord) error { g.Note = "known"; return nil }))
			r.delete(s, "a")
			g := r.group(s, "group")
			if g.Note != "known" || !g.FirstSeen.Equal(l.FirstFailedAt) || !g.LastSeen.Equal(l.LastFailedAt) || len(g.Counts) != 0 || g.Sample != "" || g.Subscriber != l.Subscriber || g.Error == "" {
				r.errorf("Group = %+v, after its only letter has gone", g)
			}
			if got, total := r.allGroups(s, deadletter.GroupQuery{}); len(got) != 0 || total != 0 {
				r.errorf("Groups gives %d groups, though there is no letter", len(got))
			}
			again := small(7)
			again.Fingerprint, again.FirstFailedAt, again.LastFailedAt = "group", day.Add(time.Hour), day.Add(time.Hour)
			r.add(s, again)
			if g = r.group(s, "group"); g.Note != "known" || !g.FirstSeen.Equal(l.FirstFailedAt) || !g.LastSeen.Equal(day.Add(time.Hour)) || g.Sample != again.ID {
				r.errorf("Group = %+v, after a new letter has come", g)
			}
		}),
	},
	{
		name:    "people say what a group is",
		promise: "UpdateGroup gives fn the record and stores what it makes of it, or nothing if fn fails",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			a, b := small(1), small(2)
			a.Fingerprint, b.Fingerprint = "one", "two"
			r.add(s, a, b)
			zone := time.FixedZone("east", 3600)
			want := deadletter.GroupRecord{Note: "it's \x00 <b>", Owner: "ada", AcknowledgedAt: day, AcknowledgedBy: "grace"}
			r.try("UpdateGroup", s.UpdateGroup(background, "one", func(g *deadletter.GroupRecord) error {
				if *g != (deadletter.GroupRecord{}) {
					r.errorf("the first record is %+v, want a zero one", *g)
				}
				*g = want
				g.AcknowledgedAt = day.In(zone)
				return nil
			}))
			boom := errors.New("boom")
			err := s.UpdateGroup(background, "one", func(g *deadletter.GroupRecord) error {
				if *g != want {
					r.errorf("the record is %+v, want %+v", *g, want)
				}
				g.Note = "changed"
				return boom
			})
			r.wants("UpdateGroup with an fn that fails", err, boom)
			if got := r.group(s, "one"); got.GroupRecord != want || got.State != deadletter.GroupAcknowledged {
				r.errorf("Group = %+v, want the record %+v", got, want)
			}
			if got := r.group(s, "two"); got.GroupRecord != (deadletter.GroupRecord{}) || got.State != deadletter.GroupNew {
				r.errorf("the other group is %+v", got)
			}
			err = s.UpdateGroup(background, "never", func(*deadletter.GroupRecord) error { r.errorf("fn called"); return nil })
			r.wants("UpdateGroup of a group that never was", err, deadletter.ErrNotFound)
			func() {
				defer func() { _ = recover() }()
				_ = s.UpdateGroup(background, "one", func(g *deadletter.GroupRecord) error { g.Note = "changed"; panic("boom") })
			}()
			r.try("UpdateGroup after a panic", s.UpdateGroup(background, "one", func(g *deadletter.GroupRecord) error { g.Owner = "lin"; return nil }))
			want.Owner = "lin"
			if got := r.group(s, "one"); got.GroupRecord != want {
				r.errorf("after a panic the record is %+v, want %+v", got.GroupRecord, want)
			}
		}),
	},
	{
		name:    "a group that comes back has regressed",
		promise: "after a redrive, the next failure makes a group regressed, until somebody acknowledges that",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			l := small(1)
			l.Fingerprint = "group"
			r.add(s, l)
			expect := func(want deadletter.GroupState) {
				if got := r.group(s, "group"); got.State != want {
					r.errorf("the group is %s, want %s: %+v", got.State, want, got)
				}
				got, _ := r.allGroups(s, deadletter.GroupQuery{State: want})
				if len(got) != 1 {
					r.errorf("Groups of those that are %s gives %d, want 1", want, len(got))
				}
			}
			acknowledge := func(at time.Time) {
				r.try("UpdateGroup", s.UpdateGroup(background, "group", func(g *deadletter.GroupRecord) error { g.AcknowledgedAt = at; return nil }))
			}
			expect(deadletter.GroupNew)
			acknowledge(day.Add(time.Minute))
			expect(deadletter.GroupAcknowledged)
			r.update(s, l.ID, func(l *deadletter.Letter) error { _, err := l.BeginRedrive("ada", 1, day.Add(time.Hour)); return err })
			expect(deadletter.GroupAcknowledged)
			r.update(s, l.ID, func(l *deadletter.Letter) error {
				l.AddAttempt(deadletter.Attempt{Number: 1, Redrive: 1, Started: day.Add(2 * time.Hour)})
				return l.EndRedrive(deadletter.OutcomeFailed, "again", day.Add(2*time.Hour))
			})
			expect(deadletter.GroupRegressed)
			acknowledge(day.Add(3 * time.Hour))
			expect(deadletter.GroupAcknowledged)
		}),
	},
	{
		name:    "timelines",
		promise: "Timeline counts the letters that the query selects by when they last failed and by when they were resolved",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			rng := rand.New(rand.NewPCG(5, 2029))
			letters := randomLetters(rng, 200)
			r.add(s, letters...)
			for i := range 40 {
				q := deadletter.Query{Now: day, After: "x", Limit: 1}
				if i%2 == 0 {
					q.Where = randomExpr(rng)
				}
				from, n := day.Add(-pick(rng, randomAges)).Add(-time.Duration(rng.IntN(1000))), 1+rng.IntN(9)
				until := from.Add(time.Duration(n) + pick(rng, randomAges) + time.Duration(rng.IntN(1000)))
				want, err := deadletter.NewTimeline(from, until, n)
				r.try("NewTimeline", err)
				matches := q.Matcher()
				for _, l := range letters {
					if l = l.Normalize(); matches(&l) {
						want.Add(l.LastFailedAt, l.ResolvedAt())
					}
				}
				got := must[[]deadletter.Span](r, "Timeline")(s.Timeline(background, q, from.In(time.FixedZone("east", 3600)), until, n))
				if !slices.Equal(got, want.Spans()) {
					r.errorf("Timeline of %s from %v until %v gives\n%+v, want\n%+v", q.Where, from, until, got, want.Spans())
				}
			}
			for what, call := range map[string]func() error{
				"no spans": func() error { _, err := s.Timeline(background, deadletter.Query{}, day, day.Add(1), 0); return err },
				"too many spans": func() error {
					_, err := s.Timeline(background, deadletter.Query{}, day, day.Add(time.Hour), 1001)
					return err
				},
				"backwards": func() error { _, err := s.Timeline(background, deadletter.Query{}, day, day.Add(-1), 1); return err },
				"a wrong query": func() error {
					_, err := s.Timeline(background, deadletter.Query{State: "x"}, day, day.Add(9), 1)
					return err
				},
				"groups, no such state": func() error { _, err := s.Groups(background, deadletter.GroupQuery{State: "x"}); return err },
				"groups, limit":         func() error { _, err := s.Groups(background, deadletter.GroupQuery{Limit: -1}); return err },
				"groups, spark":         func() error { _, err := s.Groups(background, deadletter.GroupQuery{Spark: 3}); return err },
			} {
				r.wants(what, call(), deadletter.ErrInvalidQuery)
			}
		}),
	},
}
