package actors_test

import (
	"testing"
	"testing/synctest"
	"time"

	"context"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
)

func TestOldestGrowsWithTheEventAtTheHead(t *testing.T) {
	for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.DropNewest} {
		t.Run(overflow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				log := w.log()
				cfg := actors.CellConfig[int]{Config: actors.Config{Overflow: overflow, Capacity: 10}, Receive: func(context.Context, int) error { return nil }}
				s := w.cellOn(log, cfg)
				cfg.Name = "awake" // and asleep each time: its wake-ups give later times to the run
				w.cellOn(log, cfg)
				want := func(d time.Duration) {
					t.Helper()
					synctest.Wait()
					if got := s.Oldest(); got != d {
						t.Errorf("Oldest = %v, want %v", got, d)
					}
				}
				want(0)
				s.Pause()
				s.publish(1)
				want(0)
				time.Sleep(time.Hour)
				want(time.Hour)
				for range 5 {
					s.publish(2)
					time.Sleep(time.Hour)
				}
				want(6 * time.Hour)
				s.Resume()
				want(0)
			})
		})
	}
}

func TestGroupsAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, err := w.sys.Root().Group("a", actors.GroupConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.sys.Root().Group("a", actors.GroupConfig{}); err == nil {
			t.Fatal("a group's name was given twice")
		}
		for _, name := range []string{"b", "c"} {
			if _, err := a.Group(name, actors.GroupConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		names := func(g *actors.Group) (list []string) {
			for _, sub := range g.Groups() {
				list = append(list, sub.Name())
			}
			return list
		}
		want(t, "groups of root", names(w.sys.Root()), []string{"a"})
		want(t, "groups of a", names(a), []string{"b", "c"})
		if cfg := a.Config(); cfg.Restart.MaxRestarts != 10 {
			t.Errorf("Config = %+v, want that with defaults", cfg)
		}
		w.sys.Close()
		if !a.Stopped() {
			t.Error("a has not stopped with the system")
		}
	})
}
