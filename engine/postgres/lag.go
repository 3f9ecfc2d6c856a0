package postgres

import (
	"context"

	"github.com/troupe-go/troupe/engine"
)

// lagExact is how many records that nobody has been given are counted.
const lagExact = 100_000

// Lag implements [engine.Subscription]. Beyond 100,000 records that nobody has been
// given it is an estimate: as many as there would be if the rest of the log were like
// those. What an open transaction holds back is waiting.
func (s *Subscription) Lag(ctx context.Context) (engine.Lag, error) {
	var l engine.Lag
	var waiting, held, fresh, first, last, end int64
	err := s.topic.e.pool.QueryRow(ctx, s.topic.e.sql(`
		SELECT u.waiting, u.held, c.n, coalesce(c.first, 0), coalesce(c.last, 0),
			CASE WHEN c.n = $2 THEN (SELECT r.pos FROM {s}.records r WHERE r.topic = g.topic ORDER BY r.at DESC, r.pos DESC LIMIT 1) ELSE 0 END
		FROM {s}.groups g,
			LATERAL (SELECT count(*) FILTER (WHERE d.holder IS NULL) waiting, count(*) FILTER (WHERE d.holder IS NOT NULL) held
				FROM {s}.deliveries d WHERE d.grp = g.id AND d.n >= g.low) u,
			LATERAL (SELECT count(*) n, min(r.pos) first, max(r.pos) last FROM (
				SELECT r.pos FROM {s}.records r WHERE r.topic = g.topic AND (r.at, r.pos) > (g.at, g.pos)
					AND (r.at >= g.fresh OR NOT pg_visible_in_snapshot((r.at - {s}.moved())::text::xid8, g.snapshot))
				ORDER BY r.at, r.pos LIMIT $2) r) c
		WHERE g.id = $1`), s.group, lagExact).Scan(&waiting, &held, &fresh, &first, &last, &end)
	if err != nil {
		return l, Fault(ctx, s.op("lag"), err)
	}
	if end > last && last > first {
		fresh += int64(float64(end-last) * float64(fresh) / float64(last-first+1))
	}
	l.Waiting, l.Unsettled = uint64(waiting+fresh), uint64(held)
	return l, nil
}
