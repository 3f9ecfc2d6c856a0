package actors_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

func (w *world) group(parent *actors.Group, name string, cfg actors.GroupConfig) *actors.Group {
	w.Helper()
	g, err := parent.Group(name, cfg)
	if err != nil {
		w.Fatal(err)
	}
	return g
}

// member is a cell that panics on a negative event and counts its instances.
type member struct {
	*subject
	made atomic.Int64
}

func (w *world) member(name string, g *actors.Group, p supervisor.Policy) *member {
	w.Helper()
	m := &member{}
	m.subject = w.cell(actors.CellConfig[int]{
		Config: actors.Config{Name: name, Group: g, Policy: p},
		Factory: func() actors.Behavior[int] {
			m.made.Add(1)
			return actors.Behavior[int]{Receive: func(_ context.Context, ev int) error {
				if ev < 0 {
					panic("boom")
				}
				return nil
			}}
		},
	})
	return m
}

func wantMade(t *testing.T, want string, members ...*member) {
	t.Helper()
	synctest.Wait()
	var got []string
	for _, m := range members {
		got = append(got, fmt.Sprint(m.made.Load()))
	}
	if g := strings.Join(got, " "); g != want {
		t.Errorf("instances = %s, want %s", g, want)
	}
}

func TestStrategiesRestartWhomTheyShould(t *testing.T) {
	for _, tc := range []struct {
		strategy supervisor.Strategy
		want     string
	}{
		{supervisor.OneForOne, "1 2 1"},
		{supervisor.AllForOne, "2 2 2"},
		{supervisor.RestForOne, "1 2 2"},
	} {
		t.Run(tc.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: tc.strategy})
				a, b, c := w.member("a", g, once), w.member("b", g, once), w.member("c", g, once)
				outside := w.member("outside", nil, once)
				b.publish(-1)
				wantMade(t, tc.want+" 1", a, b, c, outside)
				for _, m := range []*member{a, b, c} {
					m.publish(1)
					m.wantState(actors.StateIdle)
				}
				w.wantSeen("Handled", 3)
			})
		})
	}
}

// The order of start is kept when a member goes and another one comes.
func TestRestForOneFollowsTheOrderOfStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: supervisor.RestForOne})
		a, b, c, d := w.member("a", g, once), w.member("b", g, once), w.member("c", g, once), w.member("d", g, once)
		a.Stop(actors.Drain, "test")
		<-a.Done()
		a2 := w.member("a", g, once)
		c.publish(-1)
		wantMade(t, "1 1 2 2 2", a, b, c, d, a2)
	})
}

func TestRestartedSiblingKeepsMailboxAndEventInHandUncharged(t *testing.T) {
	for _, ordering := range []actors.Ordering{actors.Ordered, actors.Parked} {
		t.Run(ordering.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: supervisor.AllForOne})
				var calls tape[string]
				s := w.handler(actors.Config{Name: "sibling", Group: g, Policy: once, Ordering: ordering}, func(ctx context.Context, ev int) error {
					n := calls.add(fmt.Sprintf("%d#%d", ev, attempt(ctx)))
					if n == 1 {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				})
				m := w.member("failing", g, once)
				s.publish(1, 2, 3)
				synctest.Wait()
				m.publish(-1)
				s.wantState(actors.StateIdle)
				want(t, "calls", calls.all(), []string{"1#1", "1#1", "2#1", "3#1"})
				s.wantCounts(actors.Counts{Deliveries: 3, Done: 3, Restarts: 1})
				w.wantLetters("-1 " + supervisor.ReasonExhausted)
				w.wantSeen("Failed", 1)
			})
		})
	}
}

// A sibling that finishes its event although it is to be restarted has done it.
func TestRestartedSiblingMayFinishItsEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: supervisor.AllForOne})
		s := w.handler(actors.Config{Name: "sibling", Group: g}, func(context.Context, int) error { time.Sleep(time.Second); return nil })
		m := w.member("failing", g, once)
		s.publish(1, 2)
		synctest.Wait()
		m.publish(-1)
		time.Sleep(time.Minute)
		s.wantCounts(actors.Counts{Deliveries: 2, Done: 2, Restarts: 1})
	})
}

