package console

import (
	"context"
	"slices"

	"github.com/troupe-go/troupe/console/internal/wire"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

func (c *call) count() error {
	req, err := body[wire.CountRequest](c)
	if err != nil {
		return err
	}
	if err := c.mayQuery(req.Scope.Query); err != nil {
		return err
	}
	n, err := c.desk.Count(c.r.Context(), req.Scope)
	if err != nil {
		return err
	}
	return c.answer(wire.Counted{Count: n})
}

func (c *call) previewRedrive() error {
	req, err := body[wire.PreviewRequest](c)
	if err != nil {
		return err
	}
	if err := c.mayQuery(req.Redrive.Scope.Query); err != nil {
		return err
	}
	p, err := c.desk.Preview(c.r.Context(), req.Redrive)
	if err != nil {
		return err
	}
	p.Subscribers = slices.DeleteFunc(notNil(p.Subscribers), func(s ops.PreviewCount) bool { return c.may(Metadata, s.Topic) != nil })
	if !c.sees(AllTopics) {
		for i := range p.Examples {
			hide(&p.Examples[i].Why)
		}
	}
	return c.answer(p)
}

// to checks the right to send events where they did not fail.
func (c *call) to(t ops.Target) error {
	if t.Topic == "" {
		return nil
	}
	return c.may(Mutate, t.Topic)
}

func (c *call) redrive() error {
	req, err := body[wire.RedriveRequest](c)
	if err != nil {
		return err
	}
	if err := c.mayScope(Mutate, req.Redrive.Scope); err != nil {
		return err
	}
	if err := c.to(req.Redrive.To); err != nil {
		return err
	}
	by, err := c.by(req.By)
	if err != nil {
		return err
	}
	return c.began(c.desk.Redrive(c.r.Context(), by, req.Redrive))
}

// began answers with an operation.
func (c *call) began(op ops.Operation, err error) error {
	if err != nil {
		return err
	}
	return c.answer(op)
}

func (c *call) pauseOperation() error  { return c.operate(c.desk.PauseOperation) }
func (c *call) resumeOperation() error { return c.operate(c.desk.ResumeOperation) }
func (c *call) cancelOperation() error { return c.operate(c.desk.CancelOperation) }

func (c *call) operate(do func(context.Context, ops.By, string) (ops.Operation, error)) error {
	req, err := body[wire.OperationRequest](c)
	if err != nil {
		return err
	}
	by, err := c.mayOperate(req.By, req.ID)
	if err != nil {
		return err
	}
	return c.began(do(c.r.Context(), by, req.ID))
}

// mayOperate is asked as for letters of whatever topic: an operation goes over
// those of many.
func (c *call) mayOperate(claimed ops.By, id string) (ops.By, error) {
	if id == "" {
		return claimed, bad("id", "console: id is missing", "name the operation")
	}
	if err := c.may(Mutate, AllTopics); err != nil {
		return claimed, err
	}
	return c.by(claimed)
}

func (c *call) setRate() error {
	req, err := body[wire.RateRequest](c)
	if err != nil {
		return err
	}
	by, err := c.mayOperate(req.By, req.ID)
	if err != nil {
		return err
	}
	return c.began(c.desk.SetRate(c.r.Context(), by, req.ID, req.PerSecond))
}

func (c *call) change() error {
	req, err := body[wire.ChangeRequest](c)
	if err != nil {
		return err
	}
	if err := c.mayScope(Mutate, req.Change.Scope); err != nil {
		return err
	}
	by, err := c.by(req.By)
	if err != nil {
		return err
	}
	return c.began(c.desk.Change(c.r.Context(), by, req.Change))
}

func (c *call) previewEdit() error {
	req, err := body[wire.PreviewEditRequest](c)
	if err != nil {
		return err
	}
	l, _, err := c.one(req.ID)
	if err != nil {
		return err
	}
	if err := c.may(Payload, l.Topic); err != nil {
		return err
	}
	e, err := c.desk.PreviewEdit(c.r.Context(), req.ID, req.Edit)
	if err != nil {
		return err
	}
	e.Diff = notNil(e.Diff)
	return c.answer(e)
}

func (c *call) edit() error {
	req, err := body[wire.EditRequest](c)
	if err != nil {
		return err
	}
	l, whole, err := c.one(req.ID)
	if err != nil {
		return err
	}
	if err := c.may(Mutate, l.Topic); err != nil {
		return err
	}
	if err := c.to(req.Edit.To); err != nil {
		return err
	}
	by, err := c.by(req.By)
	if err != nil {
		return err
	}
	e, err := c.desk.Edit(c.r.Context(), by, req.ID, req.Edit)
	if err != nil {
		return err
	}
	e.Diff = notNil(e.Diff)
	if !whole {
		e.Diff = []ops.DiffLine{}
	}
	return c.answer(e)
}

func (c *call) diff() error {
	a, wholeA, err := c.one(c.need("a"))
	if err != nil {
		return err
	}
	b, wholeB, err := c.one(c.need("b"))
	if err != nil {
		return err
	}
	if !wholeA || !wholeB {
		return c.answer(wire.Diff{Diff: []ops.DiffLine{}, Withheld: true})
	}
	return c.answer(wire.Diff{Diff: notNil(letterDiff(&a, &b))})
}

func (c *call) previewFix() error {
	req, err := body[wire.PreviewFixRequest](c)
	if err != nil {
		return err
	}
	if req.N < 0 || req.N > maxSamples {
		return bad("n", "console: n is out of range", "send 0 to 100")
	}
	if err := c.mayScope(Payload, req.Scope); err != nil {
		return err
	}
	samples, err := c.desk.PreviewFix(c.r.Context(), req.Name, req.Scope, req.N)
	if err != nil {
		return err
	}
	return c.answer(wire.Samples{Samples: notNil(samples)})
}

const maxSamples = 100

func (c *call) changeGroup() error {
	req, err := body[wire.GroupChangeRequest](c)
	if err != nil {
		return err
	}
	g, err := c.desk.Group(c.r.Context(), req.Fingerprint)
	if err != nil {
		return err
	}
	if visible, _ := c.showGroup(&g); !visible {
		return deadletter.ErrNotFound
	}
	for _, t := range g.Topics {
		if err := c.may(Mutate, t); err != nil {
			return err
		}
	}
	if err := c.may(Mutate, ""); err != nil {
		return err
	}
	by, err := c.by(req.By)
	if err != nil {
		return err
	}
	g, err = c.desk.ChangeGroup(c.r.Context(), by, req.Fingerprint, ops.GroupChange{Note: req.Note, Owner: req.Owner, Acknowledged: req.Acknowledged})
	if err != nil {
		return err
	}
	c.showGroup(&g)
	return c.answer(g)
}

func (c *call) pauseSubscriber() error   { return c.control(c.desk.PauseSubscriber) }
func (c *call) resumeSubscriber() error  { return c.control(c.desk.ResumeSubscriber) }
func (c *call) restartSubscriber() error { return c.control(c.desk.RestartSubscriber) }

func (c *call) control(do func(context.Context, ops.By, string, string) error) error {
	req, err := body[wire.SubscriberRequest](c)
	if err != nil {
		return err
	}
	if req.Topic == "" || req.Subscriber == "" {
		return bad("subscriber", "console: topic or subscriber is missing", "name both")
	}
	if err := c.may(Control, req.Topic); err != nil {
		return err
	}
	by, err := c.by(req.By)
	if err != nil {
		return err
	}
	if err := do(c.r.Context(), by, req.Topic, req.Subscriber); err != nil {
		return err
	}
	c.tree.forget()
	return c.answer(wire.Nothing{})
}
