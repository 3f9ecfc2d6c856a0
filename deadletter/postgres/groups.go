package postgres

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

const (
	selectGroup = `SELECT g.fingerprint, g.subscriber, g.reason, g.cause, g.error, g.error_types, g.first_seen, g.last_seen, g.redriven_at,
		g.note, g.owner, g.acknowledged_at, g.acknowledged_by FROM groups g `
	// seen is the order of groups; those without a time come last.
	seen = "coalesce(g.last_seen, -9223372036854775808)"
	// groupState is Group.StateOf in SQL.
	groupState = `CASE WHEN g.redriven_at IS NOT NULL AND g.last_seen > g.redriven_at AND coalesce(g.acknowledged_at <= g.redriven_at, true) THEN 'regressed'
		WHEN g.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE 'new' END`
)

// Groups implements [deadletter.Ledger].
func (s *Store) Groups(ctx context.Context, q deadletter.GroupQuery) (deadletter.GroupPage, error) {
	if err := s.ready(ctx); err != nil {
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
	err = s.read(ctx, func(tx pgx.Tx) error {
		q.Letters.After, q.Letters.Limit = "", 0
		w := compile(q.Letters)
		where := "WHERE EXISTS (SELECT 1 FROM letter_rows l WHERE l.fingerprint = g.fingerprint AND " + w.sql + ")"
		if !w.exact {
			of := map[string]bool{}
			if err := w.each(ctx, tx, func(l *deadletter.Letter) { of[l.Fingerprint] = true }); err != nil {
				return err
			}
			var list [][]byte
			for f := range of {
				list = append(list, raw(f))
			}
			w.args = nil
			where = "WHERE g.fingerprint = ANY(" + w.arg(list) + ")"
		}
		if q.State != "" {
			where += " AND " + groupState + " = " + w.arg(string(q.State))
		}
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM groups g "+where, w.args...).Scan(&page.Total); err != nil {
			return err
		}
		if q.After != "" {
			at := w.arg(last)
			where += " AND (" + seen + " < " + at + " OR " + seen + " = " + at + " AND g.fingerprint > " + w.arg(raw(behind)) + ")"
		}
		rows, err := tx.Query(ctx, selectGroup+where+fmt.Sprintf(" ORDER BY %s DESC, g.fingerprint LIMIT %d", seen, limit+1), w.args...)
		if err != nil {
			return err
		}
		groups, err := pgx.CollectRows(rows, scanGroup)
		if err != nil {
			return err
		}
		page.Groups = append(page.Groups, groups...)
		if len(page.Groups) > limit {
			page.Groups = page.Groups[:limit]
			page.Next = groupCursor(&page.Groups[limit-1])
		}
		if err := fillGroups(ctx, tx, page.Groups, q.Letters.Now); err != nil {
			return err
		}
		if q.Spark > 0 {
			return sparks(ctx, tx, page.Groups, q)
		}
		return nil
	})
	if err != nil {
		return deadletter.GroupPage{}, err
	}
	return page, nil
}

func scanGroup(row pgx.CollectableRow) (g deadletter.Group, err error) {
	var fingerprint, subscriber, reason, cause, message, types, note, owner, by []byte
	var first, last, redriven, acknowledged *int64
	if err := row.Scan(&fingerprint, &subscriber, &reason, &cause, &message, &types, &first, &last, &redriven, &note, &owner, &acknowledged, &by); err != nil {
		return g, err
	}
	g = deadletter.Group{
		Fingerprint: string(fingerprint), Subscriber: string(subscriber), Reason: string(reason), Cause: string(cause), Error: string(message),
		FirstSeen: timeOf(first), LastSeen: timeOf(last), RedrivenAt: timeOf(redriven),
		GroupRecord: deadletter.GroupRecord{Note: string(note), Owner: string(owner), AcknowledgedAt: timeOf(acknowledged), AcknowledgedBy: string(by)},
		Counts:      map[deadletter.State]int{},
	}
	g.State = g.StateOf()
	return g, unpack(types, &g.ErrorTypes)
}

