package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
)

// crew is a router to n actors that write down what they are told.
type crew struct {
	*actors.Router[string]
	refs []*actors.Ref[string]
	got  []*tape[string]
}

func newCrew(w *world, n int, routing actors.Routing[string], cfg actors.Config) *crew {
	w.Helper()
	c := &crew{}
	for i := range n {
		got := &tape[string]{}
		c.got = append(c.got, got)
		c.refs = append(c.refs, spawn(w, fmt.Sprint("m", i), cfg, func(_ context.Context, m string) error { got.add(m); return nil }))
	}
	var err error
	if c.Router, err = actors.NewRouter(routing, c.refs...); err != nil {
		w.Fatal(err)
	}
	return c
}

// all returns what each has been told.
func (c *crew) all() []string {
	var all []string
	for _, got := range c.got {
		all = append(all, strings.Join(got.all(), " "))
	}
	return all
}

func TestRoundRobinPassesOverThoseThatHaveStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := newCrew(w, 3, actors.RoundRobin[string](), actors.Config{})
		for i := range 6 {
			wantErr(t, "Tell", c.Tell(t.Context(), fmt.Sprint(i)), nil)
		}
		synctest.Wait()
		want(t, "told", c.all(), []string{"2 5", "0 3", "1 4"})
		_ = c.refs[1].Stop(t.Context(), actors.Drain)
		for i := range 6 {
			wantErr(t, "Tell", c.Tell(t.Context(), fmt.Sprint(i)), nil)
		}
		synctest.Wait()
		if n := c.got[0].len() + c.got[2].len(); n != 10 || c.got[1].len() != 2 {
			t.Errorf("told = %v", c.all())
		}
		if got := c.Refs(); len(got) != 2 {
			t.Errorf("Refs = %v", got)
		}
		_, _ = c.refs[0].Stop(t.Context(), actors.Drain), c.refs[2].Stop(t.Context(), actors.Drain)
		wantErr(t, "Tell when all have stopped", c.Tell(t.Context(), "x"), actors.ErrStopped)
	})
}

func TestLeastBusyGoesWhereLeastWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := newCrew(w, 3, actors.LeastBusy[string](), actors.Config{})
		for _, ref := range c.refs {
			ref.Cell().Pause()
		}
		tellAll(t, c.refs[0], "a", "b", "c")
		tellAll(t, c.refs[2], "d")
		for i := range 5 {
			wantErr(t, "Tell", c.Tell(t.Context(), fmt.Sprint(i)), nil)
		}
		var waits []string
		for _, ref := range c.refs {
			waits = append(waits, fmt.Sprint(ref.Cell().Counts().Queued))
			ref.Cell().Resume()
		}
		want(t, "queued", waits, []string{"3", "3", "3"})
	})
}

func TestLeastBusyCountsTheMessageInHandAndRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		block := make(chan struct{})
		busy := spawn(w, "busy", actors.Config{}, func(context.Context, string) error { <-block; return nil })
		waits := spawn(w, "waits", actors.Config{Policy: retry}, func(context.Context, string) error { return errBoom })
		free := spawn(w, "free", actors.Config{}, func(context.Context, string) error { return nil })
		tellAll(t, busy, "x")
		tellAll(t, waits, "x")
		r, _ := actors.NewRouter(actors.LeastBusy[string](), busy, waits, free)
		for range 5 {
			wantErr(t, "Tell", r.Tell(t.Context(), "y"), nil)
			synctest.Wait()
		}
		if n := free.Cell().Counts(); n.Done != 5 {
			t.Errorf("Counts of the free one = %+v", n)
		}
		close(block)
		time.Sleep(time.Hour)
	})
}

func TestConsistentHashKeepsKeysTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		key := func(m string) string { k, _, _ := strings.Cut(m, ":"); return k }
		c := newCrew(w, 4, actors.ConsistentHash(key), actors.Config{})
		const keys = 400
		send := func(round int) map[string]int {
			for k := range keys {
				wantErr(t, "Tell", c.Tell(t.Context(), fmt.Sprintf("k%d:%d", k, round)), nil)
			}
			synctest.Wait()
			home := map[string]int{}
			for i, got := range c.got {
				for _, m := range got.all() {
					if strings.HasSuffix(m, fmt.Sprint(":", round)) {
						home[key(m)] = i
					}
				}
			}
			return home
		}
		first, second := send(1), send(2)
		for k, i := range first {
			if second[k] != i {
				t.Fatalf("key %s went to %d, then to %d", k, i, second[k])
			}
		}
		for i, got := range c.got {
			if n := got.len() / 2; n < keys/8 || n > keys/2 {
				t.Errorf("actor %d has %d of %d keys", i, n, keys)
			}
		}
		_ = c.refs[2].Stop(t.Context(), actors.Drain)
		for k, i := range send(3) {
			if first[k] != 2 && first[k] != i {
				t.Errorf("key %s moved from %d to %d though that one is still there", k, first[k], i)
			}
			if i == 2 {
				t.Errorf("key %s went to one that has stopped", k)
			}
		}
	})
}

func TestBroadcastTellsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := newCrew(w, 3, actors.Broadcast[string](), actors.Config{Capacity: 1, Overflow: mailbox.Reject})
		wantErr(t, "Tell", c.Tell(t.Context(), "a"), nil)
		synctest.Wait()
		c.refs[1].Cell().Pause()
		tellAll(t, c.refs[1], "full")
		_ = c.refs[0].Stop(t.Context(), actors.Drain)
		err := c.Tell(t.Context(), "b")
		if !errors.Is(err, mailbox.ErrFull) || !strings.Contains(err.Error(), "m1") {
			t.Errorf("Tell = %v, want m1 full", err)
		}
		c.refs[1].Cell().Resume()
		synctest.Wait()
		want(t, "told", c.all(), []string{"a", "a full", "a b"})
		_, err = actors.AskRouter(t.Context(), c.Router, func(func(int)) string { return "" })
		if err == nil {
			t.Error("AskRouter: no error")
		}
		_, _ = c.refs[1].Stop(t.Context(), actors.Drain), c.refs[2].Stop(t.Context(), actors.Drain)
		wantErr(t, "Tell when all have stopped", c.Tell(t.Context(), "x"), actors.ErrStopped)
	})
}

func TestAskRouterIsAnsweredByOne(t *testing.T) {
	for _, routing := range []actors.Routing[request]{
		actors.RoundRobin[request](), actors.LeastBusy[request](),
		actors.ConsistentHash(func(r request) string { return fmt.Sprint(r.N) }),
	} {
		t.Run(routing.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				r, err := actors.NewRouter(routing)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					r.Add(spawn(w, fmt.Sprint("m", i), actors.Config{}, func(_ context.Context, m request) error {
						m.Reply(fmt.Sprint(2 * m.N))
						return nil
					}))
				}
				for n := range 10 {
					got, err := actors.AskRouter(t.Context(), r, ask(n))
					if got != fmt.Sprint(2*n) || err != nil {
						t.Errorf("AskRouter(%d) = %q, %v", n, got, err)
					}
				}
			})
		})
	}
}

func TestRouterSurvivesItsKeyAndRefusesNone(t *testing.T) {
	if _, err := actors.NewRouter(actors.ConsistentHash[int](nil)); err == nil {
		t.Error("no key: no error")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := newCrew(w, 2, actors.ConsistentHash(func(string) string { panic("boom") }), actors.Config{})
		if err := c.Tell(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("Tell = %v", err)
		}
		c.Add(nil)
		c.Remove(c.refs[0])
		if got := c.Refs(); !slices.Equal(got, c.refs[1:]) {
			t.Errorf("Refs = %v", got)
		}
	})
	empty, _ := actors.NewRouter(actors.RoundRobin[int]())
	wantErr(t, "Tell without members", empty.Tell(t.Context(), 1), actors.ErrStopped)
}

// Members that come and go while they are told: what Tell accepted is handled.
func TestRouterWhileMembersComeAndGo(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 500
	}
	for _, routing := range []actors.Routing[int]{
		actors.RoundRobin[int](), actors.LeastBusy[int](), actors.ConsistentHash(func(m int) string { return fmt.Sprint(m % 7) }),
	} {
		t.Run(routing.String(), func(t *testing.T) {
			w := newWorldWith(t, &graveyard{}, actors.Observer{})
			var handled tape[int]
			add := func(i int) *actors.Ref[int] {
				return spawn(w, fmt.Sprint("m", i), actors.Config{}, func(_ context.Context, m int) error { handled.add(m); return nil })
			}
			stays := add(0)
			r, _ := actors.NewRouter(routing, stays)
			var all sync.WaitGroup
			for p := range 2 {
				all.Go(func() {
					for i := range n {
						if err := r.Tell(context.Background(), p*n+i); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Go(func() {
				for i := range 20 {
					ref := add(i + 1)
					r.Add(ref)
					time.Sleep(100 * time.Microsecond)
					_ = ref.Stop(context.Background(), actors.Drain)
				}
			})
			all.Wait()
			_ = stays.Stop(context.Background(), actors.Drain)
			got := handled.all()
			slices.Sort(got)
			if len(slices.Compact(got)) != 2*n {
				t.Errorf("%d of %d handled", len(slices.Compact(got)), 2*n)
			}
		})
	}
}
