package console

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// desk is what the console calls: an *ops.Desk. A *client.Client is one as well,
// which keeps the two sides of the API the same.
type desk interface {
	Overview(ctx context.Context) (ops.Overview, error)
	Tree() (runtime.Description, error)
	Groups(ctx context.Context, query string, q deadletter.GroupQuery) (deadletter.GroupPage, error)
	Group(ctx context.Context, fingerprint string) (deadletter.Group, error)
	Letters(ctx context.Context, query, after string, limit int) (deadletter.Page, error)
	Letter(ctx context.Context, id string) (deadletter.Letter, error)
	Timeline(ctx context.Context, query string, from, until time.Time, spans int) ([]deadletter.Span, error)
	Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error)
	Operation(ctx context.Context, id string) (ops.Operation, error)
	Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error)
	Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error)
	Verify(ctx context.Context) (deadletter.Account, error)
	Watch(ctx context.Context, since uint64) iter.Seq[ops.Event]
	Complete(ctx context.Context, query string, at int) ([]string, error)
	Preview(ctx context.Context, r ops.Redrive) (ops.Preview, error)
	Redrive(ctx context.Context, by ops.By, r ops.Redrive) (ops.Operation, error)
	PauseOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error)
	ResumeOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error)
	CancelOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error)
	SetRate(ctx context.Context, by ops.By, id string, perSecond float64) (ops.Operation, error)
	Count(ctx context.Context, s ops.Scope) (int, error)
	Change(ctx context.Context, by ops.By, c ops.Change) (ops.Operation, error)
	PreviewEdit(ctx context.Context, id string, e ops.Edit) (ops.Edited, error)
	Edit(ctx context.Context, by ops.By, id string, e ops.Edit) (ops.Edited, error)
	Fixes() []ops.Fix
	PreviewFix(ctx context.Context, name string, s ops.Scope, n int) ([]ops.FixSample, error)
	ChangeGroup(ctx context.Context, by ops.By, fingerprint string, c ops.GroupChange) (deadletter.Group, error)
	PauseSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error
	ResumeSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error
	RestartSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error
	Export(ctx context.Context, w io.Writer, s ops.Scope, format string) (int, error)
	Import(ctx context.Context, by ops.By, r io.Reader, format string) (ops.Imported, error)
	GoTest(ctx context.Context, id string) (string, error)
}

var _ desk = (*ops.Desk)(nil)
