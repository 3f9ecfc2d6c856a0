package search

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// derive fills in what follows from Field, Op and Value, or says what is wrong.
func (t *Term) derive() error {
	f, ok := lookup(t.Field)
	if !ok || f.Name != t.Field || f.Kind == Presence {
		return fmt.Errorf("no field %q", t.Field)
	}
	if t.Op < Match || t.Op > Exists {
		return fmt.Errorf("no operator %d", t.Op)
	}
	if err := f.allowsPath(t.Path); err != nil {
		return err
	}
	if t.Op == Exists {
		switch {
		case f.Name == "":
			return errors.New("has: needs a field")
		case t.Value != "" || t.Parts != nil:
			return errors.New("has: needs a field and no value")
		}
		return nil
	}
	if t.Parts != nil && (len(t.Parts) < 2 || f.Kind != Name && f.Kind != Text && f.Kind != State && len(t.Path) == 0) {
		return fmt.Errorf("%s cannot be a pattern", f.Name)
	}
	switch {
	case f.Kind == Name || f.Kind == State:
		if t.Op != Match {
			return fmt.Errorf("%s has no order: write %[1]s:value", f.Name)
		}
		if f.Kind == State && t.Parts == nil && !slices.Contains(States, t.Value) {
			return fmt.Errorf("no state %q: there are %s", t.Value, strings.Join(States, ", "))
		}
	case f.Kind == Text && len(t.Path) == 0:
		if t.Op != Contains {
			return fmt.Errorf("%s has no order: write %[1]s:text", f.Name)
		}
		if strings.Trim(t.Value, "*") == "" && t.Value != "*" || t.Parts != nil && strings.Join(t.Parts, "") == "" && t.Field != "" {
			return errors.New("an empty text is in everything: write has:field, or -has:field")
		}
	case f.Kind == Text: // a value in the payload
		if t.Op == Contains {
			return errors.New("a payload value is matched, and not searched")
		}
		number := false
		if t.Parts == nil {
			t.Number, number = ParseNumber(t.Value)
		}
		if t.Op != Match && !number {
			if t.Parts != nil {
				return errors.New("a pattern has no order")
			}
			var err error
			if t.Time, t.Until, t.Relative, err = parseTime(t.Value, time.Time{}); err != nil {
				return fmt.Errorf("%q is neither a number nor a time, and has no order", t.Value)
			}
		}
	case f.Kind == Integer:
		if t.Op == Contains {
			return fmt.Errorf("%s is a number, and not searched", f.Name)
		}
		var ok bool
		if t.Number, ok = ParseNumber(t.Value); !ok {
			return fmt.Errorf("%q is no number", t.Value)
		}
	case f.Kind == Time:
		if t.Op == Contains {
			return fmt.Errorf("%s is a time, and not searched", f.Name)
		}
		var err error
		if t.Time, t.Until, t.Relative, err = parseTime(t.Value, time.Time{}); err != nil {
			return err
		}
	case f.Kind == Duration:
		if !t.Op.compares() {
			return fmt.Errorf("%s is never exact: write %[1]s:>%s or %[1]s:<%[2]s", f.Name, orElse(t.Value, "1h"))
		}
		var err error
		if t.Age, err = parseDuration(t.Value); err != nil {
			return err
		}
		t.Relative = true
	case f.Kind == Flag:
		if t.Op != Match || t.Value != "yes" && t.Value != "no" {
			return fmt.Errorf("%s is yes or no", f.Name)
		}
		t.Relative = true
	}
	return nil
}

// fix sets Time and Until of a relative term.
func (t *Term) fix(now time.Time) {
	switch f, _ := lookup(t.Field); f.Kind {
	case Duration:
		t.Time = now.Add(-t.Age)
		t.Until = t.Time.Add(1)
	case Flag:
		t.Time, t.Until = now, now.Add(1)
	default:
		t.Time, t.Until, _, _ = parseTime(t.Value, now)
	}
	if t.Time.IsZero() { // which would mean not fixed
		t.Time = t.Time.Add(1)
	}
}

