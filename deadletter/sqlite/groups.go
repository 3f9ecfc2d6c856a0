package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

const (
	selectGroup = "SELECT fingerprint, subscriber, reason, cause, error, error_types, first_seen, last_seen, redriven_at, note, owner, acknowledged_at, acknowledged_by FROM groups "
	// seen is the order of groups; those without a time come last.
	seen = "coalesce(last_seen, -9223372036854775808)"
	// groupState is Group.StateOf in SQL.
	groupState = `CASE WHEN redriven_at IS NOT NULL AND last_seen > redriven_at AND coalesce(acknowledged_at <= redriven_at, 1) THEN 'regressed'
		WHEN acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE 'new' END`
)

// Groups implements [deadletter.Ledger].
func (s *Store) Groups(ctx context.Context, q deadletter.GroupQuery) (deadletter.GroupPage, error) {
	if err := ctx.Err(); err != nil {
		return deadletter.GroupPage{}, err
	}
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return deadletter.GroupPage{}, err
	}
	last, behind, err := parseGroupCursor(q.After)
	if err != nil {
		return deadletter.GroupPage{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.GroupPage{Groups: []deadletter.Group{}}
	err = s.read(ctx, func(c *conn) error {
		q.Letters.After, q.Letters.Limit = "", 0
		w := compile(q.Letters)
		defer w.release()
		of, args, err := s.fingerprints(ctx, c, w)
		if err != nil {
			return err
		}
		where := "WHERE fingerprint IN (" + of + ")"
		if q.State != "" {
			where += " AND " + groupState + " = ?"
			args = append(args, string(q.State))
		}
		n, err := c.number(ctx, "SELECT count(*) FROM groups "+where, args...)
		if err != nil {
			return err
		}
		page.Total = int(n)
		if q.After != "" {
			where += " AND (" + seen + " < ? OR " + seen + " = ? AND fingerprint > ?)"
			args = append(args, last, last, behind)
		}
		err = c.query(ctx, selectGroup+where+" ORDER BY "+seen+" DESC, fingerprint LIMIT ?", append(args, limit+1), func(v []any) error {
			g, err := scanGroup(v)
			page.Groups = append(page.Groups, g)
			return err
		})
		if err != nil {
			return err
		}
		if len(page.Groups) > limit {
			page.Groups = page.Groups[:limit]
			page.Next = groupCursor(&page.Groups[limit-1])
		}
		for i := range page.Groups {
			if err := fillGroup(ctx, c, &page.Groups[i], q.Letters.Now); err != nil {
				return err
			}
		}
		if q.Spark > 0 {
			return sparks(ctx, c, page.Groups, q)
		}
		return nil
	})
	if err != nil {
		return deadletter.GroupPage{}, err
	}
	return page, nil
}

// fingerprints returns a statement for the groups of the letters selected.
func (s *Store) fingerprints(ctx context.Context, c *conn, w *where) (string, []any, error) {
	if len(w.states) == 0 {
		return "SELECT '' WHERE 0", nil, nil
	}
	if len(w.letter.terms) == 0 {
		return "SELECT c.fingerprint FROM classes c CROSS JOIN tallies l ON l.class = c.class WHERE l.state IN (" + stateList(w.states) + ") AND " + w.class.sql(),
			slices.Clone(w.class.args), nil
	}
	if w.awake != nil {
		// As the console asks: a class has some that are not snoozed if more are there
		// than are.
		return "SELECT c.fingerprint FROM classes c CROSS JOIN tallies l ON l.class = c.class WHERE l.state IN (" + stateList(w.states) + ") AND " + w.class.sql() +
				" AND l.n > CASE WHEN l.state = 'open' THEN (SELECT count(*) FROM letter_rows l INDEXED BY letter_rows_snoozed WHERE l.class = c.class AND " + w.awake.sql() + ") ELSE 0 END",
			append(slices.Clone(w.class.args), w.awake.args...), nil
	}
	sel, err := choose(ctx, c, w)
	if err != nil {
		return "", nil, err
	}
	from, args, err := w.best(ctx, c, sel)
	return "SELECT fingerprint FROM classes WHERE class IN (SELECT l.class " + from + ")", args, err
}

func scanGroup(v []any) (deadletter.Group, error) {
	g := deadletter.Group{
		Fingerprint: text(v[0]), Subscriber: text(v[1]), Reason: text(v[2]), Cause: text(v[3]), Error: text(v[4]),
		FirstSeen: timeOf(v[6]), LastSeen: timeOf(v[7]), RedrivenAt: timeOf(v[8]),
		GroupRecord: deadletter.GroupRecord{Note: text(v[9]), Owner: text(v[10]), AcknowledgedAt: timeOf(v[11]), AcknowledgedBy: text(v[12])},
		Counts:      map[deadletter.State]int{},
	}
	g.State = g.StateOf()
	return g, decode(v[5], &g.ErrorTypes)
}

// fillGroup adds what follows from the letters that are there.
func fillGroup(ctx context.Context, c *conn, g *deadletter.Group, now time.Time) error {
	var kinds []kind
	err := c.query(ctx, "SELECT c.topic, l.class, l.state, l.n FROM classes c CROSS JOIN tallies l ON l.class = c.class WHERE c.fingerprint = ?",
		[]any{g.Fingerprint}, func(v []any) error {
			g.Topics = append(g.Topics, text(v[0]))
			k := kind{v[1].(int64), deadletter.State(text(v[2]))}
			kinds = append(kinds, k)
			g.Counts[k.state] += number(v[3])
			return nil
		})
	if err != nil {
		return err
	}
	slices.Sort(g.Topics)
	g.Topics = slices.Compact(g.Topics)
	g.Topics = g.Topics[:min(len(g.Topics), deadletter.MaxGroupTopics)]
	live := g.Counts[deadletter.StateDeleted] < sum(g.Counts)
	for _, k := range kinds {
		if k.state == deadletter.StateDeleted && live {
			continue
		}
		id, err := c.textOf(ctx, "SELECT max(id) FROM letter_rows INDEXED BY letter_rows_class WHERE class = ? AND state = ?", k.class, string(k.state))
		if err != nil {
			return err
		}
		g.Sample = max(g.Sample, id)
		if k.state == deadletter.StateOpen {
			n, err := c.number(ctx, "SELECT count(*) FROM letter_rows INDEXED BY letter_rows_snoozed WHERE class = ? AND snoozed_until > ? AND state = 'open'", k.class, nanos(now))
			if err != nil {
				return err
			}
			g.Snoozed += int(n)
		}
	}
	if g.Sample == "" {
		return nil
	}
	return c.query(ctx, "SELECT c.subscriber, c.reason, l.cause, l.error, l.error_types FROM letter_rows l JOIN classes c ON c.class = l.class WHERE l.id = ?",
		[]any{g.Sample}, func(v []any) error {
			g.Subscriber, g.Reason, g.Cause, g.Error, g.ErrorTypes = text(v[0]), text(v[1]), text(v[2]), text(v[3]), nil
			return decode(v[4], &g.ErrorTypes)
		})
}

func sum[K comparable](counts map[K]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// sparks counts the failures of the groups of a page, of letters in any state.
func sparks(ctx context.Context, c *conn, groups []deadletter.Group, q deadletter.GroupQuery) error {
	if len(groups) == 0 {
		return nil
	}
	t, err := deadletter.NewTimeline(q.SparkSince, q.Letters.Now, q.Spark)
	if err != nil {
		return err
	}
	of := map[string]*deadletter.Group{}
	args := []any{nanos(q.SparkSince), int64(t.Width()), q.Spark - 1}
	for i := range groups {
		groups[i].Spark = make([]int, q.Spark)
		of[groups[i].Fingerprint] = &groups[i]
		args = append(args, groups[i].Fingerprint)
	}
	args = append(args, nanos(q.SparkSince), nanos(q.Letters.Now))
	return c.query(ctx, `SELECT c.fingerprint, s.span, s.n FROM (
			SELECT l.class AS class, min((l.last_failed_at - ?) / ?, ?) AS span, count(*) AS n FROM letter_rows l INDEXED BY letter_rows_failed
			WHERE l.class IN (SELECT class FROM classes WHERE fingerprint IN (`+marks(len(groups))+`))
			AND l.state IN (`+stateList(allStates)+`) AND l.last_failed_at >= ? AND l.last_failed_at < ? GROUP BY 1, 2
		) s CROSS JOIN classes c ON c.class = s.class`, args, func(v []any) error {
		of[text(v[0])].Spark[number(v[1])] += number(v[2])
		return nil
	})
}

// Group implements [deadletter.Ledger].
func (s *Store) Group(ctx context.Context, fingerprint string) (g deadletter.Group, err error) {
	err = s.read(ctx, func(c *conn) error {
		found := false
		err := c.query(ctx, selectGroup+"WHERE fingerprint = ?", []any{fingerprint}, func(v []any) (err error) {
			found = true
			g, err = scanGroup(v)
			return err
		})
		if err == nil && !found {
			err = fmt.Errorf("%w: group %q", deadletter.ErrNotFound, fingerprint)
		}
		if err == nil {
			err = fillGroup(ctx, c, &g, time.Now())
		}
		return err
	})
	if err != nil {
		return deadletter.Group{}, err
	}
	return g, nil
}

// UpdateGroup implements [deadletter.Ledger].
func (s *Store) UpdateGroup(ctx context.Context, fingerprint string, fn func(*deadletter.GroupRecord) error) error {
	return s.do(ctx, 1, func(j *job, t *tx) error {
		if err := t.flush(); err != nil {
			return err
		}
		var g deadletter.Group
		found := false
		err := t.query(selectGroup+"WHERE fingerprint = ?", []any{fingerprint}, func(v []any) (err error) {
			found = true
			g, err = scanGroup(v)
			return err
		})
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w: group %q", deadletter.ErrNotFound, fingerprint)
		}
		r := g.GroupRecord
		var refused error
		if err := j.call(func() { refused = fn(&r) }); err != nil {
			return err
		}
		if refused != nil {
			return fmt.Errorf("sqlite: update of group %q: %w", fingerprint, refused)
		}
		return t.do("UPDATE groups SET note = ?, owner = ?, acknowledged_at = ?, acknowledged_by = ? WHERE fingerprint = ?",
			r.Note, r.Owner, stamp(r.AcknowledgedAt), r.AcknowledgedBy, fingerprint)
	})
}

func groupCursor(g *deadletter.Group) string {
	last := int64(math.MinInt64)
	if !g.LastSeen.IsZero() {
		last = g.LastSeen.UnixNano()
	}
	return strconv.FormatInt(last, 10) + "," + g.Fingerprint
}

func parseGroupCursor(cursor string) (last int64, fingerprint string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	at, fingerprint, ok := strings.Cut(cursor, ",")
	if last, err = strconv.ParseInt(at, 10, 64); !ok || err != nil {
		return 0, "", fmt.Errorf("%w: GroupQuery.After %q: must be the Next of a page", deadletter.ErrInvalidQuery, cursor)
	}
	return last, fingerprint, nil
}
