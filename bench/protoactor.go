package bench

import (
	"errors"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
)

var protoActor = Library{
	Name:     "protoactor-go",
	Module:   "github.com/asynkron/protoactor-go",
	Handlers: Isolated,
	Bound:    "none",
	Ordered:  true,
	Scale:    0.5,
	Guarantees: "An actor with the default mailbox per subscriber; an event is boxed once and sent to each PID. No goroutine while idle, panics " +
		"are recovered and the actor restarts by a supervisor, but the event in hand is lost, and so is a mailbox when its actor stops. " +
		"Unbounded: a slow subscriber grows until memory ends. No retry; its dead letters are notifications, not stored.",
	Open: func(_ int, subs []*Subscriber) (Bus, error) {
		silent := actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })
		b := &protoActorBus{system: actor.NewActorSystem(silent)}
		for _, s := range subs {
			b.pids = append(b.pids, b.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
				if ev, ok := c.Message().(Event); ok {
					s.Handle(ev)
				}
			})))
		}
		return b, nil
	},
}

type protoActorBus struct {
	system *actor.ActorSystem
	pids   []*actor.PID
}

func (b *protoActorBus) Publish(ev Event) error {
	var message any = ev
	for _, pid := range b.pids {
		b.system.Root.Send(pid, message)
	}
	return nil
}

func (b *protoActorBus) Close() error {
	stops := make([]*actor.Future, len(b.pids))
	for i, pid := range b.pids {
		stops[i] = b.system.Root.PoisonFuture(pid)
	}
	var errs []error
	for _, stop := range stops {
		errs = append(errs, stop.Wait())
	}
	b.system.Shutdown()
	return errors.Join(errs...)
}
