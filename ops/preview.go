package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// maxExamples is how many letters that would be left a preview names.
const maxExamples = 20

// Preview is what a redrive would do.
type Preview struct {
	Total       int            `json:"total"`
	Open        int            `json:"open"` // others are left alone
	Subscribers []PreviewCount `json:"subscribers"`
	Gone        int            `json:"gone"`     // their subscriber, or topic, is not there
	Redriven    map[int]int    `json:"redriven"` // how often already → letters
	Undecodable int            `json:"undecodable"`
	Left        int            `json:"left"`                  // all that would be left, for whatever reason
	Examples    []PreviewFault `json:"examples,omitempty"`    // of those that would be left
	Budget      string         `json:"budget"`                // in words
	Estimate    time.Duration  `json:"estimate_ns,omitempty"` // at the rate; zero without one
}

// PreviewCount counts the letters that would go to a subscriber.
type PreviewCount struct {
	Topic      string `json:"topic"`
	Subscriber string `json:"subscriber"` // empty: all of the topic
	Count      int    `json:"count"`
	// State is that of the subscriber; elsewhere if it is another member's of the
	// fleet, and gone if it is nobody's.
	State string `json:"state"`
}

// PreviewFault is a letter that would be left, and why.
type PreviewFault struct {
	Letter string `json:"letter"`
	Why    string `json:"why"`
}

// Preview says what a redrive would do now. It changes nothing and calls no handler, but
// decodes every payload, after the fix if there is one: it costs a read of all letters,
// which can be ended by ctx.
//
// Errors: those of Redrive; [ErrReadOnly] at a desk without a runtime, which does not
// know who is there.
func (d *Desk) Preview(ctx context.Context, r Redrive) (Preview, error) {
	if d.rt == nil {
		return Preview{}, ErrReadOnly
	}
	if err := d.validate(r); err != nil {
		return Preview{}, err
	}
	p := Preview{Redriven: map[int]int{}, Subscribers: []PreviewCount{}, Budget: d.budget(r)}
	counts := map[runtime.Destination]*PreviewCount{}
	to := r.To.destination()
	for l, err := range d.each(ctx, r.Scope, kindRedrive) {
		if err != nil {
			return Preview{}, err
		}
		p.Total++
		if l.State == deadletter.StateOpen {
			p.Open++
		}
		if n := l.RedriveCount(); n > 0 {
			p.Redriven[n]++
		}
		why := d.foresee(ctx, r, l, to, &p, counts)
		if why == "" {
			continue
		}
		p.Left++
		if len(p.Examples) < maxExamples {
			p.Examples = append(p.Examples, PreviewFault{Letter: l.ID, Why: why})
		}
	}
	for _, c := range counts {
		p.Subscribers = append(p.Subscribers, *c)
	}
	slices.SortFunc(p.Subscribers, func(a, b PreviewCount) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Subscriber, b.Subscriber))
	})
	if r.Rate > 0 {
		p.Estimate = time.Duration(float64(p.Total-p.Left) / r.Rate * float64(time.Second))
	}
	return p, nil
}

// foresee returns why a letter would be left, and counts it.
func (d *Desk) foresee(ctx context.Context, r Redrive, l deadletter.Letter, to runtime.Destination, p *Preview, counts map[runtime.Destination]*PreviewCount) string {
	switch {
	case l.State == "": // of each: an ID that is not there
		return "the letter is gone"
	case l.State != deadletter.StateOpen && !r.Rehearse:
		return "the letter is " + closedAs(l)
	}
	_, at, err := d.rt.RedriveRoom(l, to)
	c := counts[at]
	if c == nil {
		c = &PreviewCount{Topic: at.Topic, Subscriber: at.Subscriber, State: d.subscriberState(at, err)}
		counts[at] = c
	}
	c.Count++
	if err != nil {
		p.Gone++
		return err.Error()
	}
	if r.Rehearse && !d.rehearses(at) {
		return runtime.ErrNoRehearsal.Error()
	}
	if r.Fix != "" {
		payload, err := d.fixes(r.Fix).run(ctx, l.Clone())
		if err != nil {
			return err.Error()
		}
		l.Payload, l.PayloadError, l.GoType = payload, "", ""
	}
	if _, err := d.rt.DecodeLetter(l, to); err != nil && !errors.Is(err, runtime.ErrElsewhere) {
		if !errors.Is(err, runtime.ErrNoPayload) {
			p.Undecodable++
		}
		return err.Error()
	}
	return ""
}

func (d *Desk) subscriberState(at runtime.Destination, err error) string {
	if err != nil {
		return "gone"
	}
	if at.Subscriber == "" {
		return "topic"
	}
	s, err := d.rt.Subscription(at.Topic, at.Subscriber)
	if err != nil {
		return "elsewhere" // in the fleet, or there was an error before
	}
	return string(s.Subscriber().State())
}

func (d *Desk) rehearses(at runtime.Destination) bool {
	s, err := d.rt.Subscription(at.Topic, at.Subscriber)
	return err == nil && s.Subscriber().Config().Rehearsal
}

// budget says how many attempts each letter gets.
func (d *Desk) budget(r Redrive) string {
	switch {
	case r.Rehearse:
		return "one call of the handler, without consequences"
	case r.To.Topic != "" && r.To.Subscriber == "":
		return "a new event for " + r.To.String() + ", with the attempts of their retry policies"
	case r.Budget == 1:
		return "1 attempt, whatever the retry policy says"
	case r.Budget > 1:
		return fmt.Sprintf("%d attempts, whatever the retry policy says", r.Budget)
	}
	text := "fresh: as many attempts as the subscriber's retry policy grants to a new event"
	if r.To.Subscriber == "" {
		return text
	}
	if s, err := d.rt.Subscription(r.To.Topic, r.To.Subscriber); err == nil {
		switch n := s.Subscriber().Config().Policy.Retry.MaxAttempts; n {
		case supervisor.Unlimited:
			text += ", which is no limit"
		case supervisor.NoRetry:
			text += ", which is 1"
		default:
			text += fmt.Sprintf(", which is %d", n)
		}
	}
	return text
}