// fillGroups adds what follows from the letters that are there: three queries, whatever
// the number of groups.
func fillGroups(ctx context.Context, tx pgx.Tx, groups []deadletter.Group, now time.Time) error {
	of, names := map[string]*deadletter.Group{}, make([][]byte, len(groups))
	for i := range groups {
		of[groups[i].Fingerprint], names[i] = &groups[i], raw(groups[i].Fingerprint)
	}
	var name, topic []byte
	rows, err := tx.Query(ctx, `SELECT f.name, t.topic FROM unnest($1::bytea[]) f (name), LATERAL (
		SELECT DISTINCT l.topic FROM letter_rows l WHERE l.fingerprint = f.name ORDER BY 1 LIMIT $2) t ORDER BY 1, 2`, names, deadletter.MaxGroupTopics)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&name, &topic}, func() error {
		g := of[string(name)]
		g.Topics = append(g.Topics, string(topic))
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = tx.Query(ctx, `SELECT fingerprint, state, count(*), count(*) FILTER (WHERE state = 'open' AND snoozed_until > $2)
		FROM letter_rows WHERE fingerprint = ANY($1) GROUP BY 1, 2`, names, nanos(now))
	if err != nil {
		return err
	}
	var state string
	var n, snoozed int
	_, err = pgx.ForEachRow(rows, []any{&name, &state, &n, &snoozed}, func() error {
		g := of[string(name)]
		g.Counts[deadletter.State(state)] = n
		g.Snoozed += snoozed
		return nil
	})
	if err != nil {
		return err
	}
	// The newest of each state is at the end of an index; one that is deleted counts if
	// there is no other.
	rows, err = tx.Query(ctx, selectLetter+`WHERE l.id IN (SELECT s.id FROM unnest($1::bytea[]) f (name), LATERAL (
		SELECT n.id FROM unnest($2::text[]) st (state), LATERAL (
			SELECT x.id, x.state FROM letter_rows x WHERE x.fingerprint = f.name AND x.state = st.state ORDER BY x.id DESC LIMIT 1) n
		ORDER BY n.state = 'deleted', n.id DESC LIMIT 1) s)`, names, texts(allStates))
	if err != nil {
		return err
	}
	samples, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return err
	}
	for _, l := range samples {
		g := of[l.Fingerprint]
		g.Sample, g.Subscriber, g.Reason, g.Cause, g.Error, g.ErrorTypes = l.ID, l.Subscriber, l.Reason, l.Cause, l.Error, l.ErrorTypes
	}
	return nil
}

// sparks counts the failures of the groups of a page, of letters in any state.
func sparks(ctx context.Context, tx pgx.Tx, groups []deadletter.Group, q deadletter.GroupQuery) error {
	if len(groups) == 0 {
		return nil
	}
	t, err := deadletter.NewTimeline(q.SparkSince, q.Letters.Now, q.Spark)
	if err != nil {
		return err
	}
	of := map[string]*deadletter.Group{}
	var names [][]byte
	for i := range groups {
		groups[i].Spark = make([]int, q.Spark)
		of[groups[i].Fingerprint] = &groups[i]
		names = append(names, raw(groups[i].Fingerprint))
	}
	rows, err := tx.Query(ctx, `SELECT fingerprint, least((last_failed_at - $2::bigint) / $3::bigint, $4::bigint), count(*) FROM letter_rows
		WHERE fingerprint = ANY($1) AND last_failed_at >= $2::bigint AND last_failed_at < $5::bigint GROUP BY 1, 2`,
		names, nanos(q.SparkSince), int64(t.Width()), int64(q.Spark-1), nanos(q.Letters.Now))
	if err != nil {
		return err
	}
	var name []byte
	var span, n int
	_, err = pgx.ForEachRow(rows, []any{&name, &span, &n}, func() error {
		of[string(name)].Spark[span] += n
		return nil
	})
	return err
}

// Group implements [deadletter.Ledger].
func (s *Store) Group(ctx context.Context, fingerprint string) (g deadletter.Group, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		if g, err = readGroup(ctx, tx, fingerprint, ""); err != nil {
			return err
		}
		one := []deadletter.Group{g}
		err = fillGroups(ctx, tx, one, time.Now())
		g = one[0]
		return err
	})
	if err != nil {
		return deadletter.Group{}, err
	}
	return g, nil
}

func readGroup(ctx context.Context, tx pgx.Tx, fingerprint, lock string) (deadletter.Group, error) {
	rows, err := tx.Query(ctx, selectGroup+"WHERE g.fingerprint = $1"+lock, raw(fingerprint))
	if err != nil {
		return deadletter.Group{}, err
	}
	g, err := pgx.CollectExactlyOneRow(rows, scanGroup)
	if noRows(err) {
		err = fmt.Errorf("%w: group %q", deadletter.ErrNotFound, fingerprint)
	}
	return g, err
}

// UpdateGroup implements [deadletter.Ledger].
func (s *Store) UpdateGroup(ctx context.Context, fingerprint string, fn func(*deadletter.GroupRecord) error) error {
	return s.write(ctx, true, func(t *tx) error {
		g, err := readGroup(ctx, t, fingerprint, " FOR UPDATE")
		if err != nil {
			return err
		}
		r := g.GroupRecord
		if err := fn(&r); err != nil {
			return &callersError{fmt.Errorf("postgres: update of group %q: %w", fingerprint, err)}
		}
		_, err = t.Exec(ctx, "UPDATE groups SET note = $2, owner = $3, acknowledged_at = $4, acknowledged_by = $5 WHERE fingerprint = $1",
			raw(fingerprint), raw(r.Note), raw(r.Owner), stamp(r.AcknowledgedAt), raw(r.AcknowledgedBy))
		return err
	})
}

func groupCursor(g *deadletter.Group) string {
	last := int64(math.MinInt64)
	if !g.LastSeen.IsZero() {
		last = nanos(g.LastSeen)
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
