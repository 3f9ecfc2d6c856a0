package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
)

// app is the application with another sender.
func app(t *testing.T, send Sender, more ...fx.Option) *fxtest.App {
	return fxtest.New(t, append(more, fx.Provide(zap.NewNop), fx.Supply(send), reminders)...)
}

func TestRemindersAreSentUntilTheApplicationStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		a := app(t, func(context.Context, Reminder) error { sent.Add(1); return nil }, fx.Invoke(remind))
		a.RequireStart()
		time.Sleep(3500 * time.Millisecond)
		a.RequireStop()
		if n := sent.Load(); n != 3 {
			t.Errorf("%d reminders sent in 3.5 s, want 3", n)
		}
	})
}

// Stopping finishes what was accepted, retries included.
func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var topic *topics.Topic[Reminder]
		var calls atomic.Int32
		a := app(t, func(context.Context, Reminder) error {
			time.Sleep(100 * time.Millisecond)
			if calls.Add(1)%2 == 1 {
				return errors.New("mail server is busy")
			}
			return nil
		}, fx.Populate(&topic))
		a.RequireStart()
		for range 3 {
			if err := topic.Publish(t.Context(), Reminder{To: "ann@example.org"}); err != nil {
				t.Fatal(err)
			}
		}
		a.RequireStop()
		if n := calls.Load(); n != 6 {
			t.Errorf("%d calls, want each of 3 reminders to have its second attempt", n)
		}
		if err := topic.Publish(t.Context(), Reminder{}); !errors.Is(err, runtime.ErrClosed) {
			t.Errorf("publish after stop: %v, want ErrClosed", err)
		}
	})
}

// What is not done within fx's StopTimeout is what Stop fails with.
func TestStopTellsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var topic *topics.Topic[Reminder]
		a := app(t, func(ctx context.Context, _ Reminder) error { <-ctx.Done(); return ctx.Err() }, fx.Populate(&topic))
		a.RequireStart()
		if err := topic.Publish(t.Context(), Reminder{To: "ann@example.org"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Stop(ctx); err == nil || !strings.Contains(err.Error(), "reminders") {
			t.Errorf("stop: %v, want what the runtime has left", err)
		}
	})
}
