package topics_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/schedule"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

type produce = func(ctx context.Context, due time.Time) (int, error)

// seconds produces how many have passed since now.
func seconds() produce {
	began := time.Now()
	return func(_ context.Context, due time.Time) (int, error) { return int(due.Sub(began) / time.Second), nil }
}

func every(t testing.TB, topic *topics.Topic[int], name string, s topics.Schedule, f produce) *topics.Recurring {
	t.Helper()
	r, err := topic.PublishEvery(name, s, f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recurring returns the account of one.
func recurring(t testing.TB, rt *troupetest.Runtime, name string) runtime.Recurring {
	t.Helper()
	for _, r := range account(t, rt).Recurring {
		if r.Name == name {
			running := uint64(0)
			if r.Running > 0 {
				running = 1
			}
			if r.Ticks != r.Published+r.Skipped+r.Failed+r.Refused+running {
				t.Errorf("ticks do not add up: %+v", r)
			}
			return r
		}
	}
	t.Fatalf("nothing recurs as %s", name)
	panic("not reached")
}

// faults returns a configuration that notes what Observer.Fault is told.
func faults() (runtime.Config, *notes[string]) {
	var told notes[string]
	return runtime.Config{Observer: runtime.Observer{Fault: func(e runtime.Event) {
		text, _, _ := strings.Cut(e.Err.Error(), "\n")
		told.add(e.Topic + ": " + text)
	}}}, &told
}

func TestEveryIntervalUntilCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		handle, got := recorder()
		subscribe(t, topic, "s", handle)
		r := every(t, topic, "beat", schedule.Interval(2*time.Second), seconds())
		next := time.Now().Add(2 * time.Second)
		if have := recurring(t, rt, "beat"); !have.Next.Equal(next) {
			t.Errorf("next %v, want %v", have.Next, next)
		}
		rt.Idle(time.Millisecond) // does not wait for what is not due
		time.Sleep(7 * time.Second)
		if have := recurring(t, rt, "beat"); have.Ticks != 3 || have.Published != 3 {
			t.Errorf("%+v, want 3 ticks", have)
		}
		if !r.Cancel() || r.Cancel() {
			t.Error("Cancel is not true exactly once")
		}
		time.Sleep(time.Minute)
		wantSlice(t, "handled", got.all(), "2s: 2", "4s: 4", "6s: 6")
		if n := len(account(t, rt).Recurring); n != 0 {
			t.Errorf("%d recurring after Cancel", n)
		}
		every(t, topic, "beat", schedule.Interval(time.Hour), seconds()) // the name is free
	})
}

func TestEveryCron(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var got notes[string]
		subscribe(t, topic, "s", func(context.Context, int) error {
			got.add(time.Now().UTC().Format("Mon 15:04:05"))
			return nil
		})
		weekdays, err := schedule.Cron("30 6 * * mon-wed", time.FixedZone("east", 2*3600))
		if err != nil {
			t.Fatal(err)
		}
		every(t, topic, "daily", weekdays, seconds())
		time.Sleep(7 * 24 * time.Hour) // from a Saturday
		wantSlice(t, "handled", got.all(), "Mon 04:30:00", "Tue 04:30:00", "Wed 04:30:00")
	})
}

// TestProducerThatBlocksHoldsUpNobody: its ticks are missed and counted, the observer
// is told once for each time, and another producer ticks on.
func TestProducerThatBlocksHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, told := faults()
		rt := troupetest.New(t, cfg)
		topic := open(t, rt)
		handle, got := recorder()
		subscribe(t, topic, "s", handle)
		plain := seconds()
		every(t, topic, "slow", schedule.Interval(2*time.Second), func(ctx context.Context, due time.Time) (int, error) {
			time.Sleep(5 * time.Second)
			n, err := plain(ctx, due)
			return 100 + n, err
		})
		every(t, topic, "other", schedule.Interval(5*time.Second), seconds())
		time.Sleep(3 * time.Second)
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := rt.Runtime.Idle(brief); err == nil || !strings.Contains(err.Error(), "t, every slow: runs") {
			t.Errorf("Idle = %v, want the producer", err)
		}
		time.Sleep(9500 * time.Millisecond) // 13.5 s
		wantSlice(t, "handled", got.all(), "5s: 5", "7s: 102", "10s: 10", "13s: 108")
		if have := recurring(t, rt, "slow"); have.Ticks != 2 || have.Missed != 4 {
			t.Errorf("%+v, want 2 ticks and 4 missed", have)
		}
		wantSlice(t, "told", told.all(),
			"t: topics: t every slow: topics: still producing: for 2s", "t: topics: t every slow: topics: still producing: for 2s")
	})
}

func TestProducerThatFailsIsReportedAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, told := faults()
		rt := troupetest.New(t, cfg)
		topic := open(t, rt)
		handle, got := recorder()
		subscribe(t, topic, "s", handle)
		plain := seconds()
		every(t, topic, "p", schedule.Interval(time.Second), func(ctx context.Context, due time.Time) (int, error) {
			n, _ := plain(ctx, due)
			switch n {
			case 1:
				panic("bad")
			case 2:
				goruntime.Goexit()
			case 3:
				return 0, errBoom
			case 4:
				return 0, supervisor.Skip(errBoom)
			}
			return n, nil
		})
		time.Sleep(5500 * time.Millisecond)
		wantSlice(t, "handled", got.all(), "5s: 5")
		wantSlice(t, "told", told.all(), "t: topics: t every p: panic: bad",
			"t: topics: t every p: "+supervisor.ErrGoexit.Error(), "t: topics: t every p: boom")
		if have := recurring(t, rt, "p"); have.Failed != 3 || have.Skipped != 1 || have.Published != 1 || have.Missed != 0 {
			t.Errorf("%+v", have)
		}
	})
}

// TestRecurringThatIsRefusedIsCounted: also when it waits for room in vain.
func TestRecurringThatIsRefusedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, told := faults()
		var dropped notes[string]
		cfg.Observer.Dropped = func(e runtime.Event) { dropped.add(e.Reason) }
		rt := troupetest.New(t, cfg)
		topic := open(t, rt)
		sub := subscribe(t, topic, "s", ok, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject})
		sub.Pause()
		r := every(t, topic, "p", schedule.Interval(time.Second), seconds())
		time.Sleep(4500 * time.Millisecond)
		if have := recurring(t, rt, "p"); have.Published != 1 || have.Refused != 3 || account(t, rt).Rejected["full"] != 3 {
			t.Errorf("%+v, want 1 published and 3 refused", have)
		}
		r.Cancel()
		sub.Resume()
		rt.Idle()

		held := subscribe(t, topic, "block", ok, topics.SubscriberConfig{Capacity: 1})
		held.Pause()
		publish(t, topic, 0)
		r = every(t, topic, "waits", schedule.Interval(time.Second), seconds())
		time.Sleep(3500 * time.Millisecond)
		if have := recurring(t, rt, "waits"); have.Ticks != 1 || have.Missed != 2 || have.Running == 0 {
			t.Errorf("%+v, want one that waits and 2 missed", have)
		}
		before := account(t, rt).Accepted
		r.Cancel()
		synctest.Wait()
		held.Resume()
		rt.Idle()
		if a := account(t, rt); a.Accepted != before || a.Rejected["canceled"] != 1 || len(a.Recurring) != 0 {
			t.Errorf("accepted %d before and %d after Cancel, rejected %v, recurring %v", before, a.Accepted, a.Rejected, a.Recurring)
		}
		wantSlice(t, "dropped", dropped.all(), "full", "full", "full", "canceled")
		if len(rt.Letters()) != 0 || len(told.all()) != 0 {
			t.Errorf("%d letters, told %v; want none", len(rt.Letters()), told.all())
		}
	})
}

// stutter is a schedule of each second whose Next takes its time once: what is due by
// then is late, as after a sleep of the machine.
type stutter struct{ calls atomic.Int64 }

func (s *stutter) Next(after time.Time) time.Time {
	if s.calls.Add(1) == 3 {
		time.Sleep(10*time.Second + 100*time.Millisecond)
	}
	return after.Add(time.Second)
}

func TestLateTicksBecomeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		handle, got := recorder()
		subscribe(t, topic, "s", handle)
		every(t, topic, "p", new(stutter), seconds())
		time.Sleep(14500 * time.Millisecond)
		wantSlice(t, "handled", got.all(), "1s: 1", "12.1s: 12", "13s: 13", "14s: 14")
		if have := recurring(t, rt, "p"); have.Missed != 10 {
			t.Errorf("%+v, want 10 missed", have)
		}
	})
}

// TestMissedTicksAreCountedUpToABound: a schedule that is asked for each of them must
// not be asked for ever.
func TestMissedTicksAreCountedUpToABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var calls atomic.Int64
		r := every(t, topic, "p", nexts(func(after time.Time) time.Time {
			if calls.Add(1) == 2 {
				time.Sleep(time.Hour)
			}
			return after.Add(time.Millisecond)
		}), seconds())
		time.Sleep(time.Hour + 10*time.Millisecond)
		have := recurring(t, rt, "p")
		r.Cancel()
		if have.Missed != 100_000 || have.Published < 5 || calls.Load() > 100_100 {
			t.Errorf("%+v after %d calls, want 100000 missed and some published since", have, calls.Load())
		}
	})
}

// nexts is a schedule made of a function.
type nexts func(time.Time) time.Time

func (f nexts) Next(after time.Time) time.Time { return f(after) }

