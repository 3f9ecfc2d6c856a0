package actors_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// actorOf starts an actor of that factory, which ends with the test.
func actorOf[M any](w *world, name string, cfg actors.Config, factory func() actors.Behavior[M]) *actors.Ref[M] {
	w.Helper()
	ref, err := actors.Spawn(w.sys, name, factory, cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = ref.Stop(context.Background(), actors.Discard)
		balancedRef(w, ref)
	})
	return ref
}

func balancedRef[M any](t testing.TB, ref *actors.Ref[M]) {
	t.Helper()
	if n := ref.Cell().Counts(); n.Balance() != 0 {
		t.Errorf("%s: Balance = %d: %+v", ref.Name(), n.Balance(), n)
	}
}

// family is a parent with children a and b, which write down what happens.
type family struct {
	diary  tape[string]
	parent *actors.Ref[string]
	kids   []*actors.Ref[string] // all that there ever were
	handle func(ctx context.Context, name, m string) error
}

func newFamily(w *world, cfg actors.Config, handle func(ctx context.Context, name, m string) error) *family {
	return newFamilyWith(w, cfg, actors.Config{}, handle)
}

func newFamilyWith(w *world, cfg, child actors.Config, handle func(ctx context.Context, name, m string) error) *family {
	f := &family{handle: handle}
	f.parent = actorOf(w, "p", cfg, f.behavior("p", func(ctx context.Context) error {
		for _, name := range []string{"a", "b"} {
			if _, known := actors.Child[string](ctx, name); known {
				continue
			}
			kid, err := actors.SpawnChild(ctx, name, f.behavior(name, nil), child)
			if err != nil {
				return err
			}
			f.kids = append(f.kids, kid)
			time.Sleep(time.Millisecond) // until it has started, so that there is one order
		}
		return nil
	}))
	time.Sleep(time.Second)
	synctest.Wait()
	return f
}

func (f *family) behavior(name string, start func(context.Context) error) func() actors.Behavior[string] {
	return func() actors.Behavior[string] {
		return actors.Behavior[string]{
			Start: func(ctx context.Context) error {
				f.diary.add("start " + name)
				if start != nil {
					return start(ctx)
				}
				return nil
			},
			Receive: func(ctx context.Context, m string) error {
				f.diary.add(name + " " + m)
				if f.handle != nil {
					return f.handle(ctx, name, m)
				}
				return nil
			},
			Stop: func(context.Context) error { f.diary.add("stop " + name); return nil },
		}
	}
}

func TestChildrenHaveTheirParentsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := newFamily(w, actors.Config{}, nil)
		want(t, "names", []string{f.parent.Name(), f.kids[0].Name(), f.kids[1].Name()}, []string{"p", "p.a", "p.b"})
	})
}

func TestChildrenStopBeforeTheirParent(t *testing.T) {
	for _, tc := range []struct {
		rest    actors.Rest
		handled bool
		letters []string
	}{
		{actors.Drain, true, nil},
		{actors.DeadLetterRest, false, []string{"later subscriber_stopped"}},
		{actors.Discard, false, nil},
	} {
		t.Run(tc.rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				f := newFamily(w, actors.Config{}, func(_ context.Context, _, m string) error {
					if m == "slow" {
						time.Sleep(time.Second)
					}
					return nil
				})
				_ = f.kids[0].Tell(t.Context(), "slow")
				synctest.Wait()
				_ = f.kids[0].Tell(t.Context(), "later")
				wantErr(t, "Stop", f.parent.Stop(t.Context(), tc.rest), nil)
				diary := []string{"start p", "start a", "start b", "a slow", "stop b", "stop a", "stop p"}
				if tc.handled {
					diary = []string{"start p", "start a", "start b", "a slow", "stop b", "a later", "stop a", "stop p"}
				}
				want(t, "diary", f.diary.all(), diary)
				w.wantLetters(tc.letters...)
				for _, kid := range f.kids {
					balancedRef(t, kid)
					wantErr(t, "Tell", kid.Tell(t.Context(), "x"), actors.ErrStopped)
				}
			})
		})
	}
}

