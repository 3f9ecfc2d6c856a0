package runtime

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/deadletter"
)

// withheld stands in place of what must not be seen, because nobody could say
// whether it may.
const withheld = "withheld: Config.Redact failed"

// redacted is the PayloadError of a letter whose payload Config.Redact has changed.
const redacted = "redacted by Config.Redact: edit it to send it back"

// redact has Config.Redact look at a letter before anybody else does. What the
// function may change is taken over, all else stays. If it panics, what it was to
// look at is withheld, and the letter is kept without. The payload and the headers of
// a letter that is not fresh have been looked at before, and stay.
func (rt *Runtime) redact(l *deadletter.Letter, fresh bool) {
	hook := rt.cfg.Redact
	if hook == nil {
		return
	}
	seen := l.Clone()
	if r := panics.Try(func() { hook(&seen) }); r != nil {
		withhold(l, fresh, fmt.Sprintf("%s: panic: %.200s", withheld, fmt.Sprint(r.Value)))
		return
	}
	if !bytes.Equal(l.Payload, seen.Payload) {
		seen.PayloadError = cmp.Or(seen.PayloadError, redacted)
	}
	l.Payload, l.PayloadError, l.Headers = seen.Payload, seen.PayloadError, seen.Headers
	l.Error, l.PanicValue, l.Stack = seen.Error, seen.PanicValue, seen.Stack
	for i := range min(len(l.Attempts), len(seen.Attempts)) {
		l.Attempts[i].Error = seen.Attempts[i].Error
	}
	for i := range min(len(l.Redrives), len(seen.Redrives)) {
		l.Redrives[i].Error = seen.Redrives[i].Error
	}
}

// withhold removes everything that redact is about.
func withhold(l *deadletter.Letter, fresh bool, why string) {
	hide := func(s *string) {
		if *s != "" {
			*s = withheld
		}
	}
	if fresh {
		l.Payload, l.PayloadError, l.Headers = nil, why, nil
	}
	hide(&l.Error)
	hide(&l.PanicValue)
	hide(&l.Stack)
	for i := range l.Attempts {
		hide(&l.Attempts[i].Error)
	}
	for i := range l.Redrives {
		hide(&l.Redrives[i].Error)
	}
}

// redactText is redact of a message that stands alone, as of a redrive of the letter.
func (rt *Runtime) redactText(of *deadletter.Letter, text string) string {
	if rt.cfg.Redact == nil || text == "" {
		return text
	}
	l := deadletter.Letter{
		ID: of.ID, Node: of.Node, Topic: of.Topic, Subscriber: of.Subscriber, Pattern: of.Pattern, GoType: of.GoType, Reason: of.Reason, Error: text,
	}
	rt.redact(&l, true)
	return l.Error
}
