package client

import (
	"context"

	"github.com/troupe-go/troupe/console/internal/wire"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// Count is that of ops.Desk.
func (c *Client) Count(ctx context.Context, s ops.Scope) (int, error) {
	n, err := post[wire.Counted](ctx, c, "count", wire.CountRequest{Scope: s})
	return n.Count, err
}

// Preview is that of ops.Desk.
func (c *Client) Preview(ctx context.Context, r ops.Redrive) (ops.Preview, error) {
	return post[ops.Preview](ctx, c, "redrive/preview", wire.PreviewRequest{Redrive: r})
}

// Redrive is that of ops.Desk. The console may know better who it is by, here and in
// the other methods that take it.
func (c *Client) Redrive(ctx context.Context, by ops.By, r ops.Redrive) (ops.Operation, error) {
	return post[ops.Operation](ctx, c, "redrive", wire.RedriveRequest{By: by, Redrive: r})
}

// PauseOperation is that of ops.Desk.
func (c *Client) PauseOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error) {
	return post[ops.Operation](ctx, c, "operation/pause", wire.OperationRequest{By: by, ID: id})
}

// ResumeOperation is that of ops.Desk.
func (c *Client) ResumeOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error) {
	return post[ops.Operation](ctx, c, "operation/resume", wire.OperationRequest{By: by, ID: id})
}

// CancelOperation is that of ops.Desk.
func (c *Client) CancelOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error) {
	return post[ops.Operation](ctx, c, "operation/cancel", wire.OperationRequest{By: by, ID: id})
}

// SetRate is that of ops.Desk.
func (c *Client) SetRate(ctx context.Context, by ops.By, id string, perSecond float64) (ops.Operation, error) {
	return post[ops.Operation](ctx, c, "operation/rate", wire.RateRequest{By: by, ID: id, PerSecond: perSecond})
}

// Change is that of ops.Desk.
func (c *Client) Change(ctx context.Context, by ops.By, ch ops.Change) (ops.Operation, error) {
	return post[ops.Operation](ctx, c, "change", wire.ChangeRequest{By: by, Change: ch})
}

// PreviewEdit is that of ops.Desk.
func (c *Client) PreviewEdit(ctx context.Context, id string, e ops.Edit) (ops.Edited, error) {
	return post[ops.Edited](ctx, c, "edit/preview", wire.PreviewEditRequest{ID: id, Edit: e})
}

// Edit is that of ops.Desk.
func (c *Client) Edit(ctx context.Context, by ops.By, id string, e ops.Edit) (ops.Edited, error) {
	return post[ops.Edited](ctx, c, "edit", wire.EditRequest{By: by, ID: id, Edit: e})
}

// PreviewFix is that of ops.Desk.
func (c *Client) PreviewFix(ctx context.Context, name string, s ops.Scope, n int) ([]ops.FixSample, error) {
	f, err := post[wire.Samples](ctx, c, "fix/preview", wire.PreviewFixRequest{Name: name, Scope: s, N: n})
	return f.Samples, err
}

// ChangeGroup is that of ops.Desk.
func (c *Client) ChangeGroup(ctx context.Context, by ops.By, fingerprint string, ch ops.GroupChange) (deadletter.Group, error) {
	return post[deadletter.Group](ctx, c, "group/change", wire.GroupChangeRequest{
		By: by, Fingerprint: fingerprint, Note: ch.Note, Owner: ch.Owner, Acknowledged: ch.Acknowledged,
	})
}

// PauseSubscriber is that of ops.Desk.
func (c *Client) PauseSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error {
	return c.control(ctx, "subscriber/pause", by, topic, subscriber)
}

// ResumeSubscriber is that of ops.Desk.
func (c *Client) ResumeSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error {
	return c.control(ctx, "subscriber/resume", by, topic, subscriber)
}

// RestartSubscriber is that of ops.Desk.
func (c *Client) RestartSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error {
	return c.control(ctx, "subscriber/restart", by, topic, subscriber)
}

func (c *Client) control(ctx context.Context, path string, by ops.By, topic, subscriber string) error {
	_, err := post[wire.Nothing](ctx, c, path, wire.SubscriberRequest{By: by, Topic: topic, Subscriber: subscriber})
	return err
}
