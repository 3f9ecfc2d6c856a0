// Package schedule says when something recurs, for topics.Topic.PublishEvery:
//
//	daily, err := schedule.Cron("30 6 * * 1-5", berlin)
//	_, err = reports.PublishEvery("daily", daily, func(ctx context.Context, due time.Time) (Report, error) { … })
//	_, err = pings.PublishEvery("heartbeat", schedule.Interval(10*time.Second), beat)
//
// It is a package of its own so that only those who use cron expressions depend on
// the library that reads them.
package schedule
