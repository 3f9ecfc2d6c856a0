package actors_test

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

// The story of every kind of failure, in order.
func TestObserverIsToldTheStory(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  actors.Config
		fail func(context.Context) error
		want []string
	}{
		{"success", actors.Config{}, func(context.Context) error { return nil },
			[]string{"Started", "Handled"}},
		{"error", actors.Config{Policy: retry}, func(context.Context) error { return errBoom },
			[]string{"Started", "Failed", "Retrying", "Failed", "Retrying", "DeadLettered", "Failed"}},
		{"skip", actors.Config{}, func(context.Context) error { return supervisor.Skip(errBoom) },
			[]string{"Started", "Failed", "Dropped"}},
		{"panic", actors.Config{Policy: once}, func(context.Context) error { panic("boom") },
			[]string{"Started", "DeadLettered", "Failed", "Restarting", "Started"}},
		{"finished", actors.Config{}, func(context.Context) error { return supervisor.ErrFinished },
			[]string{"Started", "Handled", "Restarting", "Started"}},
		{"pause", actors.Config{Policy: supervisor.Policy{Retry: once.Retry, Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts}}},
			func(context.Context) error { panic("boom") },
			[]string{"Started", "DeadLettered", "Failed", "Paused", "Started"}},
		{"escalate", actors.Config{Policy: escalate}, func(context.Context) error { panic("boom") },
			[]string{"Started", "DeadLettered", "Failed", "Escalated"}},
		{"stop", actors.Config{Policy: supervisor.Policy{Restart: supervisor.Restart{Type: supervisor.RestartNever}}},
			func(context.Context) error { panic("boom") },
			[]string{"Started", "DeadLettered", "Failed", "Stopped"}},
		{"decider", actors.Config{Policy: supervisor.Policy{Retry: once.Retry,
			Decide: func(supervisor.Failure, supervisor.Decision) supervisor.Decision { panic("decider") }}},
			func(context.Context) error { return errBoom },
			[]string{"Started", "DeadLettered", "Fault", "Failed"}},
		{"hung", actors.Config{Timeout: time.Second, Grace: time.Second}, func(context.Context) error { time.Sleep(time.Minute); return nil },
			[]string{"Started", "DeadLettered", "Failed", "Hung", "Restarting", "Started", "Late"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.handler(tc.cfg, func(ctx context.Context, _ int) error { return tc.fail(ctx) })
				s.publish(1)
				time.Sleep(time.Hour)
				synctest.Wait()
				want(t, "story", w.seen.story(), tc.want)
				for _, kind := range w.seen.story() {
					for _, e := range w.seen.of(kind) {
						if e.Topic != "topic" || e.Subscriber != "subject" {
							t.Errorf("%s = %+v", kind, e)
						}
					}
				}
			})
		})
	}
}

func TestObserverIsToldTheFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: retry}, func(ctx context.Context, _ int) error {
			if attempt(ctx) < 3 {
				return errBoom
			}
			return nil
		})
		s.publish(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		base := actors.Event{Topic: "topic", Subscriber: "subject", Sequence: 1}
		failed, retrying, handled := base, base, base
		failed.Attempt, failed.Err = 2, errBoom
		retrying = failed
		retrying.Delay = 2 * time.Second
		handled.Attempt = 3
		for kind, e := range map[string]actors.Event{"Failed": failed, "Retrying": retrying, "Handled": handled} {
			l := w.seen.of(kind)
			if !reflect.DeepEqual(l[len(l)-1], e) {
				t.Errorf("%s = %+v, want %+v", kind, l[len(l)-1], e)
			}
		}
	})
}

func TestOperatorsPauseAndResumeAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{}, func(context.Context, int) error { return nil })
		synctest.Wait()
		s.Resume()
		s.Pause()
		s.Pause()
		s.publish(1)
		s.wantState(actors.StatePaused)
		s.wantCounts(actors.Counts{Deliveries: 1, Queued: 1, Pauses: 1})
		s.Resume()
		s.Resume()
		s.wantState(actors.StateIdle)
		want(t, "story", w.seen.story(), []string{"Started", "Paused", "Resumed", "Handled"})
		if e := w.seen.of("Paused")[0]; e.Reason != actors.ReasonOperator || e.Delay != 0 {
			t.Errorf("Paused = %+v", e)
		}
	})
}

func TestObserverThatPanicsIsSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all actors.Observer
		v := reflect.ValueOf(&all).Elem()
		for i := range v.NumField() {
			v.Field(i).Set(reflect.ValueOf(func(actors.Event) { panic("observer") }))
		}
		w := newWorldWith(t, &graveyard{}, all)
		s := w.handler(actors.Config{Policy: retry, Timeout: time.Second, Grace: time.Second}, func(_ context.Context, ev int) error {
			switch ev {
			case 1:
				return errBoom
			case 2:
				panic("boom")
			case 3:
				time.Sleep(time.Minute)
			}
			return nil
		})
		s.publish(0, 1, 0, 2, 0, 3, 0)
		time.Sleep(time.Hour)
		s.wantCounts(actors.Counts{Deliveries: 7, Done: 4, DeadLettered: 3, Failures: 7, Retries: 4, Restarts: 4, Abandoned: 1, Late: 1})
	})
}

func TestAndTellsBoth(t *testing.T) {
	var got []string
	note := func(s string) func(actors.Event) { return func(actors.Event) { got = append(got, s) } }
	first := actors.Observer{Handled: func(actors.Event) { note("first")(actors.Event{}); panic("observer") }, Failed: note("only first")}
	second := actors.Observer{Handled: note("second"), Dropped: note("only second")}
	both := first.And(second)
	for _, fn := range []func(actors.Event){both.Handled, both.Failed, both.Dropped} {
		actors.Notify(fn, actors.Event{})
	}
	want(t, "told", got, []string{"first", "second", "only first", "only second"})
	if both.Late != nil {
		t.Error("what neither has is set")
	}
	actors.Notify(both.Late, actors.Event{}) // does nothing
}