func TestRestartStopsChildrenUnlessTheyAreKept(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				f := newFamily(w, actors.Config{Policy: once, Own: &actors.OwnConfig{KeepChildren: keep}}, func(_ context.Context, _, m string) error {
					if m == "boom" {
						panic("boom")
					}
					return nil
				})
				f.kids[0].Cell().Pause()
				_ = f.kids[0].Tell(t.Context(), "kept?")
				_ = f.parent.Tell(t.Context(), "boom")
				time.Sleep(time.Hour)
				diary := []string{"start p", "start a", "start b", "p boom", "stop b", "stop a", "stop p", "start p", "start a", "start b"}
				letters := []string{"boom attempts_exhausted", "kept? subscriber_stopped"}
				if keep {
					diary = []string{"start p", "start a", "start b", "p boom", "stop p", "start p"}
					letters = letters[:1]
				}
				want(t, "diary", f.diary.all(), diary)
				w.wantLetters(letters...)
				if keep {
					f.kids[0].Cell().Resume()
					synctest.Wait()
					wantErr(t, "Stop", f.parent.Stop(t.Context(), actors.Drain), nil)
					want(t, "end of diary", f.diary.all()[len(diary):], []string{"a kept?", "stop b", "stop a", "stop p"})
				}
			})
		})
	}
}

func TestFailingChildConcernsItsParentOnlyWhenItEscalates(t *testing.T) {
	escalates := actors.Config{Policy: supervisor.Policy{
		Retry:   once.Retry,
		Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, OnExceed: supervisor.ExceedEscalate},
	}}
	for _, tc := range []struct {
		name  string
		child actors.Config
		keep  bool
		diary []string
	}{
		{"restarts", actors.Config{Policy: once}, false, []string{"a boom", "stop a", "start a"}},
		{"escalates", escalates, false, []string{"a boom", "stop b", "stop a", "stop p", "start p", "start a", "start b"}},
		{"escalates, kept", escalates, true, []string{"a boom", "stop p", "start p", "stop a", "start a", "stop b", "start b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				g := newFamilyWith(w, actors.Config{Own: &actors.OwnConfig{KeepChildren: tc.keep}}, tc.child, func(_ context.Context, _, m string) error {
					if m == "boom" {
						panic("boom")
					}
					return nil
				})
				before := g.diary.len()
				_ = g.kids[0].Tell(t.Context(), "boom")
				time.Sleep(time.Hour)
				got := g.diary.all()[before:]
				if tc.keep { // the two restart side by side
					got, tc.diary = got[:3], tc.diary[:3]
				}
				want(t, "diary", got, tc.diary)
				w.wantSeen("Escalated", 0)
				kid := g.kids[len(g.kids)-2]
				wantErr(t, "Tell", kid.Tell(t.Context(), "fine"), nil)
				time.Sleep(time.Hour)
				want(t, "last entry", g.diary.all()[g.diary.len()-1:], []string{"a fine"})
			})
		})
	}
}

func TestHungParentStillStopsItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := newFamily(w, actors.Config{Timeout: time.Second, Grace: time.Second}, func(ctx context.Context, name, m string) error {
			if m == "hang" {
				time.Sleep(time.Minute)
				_, err := actors.SpawnChild(ctx, "late", func() actors.Behavior[int] { return actors.Behavior[int]{} }, actors.Config{})
				wantErr(t, "SpawnChild of a zombie", err, actors.ErrStopped)
			}
			return nil
		})
		_ = f.parent.Tell(t.Context(), "hang")
		time.Sleep(10 * time.Second)
		want(t, "diary", f.diary.all(), []string{"start p", "start a", "start b", "p hang", "stop b", "stop a", "start p", "start a", "start b"})
		time.Sleep(time.Hour) // the zombie comes back
	})
}

func TestChildThatAsksItsStoppingParentDoesNotHoldItUp(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				asked := make(chan error, 10)
				parent := actorOf(w, "p", actors.Config{Policy: once}, func() actors.Behavior[request] {
					return actors.Behavior[request]{
						Start: func(ctx context.Context) error {
							self, err := actors.Self[request](ctx)
							if err != nil {
								return err
							}
							kid, err := actors.SpawnChild(ctx, "kid", func() actors.Behavior[int] {
								return actors.Behavior[int]{Receive: func(ctx context.Context, _ int) error {
									_, err := actors.Ask(ctx, self, ask(1))
									asked <- err
									return err
								}}
							}, actors.Config{Policy: once})
							if err != nil {
								return err
							}
							return kid.Tell(ctx, 1)
						},
						Receive: func(_ context.Context, m request) error { m.Reply("yes"); return nil },
					}
				})
				parent.Cell().Pause()
				synctest.Wait()
				begin := time.Now()
				if restart {
					parent.Cell().Restart()
				} else {
					wantErr(t, "Stop", parent.Stop(t.Context(), actors.DeadLetterRest), nil)
				}
				synctest.Wait()
				if len(asked) == 0 && restart {
					t.Error("the child still waits")
				}
				if time.Since(begin) != 0 {
					t.Error("the parent waited")
				}
			})
		})
	}
}

func TestChildStopsItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var f *family
		f = newFamily(w, actors.Config{}, func(ctx context.Context, _, m string) error {
			if m == "end" {
				wantErr(t, "Stop", f.parent.Stop(ctx, actors.Drain), nil)
			}
			return nil
		})
		_ = f.kids[1].Tell(t.Context(), "end")
		<-f.parent.Done()
		want(t, "diary", f.diary.all(), []string{"start p", "start a", "start b", "b end", "stop b", "stop a", "stop p"})
	})
}

func TestStopOfAnActorThatAsksTheStoppingOneWouldDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stopped := make(chan error, 1)
		var asks *actors.Ref[request]
		answers := spawn(w, "answers", actors.Config{}, func(ctx context.Context, m request) error {
			stopped <- asks.Stop(ctx, actors.Drain)
			m.Reply("yes")
			return nil
		})
		asks = spawn(w, "asks", actors.Config{}, func(ctx context.Context, _ request) error {
			_, err := actors.Ask(ctx, answers, ask(1))
			return err
		})
		_ = asks.Tell(t.Context(), request{})
		wantErr(t, "Stop", <-stopped, actors.ErrWouldDeadlock)
		<-asks.Done()
	})
}

func TestSpawnChildRefuses(t *testing.T) {
	none := func() actors.Behavior[int] { return actors.Behavior[int]{} }
	_, err := actors.SpawnChild(t.Context(), "a", none, actors.Config{})
	wantErr(t, "outside", err, actors.ErrNoActor)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := newFamily(w, actors.Config{}, func(ctx context.Context, _, m string) error {
			_, err := actors.SpawnChild(ctx, "", none, actors.Config{})
			if err == nil {
				t.Error("no name: no error")
			}
			_, err = actors.SpawnChild(ctx, "c", none, actors.Config{Group: w.sys.Root()})
			if err == nil {
				t.Error("a group: no error")
			}
			_, err = actors.SpawnChild[int](ctx, "c", nil, actors.Config{})
			if err == nil {
				t.Error("no factory: no error")
			}
			_, err = actors.SpawnChild(ctx, "a", none, actors.Config{})
			wantErr(t, "taken", err, actors.ErrNameTaken)
			if _, ok := actors.Child[int](ctx, "a"); ok {
				t.Error("Child of another type: ok")
			}
			if _, ok := actors.Child[string](ctx, "a"); !ok {
				t.Error("Child: not ok")
			}
			if _, err := actors.Self[int](ctx); !errors.Is(err, actors.ErrTypeMismatch) {
				t.Errorf("Self of another type = %v", err)
			}
			return nil
		})
		_ = f.parent.Tell(t.Context(), "go")
		synctest.Wait()
		w.wantLetters()
	})
	_, err = actors.Spawn(newWorld(t).sys, "a", none, actors.Config{Own: &actors.OwnConfig{
		MaxStash: -1, PassivateAfter: -1, Children: 9,
	}})
	for _, fault := range []string{"MaxStash -1", "PassivateAfter -1ns", "Children "} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("Spawn = %v, want it to name %s", err, fault)
		}
	}
}

func TestNameOfAParentIsFreeRightAfterDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 50 {
			started := make(chan error, 1)
			ref, err := actors.Spawn(w.sys, "p", func() actors.Behavior[int] {
				return actors.Behavior[int]{
					Start: func(ctx context.Context) error {
						_, err := actors.SpawnChild(ctx, "c", func() actors.Behavior[int] {
							return actors.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
						}, actors.Config{})
						started <- err
						return err
					},
					Receive: func(context.Context, int) error { return nil },
				}
			}, actors.Config{})
			if err != nil {
				t.Fatalf("Spawn %d: %v", i, err)
			}
			wantErr(t, "SpawnChild", <-started, nil)
			wantErr(t, "Stop", ref.Stop(t.Context(), actors.Drain), nil)
		}
	})
}

// A child that stops by itself is forgotten, and its name is free.
func TestStoppedChildrenLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		parent := spawn(w, "p", actors.Config{}, func(ctx context.Context, m int) error {
			kid, err := actors.SpawnChild(ctx, "kid", func() actors.Behavior[int] {
				return actors.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
			}, actors.Config{Capacity: 1, Overflow: mailbox.Reject})
			if err != nil {
				return err
			}
			wantErr(t, "Stop", kid.Stop(ctx, actors.Drain), nil)
			if _, ok := actors.Child[int](ctx, "kid"); ok {
				t.Error("Child after its stop: ok")
			}
			return nil
		})
		for n := range 50 {
			_ = parent.Tell(t.Context(), n)
		}
		synctest.Wait()
		if n := parent.Cell().Counts(); n.Done != 50 {
			t.Errorf("Counts = %+v", n)
		}
	})
}