// A start hook that a restart cuts short has not failed.
func TestRestartedSiblingInItsStartHookIsNotBlamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: supervisor.AllForOne})
		var starts atomic.Int64
		s := w.cell(actors.CellConfig[int]{Config: actors.Config{Name: "sibling", Group: g}, Factory: func() actors.Behavior[int] {
			return actors.Behavior[int]{
				Start: func(ctx context.Context) error {
					if starts.Add(1) == 1 {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				},
				Receive: func(context.Context, int) error { return nil },
			}
		}})
		m := w.member("failing", g, once)
		synctest.Wait()
		m.publish(-1)
		s.wantState(actors.StateIdle)
		wantMade(t, "2", m)
		if starts.Load() != 2 {
			t.Errorf("starts = %d, want 2", starts.Load())
		}
		w.wantSeen("Restarting", 1)
	})
}

func TestRestartNeverSiblingsAreStopped(t *testing.T) {
	never := supervisor.Policy{Restart: supervisor.Restart{Type: supervisor.RestartNever}}
	t.Run("strategy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: supervisor.AllForOne})
			a, b := w.member("a", g, never), w.member("b", g, once)
			a.Pause()
			a.publish(1)
			b.publish(-1)
			<-a.Done()
			wantMade(t, "1 2", a, b)
			w.wantLetters("-1 "+supervisor.ReasonExhausted, "1 "+supervisor.ReasonStopped)
		})
	})
	t.Run("group", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			outer := w.group(w.sys.Root(), "outer", actors.GroupConfig{Strategy: supervisor.AllForOne})
			inner := w.group(outer, "inner", actors.GroupConfig{})
			a, b, c := w.member("a", inner, never), w.member("b", inner, once), w.member("c", outer, once)
			c.publish(-1)
			<-a.Done()
			wantMade(t, "1 2 2", a, b, c)
		})
	})
}

func TestNestedGroupsRestartAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		outer := w.group(w.sys.Root(), "outer", actors.GroupConfig{Strategy: supervisor.RestForOne})
		a := w.member("a", outer, once)
		inner := w.group(outer, "inner", actors.GroupConfig{})
		b, c := w.member("b", inner, once), w.member("c", inner, once)
		d := w.member("d", outer, once)
		b.publish(-1)
		wantMade(t, "1 2 1 1", a, b, c, d)
		a.publish(-1)
		wantMade(t, "2 3 2 2", a, b, c, d)
		d.publish(-1)
		wantMade(t, "2 3 2 3", a, b, c, d)
	})
}

var escalate = supervisor.Policy{Retry: once.Retry, Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, OnExceed: supervisor.ExceedEscalate}}

func TestEscalationRestartsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		outer := w.group(w.sys.Root(), "outer", actors.GroupConfig{Strategy: supervisor.AllForOne})
		inner := w.group(outer, "inner", actors.GroupConfig{})
		a, b, c := w.member("a", inner, escalate), w.member("b", inner, once), w.member("c", outer, once)
		a.publish(-1, 1)
		wantMade(t, "2 2 2", a, b, c)
		a.wantCounts(actors.Counts{Deliveries: 2, Done: 1, DeadLettered: 1, Failures: 1, Restarts: 1})
		w.wantSeen("Escalated", 0)
	})
}

// The root has nobody above it: what escalates to it waits for a person, and
// everything else goes on.
func TestEscalationEndsAtTheRoot(t *testing.T) {
	for _, depth := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := w.sys.Root()
				for i := range depth {
					g = w.group(g, fmt.Sprint("g", i), actors.GroupConfig{Restart: escalate.Restart})
				}
				a, b := w.member("a", g, escalate), w.member("b", nil, once)
				a.publish(-1, 1, 2)
				a.wantState(actors.StateEscalated)
				w.wantSeen("Escalated", 1)
				time.Sleep(24 * time.Hour)
				a.wantState(actors.StateEscalated)
				a.wantCounts(actors.Counts{Deliveries: 3, Queued: 2, DeadLettered: 1, Failures: 1})
				b.publish(1)
				b.wantCounts(actors.Counts{Deliveries: 1, Done: 1})

				a.Resume()
				a.wantState(actors.StateIdle)
				a.wantCounts(actors.Counts{Deliveries: 3, Done: 2, DeadLettered: 1, Failures: 1, Restarts: 1})
				w.wantSeen("Resumed", 1)
			})
		})
	}
}

func TestDeciderMayEscalateAndKeepTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := retry
		p.Decide = func(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
			d.Directive = supervisor.DirectiveEscalate
			return d
		}
		s := w.handler(actors.Config{Policy: p}, func(ctx context.Context, _ int) error {
			if attempt(ctx) == 1 {
				return errBoom
			}
			return nil
		})
		s.publish(1)
		s.wantState(actors.StateEscalated)
		s.Resume()
		time.Sleep(time.Minute)
		s.wantCounts(actors.Counts{Deliveries: 1, Done: 1, Failures: 1, Retries: 1, Restarts: 1})
	})
}

// Two restarts are allowed within ten seconds.
func tight(onExceed supervisor.OnExceed) supervisor.Policy {
	return supervisor.Policy{Retry: once.Retry, Restart: supervisor.Restart{
		MaxRestarts: 2, Window: 10 * time.Second, OnExceed: onExceed, Cooldown: time.Minute, MaxCooldown: 3 * time.Minute}}
}

func TestIntensityPausesWithGrowingCooldownAndKeepsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls tape[time.Duration]
		start := time.Now()
		s := w.handler(actors.Config{Policy: tight(supervisor.ExceedPause)}, func(context.Context, int) error {
			calls.add(time.Since(start))
			panic("boom")
		})
		for i := range 14 {
			s.publish(i)
		}
		s.wantState(actors.StateCooldown)
		s.wantCounts(actors.Counts{Deliveries: 14, Queued: 11, DeadLettered: 3, Failures: 3, Restarts: 2, Pauses: 1})
		if l := w.seen.of("Paused"); len(l) != 1 || l[0].Reason != actors.ReasonIntensity || l[0].Delay != time.Minute {
			t.Errorf("Paused = %+v", l)
		}
		s.publish(14) // a paused actor still accepts
		time.Sleep(time.Hour)
		s.wantState(actors.StateIdle)
		s.wantCounts(actors.Counts{Deliveries: 15, DeadLettered: 15, Failures: 15, Restarts: 15, Pauses: 5})
		m := time.Minute
		want(t, "calls", calls.all(), []time.Duration{0, 0, 0, m, m, m, 3 * m, 3 * m, 3 * m, 6 * m, 6 * m, 6 * m, 9 * m, 9 * m, 9 * m})
	})
}

func TestResumeEndsACooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a", nil, tight(supervisor.ExceedPause))
		a.publish(-1, -2, -3, 1)
		a.wantState(actors.StateCooldown)
		a.Resume()
		a.wantState(actors.StateIdle)
		wantMade(t, "4", a)
		time.Sleep(time.Hour)
		wantMade(t, "4", a) // the end of the cooldown is forgotten
	})
}

func TestPauseDuringACooldownLastsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a", nil, tight(supervisor.ExceedPause))
		a.publish(-1, -2, -3, 1)
		a.wantState(actors.StateCooldown)
		a.Pause()
		time.Sleep(time.Hour)
		a.wantState(actors.StatePaused)
		a.Resume()
		a.wantState(actors.StateIdle)
	})
}

func TestIntensityStopDeadLettersTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a", nil, tight(supervisor.ExceedStop))
		a.burst(-1, -2, -3, 4, 5)
		<-a.Done()
		a.wantState(actors.StateStopped)
		w.wantLetters("-1 "+supervisor.ReasonExhausted, "-2 "+supervisor.ReasonExhausted, "-3 "+supervisor.ReasonExhausted,
			"4 "+supervisor.ReasonStopped, "5 "+supervisor.ReasonStopped)
		if l := w.seen.of("Stopped"); len(l) != 1 || l[0].Reason != supervisor.ReasonStopped || l[0].Count != 2 {
			t.Errorf("Stopped = %+v", l)
		}
	})
}

