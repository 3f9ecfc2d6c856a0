package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// wayBack is one letter's event on its way back, from the call of Redrive to the
// outcome.
type wayBack struct {
	rt   *Runtime
	l    deadletter.Letter
	cfg  *RedriveConfig
	at   Destination
	to   [2]string // at, to compare
	sub  *Subscription
	back Redelivered

	edited  bool
	eventID string // of the edited event
	as      string // what the letter is closed as then
	number  int    // of the redrive, which began, as the store has it
	began   time.Time
	refused bool   // the call of Redrive returned an error
	listed  bool   // in underWay, whose mu guards it
	errand  string // for another member of the fleet, empty for a subscriber here
	// withheld says that the letter's own payload is not what it was.
	withheld bool
	told     sync.Once
}

// wayBack finds out where a letter goes, and with what. It changes nothing.
func (rt *Runtime) wayBack(l deadletter.Letter, cfg *RedriveConfig) (*wayBack, error) {
	w := &wayBack{rt: rt, l: l, cfg: cfg, at: destination(l, cfg.To)}
	w.to = [2]string{w.at.Topic, w.at.Subscriber}
	w.withheld = l.PayloadError != ""
	if err := w.edit(); err != nil {
		return nil, err
	}
	if w.l.PayloadError != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoPayload, w.l.PayloadError)
	}
	t, err := w.topic()
	if err == nil && w.at.Subscriber != "" {
		w.sub, err = rt.Subscription(w.at.Topic, w.at.Subscriber)
	}
	if err != nil {
		return w, rt.elsewhereFor(w, err)
	}
	if cfg.Rehearse && (w.sub == nil || !w.sub.cell.Config().Rehearsal) {
		return nil, fmt.Errorf("%w: %s/%s: set Rehearsal in its SubscriberConfig", ErrNoRehearsal, w.at.Topic, w.at.Subscriber)
	}
	w.back = redelivered(w.l, t.Name())
	if w.edited {
		w.back.EventID, w.back.PublishedAt = w.eventID, time.Now()
	}
	return w, nil
}

// edit puts what RedriveConfig.Edit says in place of the letter's event.
func (w *wayBack) edit() error {
	if w.cfg.Edit == nil {
		return nil
	}
	var e Edited
	err := guarded(func() (err error) {
		e, err = w.cfg.Edit(w.l.Clone())
		return err
	})
	if err != nil {
		return err
	}
	w.edited, w.eventID, w.as = true, e.EventID, cmp.Or(e.As, deadletter.ClosedByEdit)
	if w.eventID == "" {
		w.eventID = actors.NewID(time.Now())
	}
	if e.Payload != nil {
		w.l.Payload, w.l.PayloadError = e.Payload, ""
	}
	w.l.ContentType = cmp.Or(e.ContentType, w.l.ContentType)
	headers := maps.Clone(w.l.Headers)
	if e.Headers != nil {
		headers = maps.Clone(e.Headers)
	}
	if headers == nil {
		headers = map[string]string{}
	}
	was := cmp.Or(w.l.EventID, w.l.ID)
	headers[actors.HeaderCausation] = was
	headers[actors.HeaderCorrelation] = cmp.Or(w.l.CorrelationID, was)
	w.l.Headers = headers
	return nil
}

// topic returns the topic as whose event the letter's is decoded.
func (w *wayBack) topic() (Topic, error) {
	name := w.at.Topic
	if IsPattern(name) {
		if w.at.Subscriber == "" {
			return nil, fmt.Errorf("%w: %s is a pattern: name a topic, or a subscriber", ErrUnknownTopic, name)
		}
		if !matches(name, w.l.Topic) {
			return nil, fmt.Errorf("%w: %s/%s gets nothing of %s", ErrUnknownTopic, name, w.at.Subscriber, w.l.Topic)
		}
		name = w.l.Topic
	}
	t, err := w.rt.Topic(name)
	if err != nil {
		return nil, err
	}
	if typ := t.Type(); name != w.l.Topic && !w.edited && typ.Kind() != reflect.Interface && w.l.GoType != "" && typ.String() != w.l.GoType {
		return nil, fmt.Errorf("%w: %s carries %v, and the letter's event is a %s: edit it", ErrTypeMismatch, name, typ, w.l.GoType)
	}
	return t, nil
}

// matches reports whether the name of a topic matches a pattern.
func matches(pattern, name string) bool {
	have := strings.Split(name, ".")
	want := strings.Split(pattern, ".")
	for i, part := range want {
		switch {
		case i >= len(have):
			return false
		case part == anyRest:
			return true
		case part != anyPart && part != have[i]:
			return false
		}
	}
	return len(have) == len(want)
}

// give puts the event where it goes.
func (w *wayBack) give(ctx context.Context) error {
	if w.errand != "" {
		w.rt.fleet.send(w)
		return nil
	}
	if w.sub != nil {
		r := &actors.Redelivery{
			LetterID: w.l.ID, EventID: w.back.EventID, Number: w.number, Budget: w.cfg.Budget, Ended: w.ended, Note: w,
		}
		if w.cfg.Rehearse {
			r.Rehearsal, r.Budget = true, 1
		}
		return w.sub.cell.Redeliver(w.back, r)
	}
	t, err := w.rt.Topic(w.at.Topic)
	if err != nil {
		return err
	}
	if err := t.Republish(ctx, w.back); err != nil {
		return err
	}
	message := "published again"
	if w.at.Topic != w.l.Topic || w.l.Subscriber != "" {
		message = "published to " + w.at.Topic
	}
	w.rt.letters.redriven(w, deadletter.OutcomeDone, message)
	return nil
}

