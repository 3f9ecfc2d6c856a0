package ops

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"go.uber.org/zap"
)

const (
	// gather is how long news of letters are gathered before groups are looked at.
	gather = 200 * time.Millisecond
	// maxGroups bounds the groups that are watched. News of others wait for those.
	maxGroups = 10000
	// rateSpans divide the minute that a rate is counted over.
	rateSpans = 6
)

// alerter finds out what is worth an alert, and delivers it.
type alerter struct {
	d     *Desk
	cfg   Alerts
	began time.Time
	wake  chan struct{} // has room for one
	ways  []*way

	mu      sync.Mutex
	heard   map[string]*heard // by group, to be looked at
	unheard int               // letters of groups beyond maxGroups

	// The watcher's.
	groups map[string]*groupWatch
	told   map[string]time.Time // by kind and object
}

// heard is news of a group.
type heard struct {
	last runtime.LetterNews
	n    int
}

// groupWatch counts the letters of a group in the last minute.
type groupWatch struct {
	counts [rateSpans]int
	span   int64 // the newest
}

// newAlerter returns nil if nobody wants to be told.
func newAlerter(d *Desk) *alerter {
	if !d.cfg.Alerts.set() {
		return nil
	}
	a := &alerter{
		d: d, cfg: d.cfg.Alerts, began: time.Now(), wake: make(chan struct{}, 1),
		heard: map[string]*heard{}, groups: map[string]*groupWatch{}, told: map[string]time.Time{},
	}
	if a.cfg.Hook != nil {
		a.ways = append(a.ways, &way{name: "hook", try: a.callHook, queue: make(chan Alert, a.cfg.Queue)})
	}
	if a.cfg.Webhook.URL != "" {
		a.ways = append(a.ways, &way{name: "webhook", try: a.post, queue: make(chan Alert, a.cfg.Queue)})
	}
	return a
}

