package ops

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

// Edit is an event to send in place of a letter's.
type Edit struct {
	// Payload is the new event, if the letter's content type is JSON, and Raw if it
	// is not. Without either it stays as it is.
	Payload json.RawMessage   `json:"payload,omitempty"`
	Raw     []byte            `json:"raw,omitempty"`
	Headers map[string]string `json:"headers,omitempty"` // nil: as they are
	// To is another subscriber or topic; zero is the subscriber that failed.
	To Target `json:"to,omitzero"`
	// Budget is the number of attempts, 0 those of the retry policy.
	Budget int `json:"budget"`
}

// Edited says what an edit did, or would do.
type Edited struct {
	EventID string     `json:"event_id,omitempty"` // of the new event; empty in a preview
	Diff    []DiffLine `json:"diff"`
}

// isJSON reports whether payloads of that content type are JSON.
func isJSON(contentType string) bool {
	base, _, _ := strings.Cut(contentType, ";")
	base = strings.TrimSpace(strings.ToLower(base))
	return base == "application/json" || base == "text/json" || strings.HasSuffix(base, "+json")
}

// apply returns the letter with what the edit says, and how it differs.
func (e Edit) apply(l deadletter.Letter) (deadletter.Letter, []DiffLine, error) {
	payload := e.Raw
	switch {
	case e.Payload != nil && e.Raw != nil:
		return l, nil, invalid("Edit: set Payload or Raw, not both")
	case e.Payload != nil && !isJSON(l.ContentType):
		return l, nil, invalid("Edit.Payload: the letter's content type is %q: set Raw", l.ContentType)
	case e.Payload != nil:
		if _, err := document(e.Payload); err != nil {
			return l, nil, invalid("Edit.Payload: is no JSON: %w", err)
		}
		payload = e.Payload
	}
	if e.Budget < 0 {
		return l, nil, invalid("Edit.Budget %d: must be a number of attempts, or 0 for those of the retry policy", e.Budget)
	}
	lines := []DiffLine{}
	if payload != nil {
		lines = diff(l.Payload, payload)
		if l.PayloadError != "" && len(lines) == 0 {
			lines = append(lines, DiffLine{New: opaque(payload, nil)})
		}
		l.Payload, l.PayloadError = payload, ""
	}
	if e.Headers != nil {
		lines = append(lines, diffHeaders(l.Headers, e.Headers)...)
		l.Headers = maps.Clone(e.Headers)
	}
	if len(lines) == 0 && e.To == (Target{}) {
		return l, nil, invalid("Edit: %w", errUnchanged)
	}
	return l, lines, nil
}

// PreviewEdit says how the event would differ, and that it can be decoded where it
// would go. It changes nothing.
//
// Errors: [ErrInvalid], also for a payload that does not decode; [ErrReadOnly], since
// only a runtime knows the types; deadletter.ErrNotFound.
func (d *Desk) PreviewEdit(ctx context.Context, id string, e Edit) (Edited, error) {
	_, lines, err := d.prepare(ctx, id, e)
	return Edited{Diff: lines}, err
}

func (d *Desk) prepare(ctx context.Context, id string, e Edit) (deadletter.Letter, []DiffLine, error) {
	if d.rt == nil {
		return deadletter.Letter{}, nil, ErrReadOnly
	}
	l, err := d.ledger.Get(ctx, id)
	if err != nil {
		return l, nil, err
	}
	l, lines, err := e.apply(l)
	if err != nil {
		return l, nil, err
	}
	to := e.To.destination()
	if _, at, err := d.rt.RedriveRoom(l, to); err != nil {
		return l, nil, invalid("Edit.To %s/%s: %w", at.Topic, at.Subscriber, err)
	}
	check := l
	if len(lines) > 0 {
		check.GoType = "" // who has edited it answers for its type
	}
	if _, err := d.rt.DecodeLetter(check, to); err != nil {
		return l, nil, invalid("Edit.Payload: %w", err)
	}
	return l, lines, nil
}

// Edit sends another event in place of a letter's: with an ID of its own, caused by the
// letter's event, to the subscriber that failed or where To says. It returns when the
// new event has been accepted. The letter is resolved as edited when the new event has
// been handled, or has become a letter of its own; until then it is redriving.
//
// Errors: those of PreviewEdit; those of runtime.Redrive, a mailbox.FullError among
// them; [ErrClosed]. Then the letter is as it was.
func (d *Desk) Edit(ctx context.Context, by By, id string, e Edit) (Edited, error) {
	var out Edited
	err := d.audited(ctx, by, deadletter.AuditEntry{Action: "edit", Object: id, Count: 1}, func(*deadletter.AuditEntry) error {
		l, lines, err := d.prepare(ctx, id, e)
		if err != nil {
			return err
		}
		eventID := actors.NewID(time.Now())
		err = d.rt.Redrive(ctx, id, runtime.RedriveConfig{
			By: by.Name, Why: by.Why, Budget: e.Budget, To: e.To.destination(),
			Edit: func(now deadletter.Letter) (runtime.Edited, error) {
				return runtime.Edited{Payload: l.Payload, ContentType: cmp.Or(l.ContentType, now.ContentType), Headers: l.Headers, EventID: eventID}, nil
			},
		})
		if err != nil {
			return err
		}
		out = Edited{EventID: eventID, Diff: lines}
		return nil
	})
	return out, err
}