func TestIntensityOfAGroupPausesStopsEscalates(t *testing.T) {
	for _, tc := range []struct {
		onExceed supervisor.OnExceed
		want     actors.State
	}{
		{supervisor.ExceedPause, actors.StateCooldown},
		{supervisor.ExceedStop, actors.StateStopped},
		{supervisor.ExceedEscalate, actors.StateEscalated},
	} {
		t.Run(fmt.Sprint(tc.onExceed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := w.group(w.sys.Root(), "group", actors.GroupConfig{Restart: tight(tc.onExceed).Restart})
				a := w.member("a", g, escalate)
				b := w.member("b", g, once)
				a.publish(-1)
				synctest.Wait() // else two restarts of the sibling may be one
				a.publish(-2)
				synctest.Wait()
				a.burst(-3, 4)
				a.wantState(tc.want)
				wantMade(t, "3 3", a, b)
				time.Sleep(time.Minute)
				switch tc.want {
				case actors.StateCooldown:
					a.wantState(actors.StateIdle)
					wantMade(t, "4 4", a, b)
				case actors.StateStopped:
					<-b.Done()
					if _, err := g.Group("late", actors.GroupConfig{}); !errors.Is(err, actors.ErrStopped) {
						t.Errorf("Group in a stopped group = %v, want ErrStopped", err)
					}
					w.group(w.sys.Root(), "group", actors.GroupConfig{}) // the name is free again
				}
			})
		})
	}
}

func TestHundredPoisonEventsInARowStopNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		fail func() error
		made int
	}{
		"error": {func() error { return errBoom }, 1},
		"panic": {func() error { panic(errBoom) }, 101},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var made atomic.Int64
				s := w.cell(actors.CellConfig[int]{Factory: func() actors.Behavior[int] {
					made.Add(1)
					return actors.Behavior[int]{Receive: func(_ context.Context, ev int) error {
						if ev > 0 {
							return tc.fail()
						}
						return nil
					}}
				}, Config: actors.Config{Policy: once}})
				for i := range 100 {
					s.publish(i + 1)
				}
				s.publish(0)
				time.Sleep(24 * time.Hour)
				s.wantState(actors.StateIdle)
				if n := s.Counts(); n.Done != 1 || n.DeadLettered != 100 || made.Load() != int64(tc.made) {
					t.Errorf("instances = %d, Counts = %+v", made.Load(), n)
				}
			})
		})
	}
}

func TestRestartIsOfNoEventAndCountsAgainstNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a", nil, tight(supervisor.ExceedStop))
		for range 100 {
			a.Restart()
			synctest.Wait()
		}
		a.publish(1)
		a.wantCounts(actors.Counts{Deliveries: 1, Done: 1, Restarts: 100})
	})
}

func TestRestartEndsTheContextAndRedeliversUncharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls tape[int]
		s := w.handler(actors.Config{Policy: once}, func(ctx context.Context, ev int) error {
			if calls.add(attempt(ctx)) == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		s.publish(1)
		s.wantState(actors.StateRunning)
		s.Restart()
		s.wantCounts(actors.Counts{Deliveries: 1, Done: 1, Restarts: 1})
		want(t, "attempts", calls.all(), []int{1, 1})
	})
}

// protoactor-go brings an actor back to life that is restarted after its end.
func TestRestartAfterStopDoesNothing(t *testing.T) {
	for _, rest := range []actors.Rest{actors.Drain, actors.DeadLetterRest, actors.Discard} {
		t.Run(rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: supervisor.AllForOne})
				a, b := w.member("a", g, once), w.member("b", g, once)
				a.Stop(rest, "test")
				a.Restart()
				b.publish(-1)
				<-a.Done()
				a.Resume()
				a.Restart()
				a.Pause()
				a.wantState(actors.StateStopped)
				if made := a.made.Load(); rest != actors.Drain && made != 1 {
					t.Errorf("instances = %d, want 1", made)
				}
				w.wantSeen("Stopped", 1)
			})
		})
	}
}

