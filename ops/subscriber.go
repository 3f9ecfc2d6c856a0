package ops

import (
	"context"

	"github.com/troupe-go/troupe/deadletter"
)

// PauseSubscriber keeps a subscriber from taking another event until it is resumed; see
// runtime.Subscription.Pause. The topic may be a pattern, as which it has subscribed.
//
// Errors: runtime.ErrUnknownTopic, runtime.ErrUnknownSubscriber; [ErrReadOnly],
// [ErrClosed].
func (d *Desk) PauseSubscriber(ctx context.Context, by By, topic, subscriber string) error {
	return d.control(ctx, by, "pause_subscriber", topic, subscriber)
}

// ResumeSubscriber ends a pause, whether an operator or the supervisor made it.
// Errors are those of PauseSubscriber.
func (d *Desk) ResumeSubscriber(ctx context.Context, by By, topic, subscriber string) error {
	return d.control(ctx, by, "resume_subscriber", topic, subscriber)
}

// RestartSubscriber replaces a subscriber's instance; the event in hand is attempted
// again. Errors are those of PauseSubscriber.
func (d *Desk) RestartSubscriber(ctx context.Context, by By, topic, subscriber string) error {
	return d.control(ctx, by, "restart_subscriber", topic, subscriber)
}

func (d *Desk) control(ctx context.Context, by By, action, topic, subscriber string) error {
	e := deadletter.AuditEntry{Action: action, Object: topic + "/" + subscriber, Count: 1}
	return d.audited(ctx, by, e, func(*deadletter.AuditEntry) error {
		switch action {
		case "pause_subscriber":
			return d.rt.Pause(topic, subscriber)
		case "resume_subscriber":
			return d.rt.Resume(topic, subscriber)
		}
		return d.rt.Restart(topic, subscriber)
	})
}
