package runtime

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/supervisor"
)

// letter makes the letter of a dead delivery. Whatever of the user's code is
// called for it may fail; what is known is written down all the same. With
// stuck, the codec is not asked again.
func (rt *Runtime) letter(u *unwritten, stuck bool) deadletter.Letter {
	d := u.dead
	event := d.Delivery()
	l := deadletter.Letter{
		ID: u.id, Node: rt.node, Build: rt.cfg.Build, Topic: d.Topic, Pattern: d.Pattern, Subscriber: d.Subscriber, Sequence: d.Sequence,
		GoType: fmt.Sprintf("%T", d.Event), Headers: maps.Clone(d.Headers), PublishedAt: d.PublishedAt,
		EventID: event.ID(), CausationID: event.CausationID(), CorrelationID: event.CorrelationID(),
	}
	describe(&l, d, 0)
	if l.LastFailedAt.IsZero() {
		l.FirstFailedAt, l.LastFailedAt = u.at, u.at
	}
	l.Fingerprint = deadletter.Fingerprint(l)

	t, err := rt.Topic(d.Topic)
	switch {
	case err != nil:
	case stuck:
		err = errors.New("the codec does not return")
	default:
		l.SchemaVersion = t.Version()
		if raw, ok := d.Event.(interface{ UndecodedVersion() int }); ok {
			l.SchemaVersion = raw.UndecodedVersion()
		}
		if r := panics.Try(func() { l.Payload, l.ContentType, err = t.Encode(d.Event) }); r != nil {
			err = fmt.Errorf("the codec panicked: %v", r.Value)
		}
	}
	if err != nil {
		l.Payload, l.PayloadError = nil, err.Error()
	}
	if stuck && rt.cfg.Redact != nil {
		withhold(&l, true, "withheld: the codec or Config.Redact does not return")
		return l
	}
	if t == nil {
		rt.redact(&l, true)
		return l
	}
	policy := t.Payload()
	policy.apply(&l)
	rt.redact(&l, true)
	policy.cut(&l)
	return l
}

// describe writes why and how d has died into l. redrive is the number of the
// redrive that it died in, 0 for none.
func describe(l *deadletter.Letter, d *actors.Dead, redrive int) {
	l.Reason = d.Reason
	for _, a := range d.Attempts {
		l.AddAttempt(deadletter.Attempt{
			Number: a.Number, Redrive: redrive, Started: a.Started, Duration: a.Duration,
			Cause: a.Cause.String(), Error: message(a.Err),
		})
	}
	l.AttemptCount += d.AttemptCount - len(d.Attempts)
	if len(d.Attempts) == 0 {
		return
	}
	last := d.Attempts[len(d.Attempts)-1]
	l.Cause, l.Error = last.Cause.String(), message(last.Err)
	l.ErrorTypes, l.Stack, l.PanicValue = nil, "", ""
	l.ErrorTypes = slices.DeleteFunc(deadletter.ErrorTypes(last.Err), func(t string) bool { return slices.Contains(verdictTypes, t) })
	if p := supervisor.PanicIn(last.Err); p != nil {
		l.Stack = p.Stack
		l.PanicValue = (&supervisor.PanicError{Value: p.Value}).Error()[len("panic: "):]
	}
}

// verdictTypes are those of the marks of supervisor.Permanent and its like, which
// are verdicts and not what went wrong.
var verdictTypes = []string{
	fmt.Sprintf("%T", supervisor.ErrPermanent), fmt.Sprintf("%T", (*supervisor.RetryAfterError)(nil)),
}

// message returns what an error of the user's says, if it can say it.
func message(err error) (text string) {
	if err == nil {
		return ""
	}
	if r := panics.Try(func() { text = err.Error() }); r != nil {
		return fmt.Sprintf("%T, whose Error method panics: %v", err, r.Value)
	}
	return text
}
