package bench

import "github.com/vladopajic/go-actor/actor"

var goActor = Library{
	Name:     "go-actor",
	Module:   "github.com/vladopajic/go-actor",
	Handlers: Isolated,
	Bound:    "1024 per subscriber",
	Ordered:  true,
	Scale:    0.5,
	Guarantees: "A worker per subscriber and a mailbox of its channel kind with 1024 places; its default kind is unbounded and slower. The publisher " +
		"blocks while any subscriber is full. What is queued at Stop is lost unless asked otherwise. A panic ends the process; " +
		"no supervision, no retry, no dead letters, no accounting.",
	Open: func(_ int, subs []*Subscriber) (Bus, error) {
		b := &goActorBus{}
		for _, s := range subs {
			mailbox := actor.NewMailbox[Event](actor.OptAsChan(), actor.OptCapacity(1024))
			worker := actor.New(actor.NewWorker(func(ctx actor.Context) actor.WorkerStatus {
				select {
				case <-ctx.Done():
					return actor.WorkerEnd
				case ev, ok := <-mailbox.ReceiveC():
					if !ok {
						return actor.WorkerEnd
					}
					s.Handle(ev)
					return actor.WorkerContinue
				}
			}))
			b.mailboxes = append(b.mailboxes, mailbox)
			b.actors = append(b.actors, actor.Combine(mailbox, worker).Build())
		}
		for _, a := range b.actors {
			a.Start()
		}
		return b, nil
	},
}

type goActorBus struct {
	mailboxes []actor.Mailbox[Event]
	actors    []actor.Actor
}

func (b *goActorBus) Publish(ev Event) error {
	for _, m := range b.mailboxes {
		if err := m.Send(actor.ContextStarted(), ev); err != nil {
			return err
		}
	}
	return nil
}

func (b *goActorBus) Close() error {
	for _, a := range b.actors {
		a.Stop()
	}
	return nil
}
