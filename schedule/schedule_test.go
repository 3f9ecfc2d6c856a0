package schedule_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // what summer time does must not depend on the machine

	"github.com/troupe-go/troupe/schedule"
)

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestCron(t *testing.T) {
	for _, c := range []struct {
		expr, zone, after string
		want              []string // in UTC
	}{
		{"*/20 * * * *", "UTC", "2026-01-01T00:00:00Z", []string{"01-01T00:20:00", "01-01T00:40:00", "01-01T01:00:00"}},
		{"15 30 6 * * *", "UTC", "2026-01-01T06:30:15Z", []string{"01-02T06:30:15", "01-03T06:30:15"}},
		{"0 9 * * mon-fri", "Europe/Berlin", "2026-01-02T08:00:00Z", []string{"01-05T08:00:00", "01-06T08:00:00"}},
		{"0 0 29 feb *", "UTC", "2026-01-01T00:00:00Z", []string{"02-29T00:00:00"}},
		{"0 0 1 * sun", "UTC", "2026-01-01T00:00:00Z", []string{"01-04T00:00:00", "01-11T00:00:00"}},
		{"@daily", "Asia/Tokyo", "2026-01-01T00:00:00Z", []string{"01-01T15:00:00", "01-02T15:00:00"}},
		// 02:30 is not there on March 8th, and 01:30 twice on November 1st.
		{"30 2 * * *", "America/New_York", "2026-03-07T00:00:00Z", []string{"03-07T07:30:00", "03-09T06:30:00"}},
		{"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", []string{"11-01T05:30:00", "11-01T06:30:00", "11-02T06:30:00"}},
	} {
		s, err := schedule.Cron(c.expr, location(t, c.zone))
		if err != nil {
			t.Errorf("Cron(%q): %v", c.expr, err)
			continue
		}
		at, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			at = s.Next(at)
			if got := at.UTC().Format("01-02T15:04:05"); got != want {
				t.Errorf("%v: next %s, want %s", s, got, want)
				break
			}
			if at.Location().String() != c.zone {
				t.Errorf("%v: next is in %v", s, at.Location())
			}
		}
	}
}

func TestCronRefuses(t *testing.T) {
	for expr, want := range map[string]string{
		"":                       "empty",
		"* * * *":                "expected 5 to 6 fields",
		"60 * * * *":             "60",
		"*/0 * * * *":            "step",
		"0 0 30 feb *":           "never occurs",
		"TZ=UTC":                 "must not have a time zone",
		"CRON_TZ=UTC 0 0 * * *":  "must not have a time zone",
		"@every 5m":              "use Interval",
		"@reboot":                "@reboot",
		"* * * * * * *":          "expected 5 to 6 fields",
		"99999999999999999999 *": "expected 5 to 6 fields",
	} {
		s, err := schedule.Cron(expr, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "schedule: cron ") {
			t.Errorf("Cron(%q) = %v, %v; want an error with %q", expr, s, err, want)
		}
	}
}

func TestZeroExpressionNeverOccurs(t *testing.T) {
	var s schedule.Expression
	if next := s.Next(time.Now()); !next.IsZero() || s.String() != "never" {
		t.Errorf("%v: next %v", s, next)
	}
}

// FuzzCron: no expression panics, and what is taken goes forward.
func FuzzCron(f *testing.F) {
	for _, expr := range []string{"*/20 * * * *", "30 6 * * mon-fri", "0 0 1,15 jan-mar/2 ?", "@weekly", "TZ=", "1-0 * * * *", "@"} {
		f.Add(expr)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := schedule.Cron(expr, berlin)
		if err != nil {
			return
		}
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		for range 5 {
			next := s.Next(at)
			if next.IsZero() {
				return // none within five years
			}
			if !next.After(at) {
				t.Fatalf("%q: next after %v is %v", expr, at, next)
			}
			at = next
		}
	})
}
