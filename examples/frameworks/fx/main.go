// Fx is a Troupe runtime among the components of an uber-go/fx application.
//
//	cd examples/frameworks && go run ./fx
//
// It sends a reminder every second until Ctrl-C. Then fx stops what it has started in
// the reverse order: the source of reminders, and after it the runtime, which
// finishes what was accepted.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/schedule"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/zap"
)

// Reminder is what is to be sent.
type Reminder struct{ To string }

// Sender sends reminders. In a real application it talks to a mail server.
type Sender func(ctx context.Context, r Reminder) error

func main() {
	fx.New(
		fx.Provide(zap.NewDevelopment, newSender),
		fx.WithLogger(func(log *zap.Logger) fxevent.Logger {
			return &fxevent.ZapLogger{Logger: log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))}
		}),
		reminders,
		fx.Invoke(remind),
		fx.StopTimeout(20*time.Second), // for everything, the runtime's drain included
	).Run()
}

// reminders is the module that other applications of the house import.
var reminders = fx.Module("reminders",
	fx.Provide(newRuntime, newTopic),
	fx.Invoke(subscribe),
)

// newRuntime makes the runtime a component: whoever publishes depends on it, so that
// fx stops it after them.
func newRuntime(lc fx.Lifecycle, log *zap.Logger) (*runtime.Runtime, error) {
	rt, err := runtime.New(runtime.Config{Name: "reminders", Logger: log})
	if err != nil {
		return nil, err
	}
	lc.Append(fx.Hook{OnStop: func(ctx context.Context) error {
		// ctx ends with fx's StopTimeout, and fx then waits for no error any more: a
		// little earlier, what is not done is in the report.
		if end, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, end.Add(-time.Until(end)/10))
			defer cancel()
		}
		report, err := rt.Shutdown(ctx)
		return errors.Join(err, report.Err())
	}})
	return rt, nil
}

func newTopic(rt *runtime.Runtime) (*topics.Topic[Reminder], error) {
	return topics.Open[Reminder](rt, "reminders")
}

func subscribe(topic *topics.Topic[Reminder], send Sender) error {
	_, err := topic.Subscribe("sender", send, topics.SubscriberConfig{
		Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: 100 * time.Millisecond},
	})
	return err
}

func newSender(log *zap.Logger) Sender {
	return func(_ context.Context, r Reminder) error {
		log.Info("sent", zap.String("to", r.To))
		return nil
	}
}

// remind is a source of events with a lifecycle of its own.
func remind(lc fx.Lifecycle, topic *topics.Topic[Reminder]) {
	var each *topics.Recurring
	lc.Append(fx.Hook{
		OnStart: func(context.Context) (err error) {
			each, err = topic.PublishEvery("reminder", schedule.Interval(time.Second), func(context.Context, time.Time) (Reminder, error) {
				return Reminder{To: "ann@example.org"}, nil
			})
			return err
		},
		OnStop: func(context.Context) error {
			each.Cancel()
			return nil
		},
	})
}