var errTime = errors.New("write 2026-11-20, 2026-11-20T15:04, 2026-11-20T15:04:05Z, now-1h, today or yesterday")

// layouts are the absolute times, each with the length of what it means; zero is
// for what is as long as its month or year.
var layouts = []struct {
	layout string
	length time.Duration
}{
	{"2006-01-02T15:04:05.999999999Z07:00", time.Second},
	{"2006-01-02T15:04:05.999999999", time.Second},
	{"2006-01-02T15:04Z07:00", time.Minute},
	{"2006-01-02T15:04", time.Minute},
	{"2006-01-02T15", time.Hour},
	{"2006-01-02", 24 * time.Hour},
	{"2006-01", 0},
	{"2006", 0},
}

// ParseTime reads an absolute time and returns the span that it means; a time
// without a zone is in UTC.
func ParseTime(text string) (from, until time.Time, err error) {
	if len(text) > 10 && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	for _, l := range layouts {
		t, err := time.Parse(l.layout, text)
		if err != nil {
			continue
		}
		t = t.UTC()
		switch {
		case l.layout == "2006":
			until = t.AddDate(1, 0, 0)
		case l.layout == "2006-01":
			until = t.AddDate(0, 1, 0)
		case l.length == time.Second && strings.ContainsAny(text, ".,"):
			until = t.Add(1)
		default:
			until = t.Add(l.length)
		}
		if t.IsZero() {
			break // the year 1 means that there is no time
		}
		return t, until, nil
	}
	return time.Time{}, time.Time{}, fmt.Errorf("%q is no time: %w", text, errTime)
}

// parseTime reads any time. Without now, a relative one is zero.
func parseTime(text string, now time.Time) (from, until time.Time, relative bool, err error) {
	lower := strings.ToLower(text)
	day, ok := map[string]int{"today": 0, "yesterday": -1}[lower]
	if ok {
		if !now.IsZero() {
			from = now.UTC().Truncate(24*time.Hour).AddDate(0, 0, day)
			until = from.AddDate(0, 0, 1)
		}
		return from, until, true, nil
	}
	if rest, ok := strings.CutPrefix(lower, "now"); ok {
		var d time.Duration
		if rest != "" {
			if rest[0] != '-' && rest[0] != '+' {
				return from, until, false, fmt.Errorf("%q is no time: %w", text, errTime)
			}
			if d, err = parseDuration(rest[1:]); err != nil {
				return from, until, false, err
			}
			if rest[0] == '-' {
				d = -d
			}
		}
		if !now.IsZero() {
			from = now.UTC().Add(d)
			until = from.Add(1)
		}
		return from, until, true, nil
	}
	if d, derr := parseDuration(text); derr == nil && d > 0 {
		return from, until, false, fmt.Errorf("%q is a duration, not a time: write now-%[1]s", text)
	}
	from, until, err = ParseTime(text)
	return from, until, false, err
}

// parseDuration reads durations as Go writes them, and d for 24 hours and w for 7
// days.
func parseDuration(text string) (time.Duration, error) {
	fault := func() (time.Duration, error) {
		return 0, fmt.Errorf("%q is no duration: write 90s, 15m, 1h30m, 2d or 1w", text)
	}
	var sum time.Duration
	rest := text
	for first := true; rest != "" || first; first = false {
		n := 0
		for n < len(rest) && (isDigit(rest[n]) || rest[n] == '.') {
			n++
		}
		u := n
		for u < len(rest) && !isDigit(rest[u]) && rest[u] != '.' {
			u++
		}
		number, unit := rest[:n], rest[n:u]
		factor := time.Duration(1)
		switch unit {
		case "d":
			unit, factor = "h", 24
		case "w":
			unit, factor = "h", 7*24
		}
		d, err := time.ParseDuration(number + unit)
		if err != nil || number == "" || unit == "" || d > (math.MaxInt64-sum)/factor {
			return fault()
		}
		sum += d * factor
		rest = rest[u:]
	}
	return sum, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
