package runtime

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/actors"
)

// String renders the description: what is wrong first, then what there is. What
// is zero is left out where a zero says nothing.
func (d Description) String() string {
	var w textWriter
	w.line(0, "runtime %s: %s at %s%s", d.Name, d.State, d.At.Format(time.RFC3339), on(d.Node))
	for _, f := range d.Faults {
		w.line(1, "! %s", f.Message)
	}
	w.fact(1, "config", "drain timeout %v, cancel grace %v, at most %d letters on the way for a subscriber",
		d.Config.DrainTimeout, d.Config.CancelGrace, d.Config.MaxParkedLetters)
	store := "works"
	if d.Letters.Failing != "" {
		store = fmt.Sprintf("fails since %s: %s", d.Letters.Since.Format(time.RFC3339), d.Letters.Failing)
	}
	w.fact(1, "dead letters", "%s %s, %d to write", d.Config.DeadLetters, store, d.Letters.Waiting)
	w.fact(1, "total", "%s", countsText(d.Total))

	w.line(0, "")
	w.line(0, "topics")
	width := 0
	for _, t := range d.Topics {
		width = max(width, len(t.Name))
	}
	for _, t := range d.Topics {
		text := fmt.Sprintf("%-*s  %s: %d attempted, %d accepted", width, t.Name, t.Type, t.Attempted, t.Accepted)
		text += reasons("rejected", t.Rejected)
		text += some(", %d unrouted", t.Unrouted) + some(", %d publishers wait", uint64(t.Waiting))
		text += some("; stopped subscribers had %d deliveries", t.Former.Deliveries)
		w.line(1, "%s", text)
		if e := t.Engine; e != nil {
			w.line(2, "on %s%s%s", e.Name, some(": %d acknowledged", e.Acknowledged), some(", %d undecodable or suspect", e.Unhandled))
			for _, g := range e.Groups {
				w.line(2, "group %s: %d here%s%s", g.Name, g.Here, some(", %d came again", g.Again), some(", %d settled too late", g.Late))
			}
		}
	}

	w.line(0, "")
	w.group(0, d.Tree)
	return w.b.String()
}

type textWriter struct{ b strings.Builder }

func (w *textWriter) line(depth int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text != "" {
		w.b.WriteString(strings.Repeat("  ", depth))
	}
	w.b.WriteString(strings.ReplaceAll(text, "\n", " "))
	w.b.WriteByte('\n')
}

// fact writes a line with a label in front.
func (w *textWriter) fact(depth int, label, format string, args ...any) {
	w.line(depth, "%-13s%s", label, fmt.Sprintf(format, args...))
}

func (w *textWriter) group(depth int, g GroupDescription) {
	head := fmt.Sprintf("group %s: %s", g.Name, g.Strategy)
	if g.Restart != nil {
		head += "; restart " + g.Restart.String()
	}
	if g.Stopped {
		head += "; stopped"
	}
	w.line(depth, "%s", head)
	for _, s := range g.Subscribers {
		w.subscriber(depth+1, s)
	}
	for _, sub := range g.Groups {
		w.group(depth+1, sub)
	}
}

