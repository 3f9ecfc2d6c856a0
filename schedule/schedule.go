package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Interval recurs after each such time, on the monotonic clock: setting the time of
// the machine does not change it. It must be positive.
type Interval time.Duration

// Period returns the interval.
func (i Interval) Period() time.Duration { return time.Duration(i) }

// Next returns after plus the interval.
func (i Interval) Next(after time.Time) time.Time { return after.Add(time.Duration(i)) }

// Expression is a schedule that a cron expression describes; see [Cron].
type Expression struct {
	expr string
	of   cron.Schedule
	loc  *time.Location
}

// options are the fields of the classic expression, with seconds as an option.
const options = cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor

// Cron returns the schedule of a cron expression: minute, hour, day of the month,
// month and day of the week, with a field for seconds in front if there are six.
// Fields know *, lists, ranges, steps and the names of months and days; @hourly,
// @daily, @weekly, @monthly and @yearly stand for what they say. If both fields for
// days are restricted, either is enough.
//
// It is in loc; nil is UTC. Where summer time skips a time, the schedule skips it,
// too; where it repeats one, a time that is due in both comes twice.
//
// Errors: what is wrong with the expression; that it never occurs, such as February
// 30th; time zones and @every in it, which are loc and [Interval].
func Cron(expr string, loc *time.Location) (Expression, error) {
	fault := func(err error) (Expression, error) {
		return Expression{}, fmt.Errorf("schedule: cron %q: %w", expr, err)
	}
	if loc == nil {
		loc = time.UTC
	}
	switch trimmed := strings.TrimSpace(expr); {
	case strings.Contains(trimmed, "TZ="):
		return fault(errors.New("must not have a time zone: that is the second argument"))
	case strings.HasPrefix(trimmed, "@every"):
		return fault(errors.New("must not be @every: use Interval"))
	}
	of, err := cron.NewParser(options).Parse(strings.TrimSpace(expr))
	if err != nil {
		return fault(err)
	}
	if s, ok := of.(*cron.SpecSchedule); ok {
		s.Location = loc
	}
	d := Expression{expr: expr, of: of, loc: loc}
	if d.Next(time.Now()).IsZero() {
		return fault(errors.New("never occurs"))
	}
	return d, nil
}

// Next returns the first time after the given one, in the location of the schedule,
// or the zero time if there is none within five years.
func (d Expression) Next(after time.Time) time.Time {
	if d.of == nil {
		return time.Time{}
	}
	return d.of.Next(after.Round(0).In(d.loc))
}

// String returns the expression and its location.
func (d Expression) String() string {
	if d.of == nil {
		return "never"
	}
	return d.expr + " " + d.loc.String()
}