// A member that its group stops is not brought back by a sibling's failure.
func TestStoppedMemberIsNotRestartedWithTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := w.group(w.sys.Root(), "group", actors.GroupConfig{Strategy: supervisor.AllForOne})
		for i := range 50 {
			a := w.member(fmt.Sprint("a", i), g, tight(supervisor.ExceedStop))
			b := w.member(fmt.Sprint("b", i), g, once)
			go func() {
				for range 3 {
					_ = a.log.Append(context.Background(), -1)
				}
			}()
			go b.publish(-1)
			synctest.Wait()
			if a.State() == actors.StateStopped {
				continue
			}
			a.Stop(actors.Discard, "test")
			b.Stop(actors.Discard, "test")
			<-a.Done()
			a.wantState(actors.StateStopped)
		}
	})
}

func TestStopDuringBackoffLeavesNoTimer(t *testing.T) {
	for name, fail := range map[string]func(context.Context) error{
		"start":    func(context.Context) error { return supervisor.RetryAfter(errBoom, 24*time.Hour) },
		"cooldown": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.cell(actors.CellConfig[int]{
					Config: actors.Config{Policy: supervisor.Policy{Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, Cooldown: 24 * time.Hour, MaxCooldown: 24 * time.Hour}}},
					Factory: func() actors.Behavior[int] {
						return actors.Behavior[int]{Start: fail, Receive: func(context.Context, int) error { panic("boom") }}
					},
				})
				s.publish(1, 2)
				s.wantState(actors.StateCooldown)
				start := time.Now()
				s.Stop(actors.DeadLetterRest, supervisor.ReasonUnsubscribed)
				<-s.Done()
				w.wantLetters("1 "+supervisor.ReasonUnsubscribed, "2 "+supervisor.ReasonUnsubscribed)
				// The bubble ends at once, which it does not with a timer that runs.
				if waited := time.Since(start); waited != 0 {
					t.Errorf("Stop took %v", waited)
				}
			})
		})
	}
}

func TestStopDuringRetryWait(t *testing.T) {
	for _, tc := range []struct {
		rest    actors.Rest
		letters []string
		took    time.Duration
	}{
		{actors.Drain, []string{"1 " + supervisor.ReasonExhausted, "2 " + supervisor.ReasonExhausted}, 6 * time.Second},
		{actors.DeadLetterRest, []string{"1 test", "2 test"}, 0},
		{actors.Discard, nil, 0},
	} {
		for _, ordering := range []actors.Ordering{actors.Ordered, actors.Parked} {
			t.Run(fmt.Sprint(tc.rest, ordering), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					s := w.handler(actors.Config{Policy: retry, Ordering: ordering}, func(context.Context, int) error { return errBoom })
					s.publish(1, 2)
					synctest.Wait()
					start := time.Now()
					s.Stop(tc.rest, "test")
					<-s.Done()
					took := time.Since(start)
					if ordering == actors.Parked && tc.rest == actors.Drain {
						took *= 2 // both wait at the same time
					}
					if took != tc.took {
						t.Errorf("Stop took %v, want %v", took, tc.took)
					}
					w.wantLetters(tc.letters...)
					if n := s.Counts(); int(n.TotalDropped()) != 2-len(tc.letters) {
						t.Errorf("Counts = %+v", n)
					}
				})
			})
		}
	}
}

func TestStopIsHurriedButNotSlowedByASecondOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: retry}, func(context.Context, int) error { return errBoom })
		s.publish(1, 2)
		synctest.Wait()
		s.Stop(actors.Drain, "first")
		s.wantState(actors.StateDraining)
		s.Stop(actors.DeadLetterRest, "second")
		s.Stop(actors.Discard, "third")
		<-s.Done()
		w.wantLetters("1 second", "2 second")
	})
}