func (w *textWriter) subscriber(depth int, s SubscriberDescription) {
	name := s.Topic + "/" + s.Name
	if s.Topic == s.Name { // told directly
		name = s.Name
	}
	head := fmt.Sprintf("%s: %s", name, s.State)
	if s.Busy > 0 {
		head += fmt.Sprintf(", %v with the event in hand", round(s.Busy))
	}
	w.line(depth, "%s", head)
	capacity := fmt.Sprint(s.Capacity)
	if s.Capacity == 0 {
		capacity = "no limit"
	}
	mailbox := fmt.Sprintf("%d of %s, %s, %s", s.Counts.Queued, capacity, s.Overflow, s.Ordering)
	if s.MaxParked > 0 {
		mailbox += fmt.Sprintf(" (%d at most)", s.MaxParked)
	}
	if s.Oldest > 0 {
		mailbox += fmt.Sprintf(", oldest %v", round(s.Oldest))
	}
	w.fact(depth+1, "mailbox", "%s", mailbox)
	if t := traitsText(s); t != "" {
		w.fact(depth+1, "events", "%s", t)
	}
	if t := workersText(s); t != "" {
		w.fact(depth+1, "workers", "%s", t)
	}
	w.fact(depth+1, "account", "%s", countsText(s.Counts))
	if t := troubleText(s.Counts); t != "" {
		w.fact(depth+1, "trouble", "%s", t)
	}
	retry := s.Retry.String()
	if s.Decider {
		retry += "; a decider may overrule"
	}
	w.fact(depth+1, "retry", "%s", retry)
	w.fact(depth+1, "restart", "%s", s.Restart)
	if s.Timeout > 0 {
		w.fact(depth+1, "timeout", "%v, grace %v, at most %d zombies", s.Timeout, s.Grace, s.MaxZombies)
	}
}

// traitsText says which events are handled, and how.
func traitsText(s SubscriberDescription) string {
	var parts []string
	if s.Filter {
		parts = append(parts, "filtered")
	}
	switch s.Key {
	case "order":
		parts = append(parts, "in the order of each key")
	case "latest":
		parts = append(parts, "the newest of each key")
	}
	if s.Lanes > 0 {
		parts = append(parts, fmt.Sprintf("%d lanes of priority", s.Lanes))
	}
	if b := s.Batch; b != nil {
		parts = append(parts, fmt.Sprintf("batches of %d or after %v", b.Size, b.Period))
	}
	return strings.Join(parts, ", ")
}

// maxWorkers is how many workers a text names.
const maxWorkers = 16

// workersText says who shares the mailbox.
func workersText(s SubscriberDescription) string {
	if s.ConsumerGroup && len(s.Workers) == 0 {
		return "a group without members"
	}
	if len(s.Workers) < 2 && !s.ConsumerGroup {
		return ""
	}
	var parts []string
	for i, o := range s.Workers {
		if i == maxWorkers {
			parts = append(parts, fmt.Sprintf("and %d more", len(s.Workers)-i))
			break
		}
		parts = append(parts, o.Name+" "+string(o.State))
	}
	return strings.Join(parts, ", ")
}

// countsText renders the balance: what there was to do and what became of it.
func countsText(c actors.Counts) string {
	return fmt.Sprintf("%d deliveries: %d done", c.Deliveries, c.Done) +
		reasons("dead-lettered", c.DeadLetteredBy) + reasons("dropped", c.Dropped) + some(", %d filtered", c.Filtered) +
		some(", %d queued", c.Queued) + some(", %d in hand", c.InFlight) +
		some(", %d waiting for a retry", c.RetryWait) + some(", %d parked for the dead letters", c.Parked)
}

func troubleText(c actors.Counts) string {
	text := some(", %d failures", c.Failures) + some(", %d retries", c.Retries) + some(", %d restarts", c.Restarts) +
		some(", %d pauses", c.Pauses) + some(", %d abandoned", c.Abandoned) + some(", %d finished late", c.Late) +
		some(", %d zombies", uint64(max(0, c.Zombies))) + some(", %d redelivered", c.Redelivered)
	return strings.TrimPrefix(text, ", ")
}

// reasons renders a count with its parts, the empty string for none.
func reasons(what string, by map[string]uint64) string {
	var total uint64
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		if n := by[reason]; n > 0 {
			total += n
			parts = append(parts, fmt.Sprintf("%s %d", reason, n))
		}
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf(", %d %s (%s)", total, what, strings.Join(parts, ", "))
}

func some(format string, n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

func on(node string) string {
	if node == "" {
		return ""
	}
	return " on " + node
}

// round leaves what a person reads of a duration.
func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
