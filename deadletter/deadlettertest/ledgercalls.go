package deadlettertest

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var ledgerCallCases = []testCase{
	{
		name:    "an ended context stops every call of a ledger",
		promise: "a call whose ctx has ended returns ctx's error and has done nothing",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			l := small(1)
			l.Fingerprint = "group"
			r.add(s, l)
			r.try("AddOperation", s.AddOperation(background, operation("op-1"), numbered(1)))
			ctx, cancel := context.WithCancel(background)
			cancel()
			for name, call := range ledgerCalls(r, s) {
				r.wants(name, call(ctx), context.Canceled)
			}
			if d := difference(r.get(s, l.ID), l); d != "" {
				r.errorf("the letter has changed: %s", d)
			}
			if d := opDifference(r.operation(s, "op-1"), operation("op-1")); d != "" {
				r.errorf("the operation has changed: %s", d)
			}
			if got := r.group(s, "group").Note; got != "" {
				r.errorf("the group has the note %q", got)
			}
			if p := must[deadletter.AuditPage](r, "Audit")(s.Audit(background, deadletter.AuditQuery{})); p.Total != 0 {
				r.errorf("%d audit entries, want none", p.Total)
			}
			if _, err := s.Operation(background, "op-2"); !errors.Is(err, deadletter.ErrNotFound) {
				r.errorf("an operation was added: %v", err)
			}
			if got := r.operation(s, "op-1").Items[deadletter.ItemPending]; got != 1 {
				r.errorf("%d items are pending, want 1", got)
			}
		}),
	},
	{
		name:    "a closed ledger says so",
		promise: "after Close every call returns ErrClosed",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			c, ok := s.(interface{ Close() error })
			if !ok {
				return
			}
			l := small(1)
			l.Fingerprint = "group"
			r.add(s, l)
			r.try("AddOperation", s.AddOperation(background, operation("op-1"), numbered(1)))
			r.try("Close", c.Close())
			for name, call := range ledgerCalls(r, s) {
				r.wants(name, call(background), deadletter.ErrClosed)
			}
		}),
	},
}

// ledgerCalls returns every method that Store does not have as a call that would
// succeed on an open ledger, but must not be carried out.
func ledgerCalls(r *recorder, s deadletter.Ledger) map[string]func(context.Context) error {
	id := small(1).ID
	return map[string]func(context.Context) error{
		"Change": func(ctx context.Context) error {
			results, err := s.Change(ctx, []string{id, "x"}, func(l *deadletter.Letter) error { l.Error = "changed"; return nil })
			if len(results) != 2 || !errors.Is(results[0], err) || !errors.Is(results[1], err) {
				r.errorf("Change gives the results %v with the error %v", results, err)
			}
			return err
		},
		"IDs":    func(ctx context.Context) error { _, err := s.IDs(ctx, deadletter.Query{}); return err },
		"Groups": func(ctx context.Context) error { _, err := s.Groups(ctx, deadletter.GroupQuery{}); return err },
		"Group":  func(ctx context.Context) error { _, err := s.Group(ctx, "group"); return err },
		"UpdateGroup": func(ctx context.Context) error {
			return s.UpdateGroup(ctx, "group", func(g *deadletter.GroupRecord) error { g.Note = "changed"; return nil })
		},
		"Timeline": func(ctx context.Context) error {
			_, err := s.Timeline(ctx, deadletter.Query{}, day, day.Add(time.Hour), 2)
			return err
		},
		"Account":      func(ctx context.Context) error { _, err := s.Account(ctx); return err },
		"AddOperation": func(ctx context.Context) error { return s.AddOperation(ctx, operation("op-2"), numbered(2)) },
		"Operation":    func(ctx context.Context) error { _, err := s.Operation(ctx, "op-1"); return err },
		"Operations":   func(ctx context.Context) error { _, err := s.Operations(ctx, deadletter.OperationQuery{}); return err },
		"UpdateOperation": func(ctx context.Context) error {
			return s.UpdateOperation(ctx, "op-1", func(op *deadletter.Operation) error { op.By = "changed"; return nil })
		},
		"Items": func(ctx context.Context) error {
			_, err := s.Items(ctx, deadletter.ItemQuery{Operation: "op-1"})
			return err
		},
		"UpdateItems": func(ctx context.Context) error {
			return s.UpdateItems(ctx, "op-1", []deadletter.Item{{Letter: "letter 0", State: deadletter.ItemDone}})
		},
		"Record": func(ctx context.Context) error { return s.Record(ctx, deadletter.AuditEntry{ID: "a", By: "ada"}) },
		"Audit":  func(ctx context.Context) error { _, err := s.Audit(ctx, deadletter.AuditQuery{}); return err },
	}
}
