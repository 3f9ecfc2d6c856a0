package ops

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter"
)

// maxNote bounds what people say of a group, in bytes.
const maxNote = 16 << 10

// GroupChange changes what is set.
type GroupChange struct {
	Note         *string `json:"note,omitempty"`
	Owner        *string `json:"owner,omitempty"`
	Acknowledged *bool   `json:"acknowledged,omitempty"`
}

func (c GroupChange) validate() error {
	if c == (GroupChange{}) {
		return invalid("GroupChange: set Note, Owner or Acknowledged")
	}
	for name, text := range map[string]*string{"Note": c.Note, "Owner": c.Owner} {
		if text != nil && (len(*text) > maxNote || !utf8.ValidString(*text)) {
			return invalid("GroupChange.%s: must be text of at most %d bytes", name, maxNote)
		}
	}
	return nil
}

// ChangeGroup changes what people say of a group, and returns the group then.
//
// Errors: [ErrInvalid]; deadletter.ErrNotFound; [ErrReadOnly], [ErrClosed]; those of
// the ledger.
func (d *Desk) ChangeGroup(ctx context.Context, by By, fingerprint string, c GroupChange) (deadletter.Group, error) {
	var g deadletter.Group
	err := d.audited(ctx, by, deadletter.AuditEntry{Action: "change_group", Object: fingerprint, Count: 1}, func(*deadletter.AuditEntry) error {
		if err := c.validate(); err != nil {
			return err
		}
		err := d.ledger.UpdateGroup(ctx, fingerprint, func(r *deadletter.GroupRecord) error {
			if c.Note != nil {
				r.Note = *c.Note
			}
			if c.Owner != nil {
				r.Owner = *c.Owner
			}
			if c.Acknowledged != nil {
				r.AcknowledgedAt, r.AcknowledgedBy = time.Time{}, ""
				if *c.Acknowledged {
					r.AcknowledgedAt, r.AcknowledgedBy = time.Now(), by.Name
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		d.ring.add(Event{Kind: EventGroup, Object: fingerprint})
		g, err = d.ledger.Group(context.WithoutCancel(ctx), fingerprint)
		return err
	})
	return g, err
}