func TestScheduleThatEndsOrFails(t *testing.T) {
	for name, c := range map[string]struct {
		then func(time.Time) time.Time // after the first tick
		told string
	}{
		"ends":     {func(time.Time) time.Time { return time.Time{} }, ""},
		"stands":   {func(after time.Time) time.Time { return after }, "which is not after it"},
		"panics":   {func(time.Time) time.Time { panic("bad") }, "schedule: panic: bad"},
		"is ended": {func(time.Time) time.Time { goruntime.Goexit(); return time.Time{} }, supervisor.ErrGoexit.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, told := faults()
				rt := troupetest.New(t, cfg)
				topic := open(t, rt)
				handle, got := recorder()
				subscribe(t, topic, "s", handle)
				first := true
				s := nexts(func(after time.Time) time.Time {
					if first {
						first = false
						return after.Add(time.Second)
					}
					return c.then(after)
				})
				r := every(t, topic, "p", s, seconds())
				time.Sleep(time.Minute)
				wantSlice(t, "handled", got.all(), "1s: 1")
				if all := told.all(); (len(all) > 0) != (c.told != "") || len(all) > 0 && !strings.Contains(all[0], c.told) {
					t.Errorf("told %q, want %q", all, c.told)
				}
				if r.Cancel() || len(account(t, rt).Recurring) != 0 {
					t.Error("it has not ended")
				}
			})
		})
	}
}

// TestScheduleThatEndsWhileItsTickRunsLetsItFinish: the context ends with Cancel and
// Shutdown only.
func TestScheduleThatEndsWhileItsTickRunsLetsItFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := open(t, troupetest.New(t))
		handle, got := recorder()
		subscribe(t, topic, "s", handle)
		end := time.Now().Add(2500 * time.Millisecond)
		every(t, topic, "p", nexts(func(after time.Time) time.Time {
			if next := after.Add(time.Second); next.Before(end) {
				return next
			}
			return time.Time{}
		}), func(ctx context.Context, _ time.Time) (int, error) {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
			return 7, context.Cause(ctx)
		})
		time.Sleep(time.Minute)
		wantSlice(t, "handled", got.all(), "6s: 7")
	})
}

func TestShutdownEndsWhatRecurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var cause error
		every(t, topic, "p", schedule.Interval(time.Second), func(ctx context.Context, _ time.Time) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Second) // Shutdown waits for it
			return 1, nil
		})
		time.Sleep(1500 * time.Millisecond)
		began := time.Now()
		report, err := rt.Shutdown(t.Context())
		if err != nil || !report.Clean || time.Since(began) != time.Second {
			t.Errorf("shutdown after %v = %+v, %v; want clean after 1s", time.Since(began), report.Err(), err)
		}
		wantErr(t, "cause of the producer's context", cause, runtime.ErrClosed)
		_, err = topic.PublishEvery("q", schedule.Interval(time.Second), seconds())
		wantErr(t, "PublishEvery after it", err, runtime.ErrClosed)
	})
}

func TestShutdownNamesTheProducerThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		gate := make(chan struct{})
		every(t, topic, "deaf", schedule.Interval(time.Second), func(context.Context, time.Time) (int, error) {
			<-gate
			return 1, nil
		})
		time.Sleep(1500 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		report, err := rt.Shutdown(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wantSlice(t, "still running", report.StillRunning, "t, every deaf")
		if !errors.Is(report.Err(), runtime.ErrUnclean) {
			t.Errorf("Err = %v", report.Err())
		}
		close(gate)
		synctest.Wait()
		if a := account(t, rt); a.Accepted != 0 || a.Recurring[0].Running != 0 {
			t.Errorf("accepted %d after shutdown, %+v", a.Accepted, a.Recurring)
		}
	})
}

func TestPublishEveryReportsAllFaultsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		for _, c := range []struct {
			name string
			s    topics.Schedule
			f    produce
			want []string
		}{
			{"a b", nil, nil, []string{`publish t every "a b"`, "name: must not contain", "schedule: must not be nil", "function: must not be nil"}},
			{"a", schedule.Interval(0), seconds(), []string{"schedule: interval 0s: must be positive"}},
			{"a", schedule.Expression{}, seconds(), []string{"has no time to come"}},
			{"a", nexts(func(time.Time) time.Time { panic("bad") }), seconds(), []string{"schedule: panic: bad"}},
		} {
			_, err := topic.PublishEvery(c.name, c.s, c.f)
			for _, want := range c.want {
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("PublishEvery(%q, %v) = %v, want %q", c.name, c.s, err, want)
				}
			}
		}
		every(t, topic, "a", schedule.Interval(time.Hour), seconds())
		_, err := topic.PublishEvery("a", schedule.Interval(time.Hour), seconds())
		wantErr(t, "a name twice", err, runtime.ErrNameTaken)
		if n := len(account(t, rt).Recurring); n != 1 {
			t.Errorf("%d recurring, want 1", n)
		}
	})
}