// full reports whether the subscriber has no room for others of its letters either.
func (w *wayBack) full(err error) bool { return errors.Is(err, mailbox.ErrFull) }

// ended notes an outcome that is not another dead letter.
func (w *wayBack) ended(dropped string, err error) {
	outcome, text := deadletter.OutcomeAborted, dropped
	switch {
	case dropped == "":
		outcome, text = deadletter.OutcomeDone, ""
	case dropped == supervisor.ReasonSkipped:
		outcome, text = deadletter.OutcomeSkipped, w.rt.redactText(&w.l, message(err))
	case w.cfg.Rehearse && err != nil && !errors.Is(err, actors.ErrStopped):
		outcome, text = deadletter.OutcomeFailed, message(err)
	}
	if w.cfg.Rehearse {
		w.tell(Redriven{Outcome: outcome, Error: text})
		return
	}
	w.rt.letters.redriven(w, outcome, text)
}

// failedAgain records that a redriven event has become a dead letter again.
func (w *wayBack) failedAgain(l *deadletter.Letter, d *actors.Dead, at time.Time) error {
	if !w.is(l) {
		return deadletter.ErrNotRedriving
	}
	if w.elsewhere() {
		// What it says of its own failure holds.
		return l.EndRedrive(w.outcomeOf(d), cmp.Or(w.rt.redactText(&w.l, deathMessage(d)), d.Reason), at)
	}
	reason := l.Reason
	describe(l, d, w.number)
	if w.outcomeOf(d) == deadletter.OutcomeAborted {
		l.Reason = reason // it was not attempted, so what is known of the failure still holds
	} else {
		l.Fingerprint = deadletter.Fingerprint(*l)
	}
	w.rt.redact(l, false)
	return l.EndRedrive(w.outcomeOf(d), d.Reason, at)
}

// is reports whether it is this redrive that the letter is in: not one before, nor one
// that has begun after this one has turned out not to be in the store.
func (w *wayBack) is(l *deadletter.Letter) bool {
	n := len(l.Redrives)
	return n > 0 && l.Redrives[n-1].Number == w.number && l.Redrives[n-1].StartedAt.Equal(w.began)
}

// elsewhere reports whether the event went to another than who had failed.
func (w *wayBack) elsewhere() bool { return w.at != destination(w.l, Destination{}) }

func (w *wayBack) outcomeOf(d *actors.Dead) deadletter.Outcome {
	if len(d.Attempts) == 0 {
		return deadletter.OutcomeAborted
	}
	return deadletter.OutcomeFailed
}

// deathMessage returns what the last attempt said.
func deathMessage(d *actors.Dead) string {
	if n := len(d.Attempts); n > 0 {
		return message(d.Attempts[n-1].Err)
	}
	return ""
}

// outcome returns the change of the letter that records an outcome. It changes nothing
// once the letter has been redriven again.
func (w *wayBack) outcome(o deadletter.Outcome, text string, at time.Time) func(*deadletter.Letter) error {
	return func(l *deadletter.Letter) error {
		if !w.is(l) {
			return deadletter.ErrNotRedriving
		}
		err := l.EndRedrive(o, text, at)
		if c := l.Closed; err == nil && c != nil && l.State == deadletter.StateResolved {
			c.Why = w.cfg.Why
			if w.edited {
				c.As, c.EventID = w.as, w.eventID
			}
		}
		return err
	}
}

// wayOf returns the way back that d has died on, nil if it is no redelivery.
func wayOf(d *actors.Dead) *wayBack {
	if d.Redelivery == nil {
		return nil
	}
	w, _ := d.Redelivery.Note.(*wayBack)
	return w
}

// succeeded resolves the letter after the event that was sent in its place has become
// the letter of u.
func (w *wayBack) succeeded(u *unwritten) {
	now := time.Now()
	result := u.result
	result.NewLetter = u.id
	w.rt.letters.note(&unwritten{id: w.l.ID, at: now, way: w, result: result,
		outcome: w.outcome(deadletter.OutcomeDone, SucceededBy+u.id, now)})
}

// SucceededBy begins the message of a redrive that is done because the event that was
// sent in place of the letter's has become a letter, whose ID follows.
const SucceededBy = "the new event is letter "

// tell says how it has ended, once.
func (w *wayBack) tell(r Redriven) {
	w.told.Do(func() {
		if r.Unsaved == nil {
			w.rt.underWay.remove(w)
		}
		if w.cfg.Ended != nil && !w.refused {
			r.Letter, r.EventID = w.l.ID, w.eventID
			if r.Outcome == deadletter.OutcomeFailed {
				r.Error = w.rt.redactText(&w.l, r.Error)
			}
			_ = guarded(func() error { w.cfg.Ended(r); return nil })
		}
	})
}

// underWay knows the letters whose events this runtime has given back and that have
// no outcome in the store, and those for which it tries to: several calls may.
type underWay struct {
	mu   sync.Mutex
	ways map[string]int
}

func (u *underWay) add(w *wayBack) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ways == nil {
		u.ways = map[string]int{}
	}
	u.ways[w.l.ID]++
	w.listed = true
}

func (u *underWay) remove(w *wayBack) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !w.listed {
		return
	}
	w.listed = false
	if u.ways[w.l.ID]--; u.ways[w.l.ID] == 0 {
		delete(u.ways, w.l.ID)
	}
}

func (u *underWay) has(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ways[id] > 0
}