// hear is told of letters by the goroutine that writes them.
func (a *alerter) hear(news []runtime.LetterNews) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range news {
		if n.Outcome != "" && n.Outcome != deadletter.OutcomeFailed {
			continue
		}
		h := a.heard[n.Fingerprint]
		if h == nil {
			if len(a.heard) >= maxGroups {
				a.unheard++
				continue
			}
			h = &heard{}
			a.heard[n.Fingerprint] = h
		}
		h.last = n
		h.n++
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// watch is the goroutine that finds out.
func (a *alerter) watch() {
	tick := time.NewTicker(a.cfg.Period)
	defer tick.Stop()
	life := a.d.life
	for {
		select {
		case <-tick.C:
			a.lookAtStore(life)
		case <-a.wake:
			a.lookAtGroups(life)
			select { // what comes meanwhile is looked at together
			case <-time.After(gather):
			case <-life.Done():
				return
			}
		case <-life.Done():
			return
		}
	}
}

func (a *alerter) lookAtGroups(ctx context.Context) {
	a.mu.Lock()
	all, unheard := a.heard, a.unheard
	a.heard, a.unheard = map[string]*heard{}, 0
	a.mu.Unlock()
	if unheard > 0 {
		a.d.log.Warn("too many groups fail at once for alerts", zap.Int("letters", unheard))
	}
	now := time.Now()
	if len(a.groups) > maxGroups {
		clear(a.groups)
	}
	for fingerprint, h := range all {
		if a.cfg.Rate != NoAlert {
			w := a.groups[fingerprint]
			if w == nil {
				w = &groupWatch{}
				a.groups[fingerprint] = w
			}
			if n := w.add(now, h.n); n > a.cfg.Rate {
				a.about(h.last, AlertRate, n, fmt.Sprintf("%d letters within a minute", n))
			}
		}
		g, err := a.d.ledger.Group(ctx, fingerprint)
		if err != nil {
			continue // gone already, or the store fails, which is told
		}
		switch {
		case g.StateOf() == deadletter.GroupRegressed:
			a.about(h.last, AlertRegression, g.Counts[deadletter.StateOpen], "failed again after a redrive")
		case g.StateOf() == deadletter.GroupNew && !g.FirstSeen.Before(a.began):
			if a.once(AlertNewGroup, fingerprint) {
				a.about(h.last, AlertNewGroup, g.Counts[deadletter.StateOpen], "fails in a new way: "+firstLine(g.Error))
			}
		}
	}
}

// once reports whether the group has not been told of as new: that it is so once.
func (a *alerter) once(kind, object string) bool {
	_, known := a.told[kind+" "+object]
	return !known
}

// add counts n more letters, and returns how many there were within a minute.
func (w *groupWatch) add(now time.Time, n int) (sum int) {
	const width = int64(time.Minute / rateSpans)
	span := now.UnixNano() / width
	for s := max(w.span+1, span-rateSpans+1); s <= span; s++ {
		w.counts[s%rateSpans] = 0
	}
	w.span = max(w.span, span)
	w.counts[w.span%rateSpans] += n
	for _, c := range w.counts {
		sum += c
	}
	return sum
}

// about alerts of a group.
func (a *alerter) about(n runtime.LetterNews, kind string, count int, text string) {
	who := n.Topic
	if n.Subscriber != "" {
		who += "/" + n.Subscriber
	}
	a.tell(n.Fingerprint, Alert{
		Kind: kind, Group: n.Fingerprint, Topic: n.Topic, Subscriber: n.Subscriber, Reason: n.Reason, Letter: n.ID,
		Count: count, Text: who + ": " + text,
	})
}

func (a *alerter) lookAtStore(ctx context.Context) {
	if s := a.d.rt.Snapshot().Letters; s.Failing != "" {
		a.tell("", Alert{Kind: AlertStoreFailing, Count: s.Waiting,
			Text: fmt.Sprintf("the dead-letter store fails, %d letters wait: %s", s.Waiting, s.Failing)})
		return
	}
	account, err := a.d.ledger.Account(ctx)
	if err != nil {
		return
	}
	if age := time.Since(account.Oldest); a.cfg.Oldest != NoAlert && !account.Oldest.IsZero() && age > a.cfg.Oldest {
		a.tell("", Alert{Kind: AlertOldest, Count: int(account.Open),
			Text: fmt.Sprintf("the oldest of %d open letters failed first %v ago", account.Open, age.Round(time.Second))})
	}
	if a.cfg.Fill != NoAlert && account.Fill >= a.cfg.Fill {
		a.tell("", Alert{Kind: AlertFilling, Count: int(account.Added),
			Text: fmt.Sprintf("the dead-letter store is %.0f %% full; when it is full, old letters give way", 100*account.Fill)})
	}
}

// stopped alerts of a redrive, from its goroutine.
func (a *alerter) stopped(op deadletter.Operation, why string) {
	a.enqueue(Alert{Kind: AlertRedriveStopped, Operation: op.ID, Count: op.Total, Text: "redrive of " + op.By + " stopped: " + why})
}

// tell alerts unless it has within the cool-down.
func (a *alerter) tell(object string, alert Alert) {
	now := time.Now()
	key := alert.Kind + " " + object
	if at, known := a.told[key]; known && now.Sub(at) < a.cfg.Cooldown {
		return
	}
	if len(a.told) > 2*maxGroups {
		for k, at := range a.told {
			if now.Sub(at) >= a.cfg.Cooldown {
				delete(a.told, k)
			}
		}
	}
	a.told[key] = now
	a.enqueue(alert)
}

func (a *alerter) enqueue(alert Alert) {
	alert.At = time.Now()
	alert.ID = deadletter.NewID(alert.At)
	alert.Runtime, alert.Node = a.d.rt.Name(), a.d.rt.Node()
	for _, w := range a.ways {
		select {
		case w.queue <- alert:
		default:
			a.d.log.Error("alert dropped, too many wait for delivery", zap.String("way", w.name), zap.String("kind", alert.Kind),
				zap.String("text", alert.Text), zap.Int64("dropped", w.dropped.Add(1)))
		}
	}
}

// way is one of the ways to tell somebody. One that fails does not hold up others.
type way struct {
	name    string
	try     func(context.Context, Alert) error
	queue   chan Alert
	dropped atomic.Int64
}

// deliver is the goroutine of a way.
func (a *alerter) deliver(w *way) {
	for {
		select {
		case alert := <-w.queue:
			a.persist(w, alert)
		case <-a.d.life.Done():
			if n := len(w.queue); n > 0 {
				a.d.log.Error("alerts not delivered, the desk is closed", zap.String("way", w.name), zap.Int("alerts", n))
			}
			return
		}
	}
}

// persist tries until it works.
func (a *alerter) persist(w *way, alert Alert) {
	pause := time.Second
	for n := 1; ; n++ {
		ctx, cancel := context.WithTimeout(a.d.life, a.cfg.Timeout)
		err := w.try(ctx, alert)
		cancel()
		switch {
		case err == nil:
			return
		case n >= a.cfg.Attempts || a.d.life.Err() != nil:
			a.d.log.Error("alert not delivered", zap.String("way", w.name), zap.Int("attempts", n), zap.Error(err),
				zap.String("kind", alert.Kind), zap.String("text", alert.Text))
			return
		}
		select {
		case <-time.After(pause):
		case <-a.d.life.Done():
		}
		pause = min(2*pause, time.Minute)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
