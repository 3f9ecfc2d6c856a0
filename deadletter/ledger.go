package deadletter

import (
	"context"
	"time"
)

// Ledger is a [Store] with what operations stand on: groups of letters that
// failed in the same way, changes of many letters at once, operations that
// survive the process, a record of who did what, and an account of every letter
// that was ever added. [Memory] and the store of package sqlite are ledgers, and
// pass RunLedger of package deadlettertest.
//
// What holds for the methods of Store holds for these: copies in and out, an ended
// context, ErrClosed, ErrInvalidQuery for a query that breaks a rule. What a
// query says relative to the present is as of Query.Now, or of the call. Pages
// give what is there, and matches, throughout exactly once; operations, audit
// entries and letters descend by the bytes of their IDs, which for those of
// [NewID] is newest first.
type Ledger interface {
	Store

	// Change calls fn once with each of the letters, in the order of ids, and
	// stores what fn makes of them, in few large steps: a failure of the store, or
	// the end of ctx, leaves a prefix of ids changed. A letter that is not there,
	// or for which fn returns an error or which is no longer valid, is left as it
	// is. The result has one error per id, nil for those that changed: one that
	// wraps fn's; a *LetterError; ErrNotFound for those that are not there; and
	// for those that were not reached the error that Change returns, too. An id
	// that comes again has the result of the first. If fn panics, so does Change,
	// and the letters of that step are as they were. What holds for the fn of
	// Update holds for this one.
	Change(ctx context.Context, ids []string, fn func(*Letter) error) ([]error, error)

	// IDs returns the IDs of all letters that q selects, oldest first, as of one
	// moment. q.After and q.Limit play no part.
	IDs(ctx context.Context, q Query) ([]string, error)

	// Groups returns a page of the groups that have letters q.Letters selects, the
	// one with the latest LastSeen first, then by fingerprint. Counts are of all
	// letters of the group. A group that fails again between two pages moves to the
	// front, where the next page does not look.
	Groups(ctx context.Context, q GroupQuery) (GroupPage, error)
	// Group returns the group, without Spark, or ErrNotFound. A group stays when
	// its last letter has gone; a bounded ledger may forget it later.
	Group(ctx context.Context, fingerprint string) (Group, error)
	// UpdateGroup changes what people say of a group: its GroupRecord. fn is
	// called as by Update. It returns ErrNotFound for a group that never had a
	// letter.
	UpdateGroup(ctx context.Context, fingerprint string, fn func(*GroupRecord) error) error

	// Timeline counts, in the spans of [NewTimeline], the letters that q selects
	// by when they last failed, and by when they were resolved, see
	// [Letter.ResolvedAt]. q.After and q.Limit play no part.
	Timeline(ctx context.Context, q Query, from, until time.Time, spans int) ([]Span, error)
	// Account returns what has become of all letters.
	Account(ctx context.Context) (Account, error)

	// AddOperation stores an operation with its items, pending, in the order of
	// ids: all or nothing. The set never changes again. It returns
	// ErrInvalidOperation for one that breaks a rule of [Operation.Validate], and
	// ErrOperationExists if its ID is taken. op.Items and op.Total play no part.
	AddOperation(ctx context.Context, op Operation, ids []string) error
	// Operation returns the operation with the counts of its items, or
	// ErrNotFound.
	Operation(ctx context.Context, id string) (Operation, error)
	// Operations returns a page of operations, newest first.
	Operations(ctx context.Context, q OperationQuery) (OperationPage, error)
	// UpdateOperation is to operations what Update is to letters; what is not
	// valid is ErrInvalidOperation. Item counts are given to fn and not taken from
	// it.
	UpdateOperation(ctx context.Context, id string, fn func(*Operation) error) error
	// Items returns a page of the operation's items, in their order, or
	// ErrNotFound for an operation that is not there.
	Items(ctx context.Context, q ItemQuery) (ItemPage, error)
	// UpdateItems replaces the items of those positions, in one step: all or none.
	// It returns ErrNotFound for an operation or a position that is not there, and
	// ErrInvalidOperation for an item that breaks a rule of [Item.Validate].
	UpdateItems(ctx context.Context, operation string, items []Item) error

	// Record appends to the audit trail. An entry whose ID is there is left out
	// without an error, so repeating a Record whose answer was lost is safe.
	// Nothing changes an entry; only a bounded ledger ever removes one, the oldest
	// first.
	Record(ctx context.Context, e AuditEntry) error
	// Audit returns a page of the audit trail, newest first.
	Audit(ctx context.Context, q AuditQuery) (AuditPage, error)
}