func TestNamesAreUniqueWithinAGroupAndFreeAfterDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := w.group(w.sys.Root(), "group", actors.GroupConfig{})
		receive := func(context.Context, int) error { return nil }
		w.handler(actors.Config{Name: "a", Group: g}, receive)
		w.handler(actors.Config{Name: "a"}, receive) // in another group
		_, err := actors.SpawnCell(w.sys, w.log(), actors.CellConfig[int]{Config: actors.Config{Topic: "topic", Name: "a", Group: g}, Receive: receive})
		wantErr(t, "second a", err, actors.ErrNameTaken)
		_, err = w.sys.Root().Group("group", actors.GroupConfig{})
		wantErr(t, "second group", err, actors.ErrNameTaken)
		for range 100 {
			b := w.handler(actors.Config{Name: "b", Group: g}, receive)
			b.Stop(actors.Drain, "test")
			<-b.Done()
		}
	})
}

func TestConfigReportsEveryFault(t *testing.T) {
	w := newWorld(t)
	_, err := actors.SpawnCell(w.sys, w.log(), actors.CellConfig[int]{
		Config:  actors.Config{Capacity: -1, Overflow: 99, Timeout: -1, Grace: -1, MaxZombies: -1, MaxParked: -1, Ordering: 9, Policy: supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: -7}}},
		Receive: func(context.Context, int) error { return nil },
	})
	for _, field := range []string{"Name", "Capacity", "Overflow", "Timeout", "Grace", "MaxZombies", "MaxParked", "Ordering", "Retry.MaxAttempts"} {
		if err == nil || !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(l string) bool { return strings.HasPrefix(l, field+" ") }) {
			t.Errorf("error does not name %s: %v", field, err)
		}
	}
	other := newWorld(t)
	for what, cfg := range map[string]actors.CellConfig[int]{
		"no handler":    {Config: actors.Config{Name: "a"}},
		"foreign group": {Config: actors.Config{Name: "a", Group: other.sys.Root()}, Receive: func(context.Context, int) error { return nil }},
	} {
		if _, err := actors.SpawnCell(w.sys, w.log(), cfg); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := w.sys.Root().Group("", actors.GroupConfig{}); err == nil {
		t.Error("group without a name: no error")
	}
	if _, err := w.sys.Root().Group("g", actors.GroupConfig{Strategy: 9, Restart: supervisor.Restart{Window: -1}}); err == nil ||
		!strings.Contains(err.Error(), "Strategy") || !strings.Contains(err.Error(), "Restart.Window") {
		t.Errorf("group: %v", err)
	}
}

// An observer that ends its goroutine harms neither an actor nor a group.
func TestObserverThatEndsItsGoroutineHarmsNobody(t *testing.T) {
	for _, kind := range []string{"Handled", "Failed", "Retrying", "DeadLettered", "Restarting", "Started", "Paused", "Escalated", "Hung", "Fault"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exit := &record{}
				obs := exit.observer()
				obs = exitOn(obs, kind)
				w := newWorldWith(t, &graveyard{}, obs)
				p := tight(supervisor.ExceedPause)
				p.Retry = retry.Retry
				s := w.handler(actors.Config{Policy: p, Timeout: time.Second, Grace: time.Second}, func(ctx context.Context, ev int) error {
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
				s.publish(1, 0, 2, 0, 3, 0)
				time.Sleep(time.Hour)
				s.wantState(actors.StateIdle)
				if n := s.Counts(); n.Done != 3 || n.DeadLettered != 3 {
					t.Errorf("Counts = %+v", n)
				}
			})
		})
	}
}

func exitOn(obs actors.Observer, kind string) actors.Observer {
	exit := func(actors.Event) { goruntime.Goexit() }
	switch kind {
	case "Handled":
		obs.Handled = exit
	case "Failed":
		obs.Failed = exit
	case "Retrying":
		obs.Retrying = exit
	case "DeadLettered":
		obs.DeadLettered = exit
	case "Restarting":
		obs.Restarting = exit
	case "Started":
		obs.Started = exit
	case "Paused":
		obs.Paused = exit
	case "Escalated":
		obs.Escalated = exit
	case "Hung":
		obs.Hung = exit
	case "Fault":
		obs.Fault = exit
	}
	return obs
}
