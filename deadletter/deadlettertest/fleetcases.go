package deadlettertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// RunFleet checks the fleets that new makes against every promise of [deadletter.Fleet],
// those of [deadletter.Ledger] among them. What holds for RunLedger holds for it.
func RunFleet(t *testing.T, new func(t *testing.T) deadletter.Fleet) {
	t.Helper()
	run(t, append(ledgerCases(), fleetCases...), func(t *testing.T) deadletter.Store { return new(t) })
}

func onFleet(fn func(r *recorder, s deadletter.Fleet)) func(*recorder, deadletter.Store) {
	return func(r *recorder, s deadletter.Store) { fn(r, s.(deadletter.Fleet)) }
}

// attends has a member attend and compares who lives.
func attends(r *recorder, s deadletter.Fleet, m deadletter.Member, lease time.Duration, want ...string) {
	got := must[[]string](r, "Attend")(s.Attend(background, m, lease))
	if !slices.Equal(got, want) {
		r.errorf("Attend(%s) = %q, want %q", m.ID, got, want)
	}
}

func served(r *recorder, s deadletter.Fleet, what deadletter.Served, want ...string) {
	got := must[[]string](r, "Serving")(s.Serving(background, what))
	if !slices.Equal(got, want) {
		r.errorf("Serving(%+v) = %q, want %q", what, got, want)
	}
}

var fleetCases = []testCase{
	{
		name:    "members know of each other",
		promise: "Attend returns all that live, by their IDs; Members says of each what it has said of itself",
		run: onFleet(func(r *recorder, s deadletter.Fleet) {
			b := deadletter.Member{ID: "b/\x00\xff", Runtime: "shop", Node: "it's b", Build: "v1.2.3", StartedAt: day.In(time.FixedZone("east", 3600))}
			attends(r, s, b, time.Hour, b.ID)
			attends(r, s, deadletter.Member{ID: "a"}, time.Hour, "a", b.ID)
			b.Node = "b2"
			attends(r, s, b, time.Hour, "a", b.ID)
			all := must[[]deadletter.Member](r, "Members")(s.Members(background))
			if len(all) != 2 || all[0].ID != "a" {
				r.fatalf("Members = %+v", all)
			}
			got := all[1]
			if seen := time.Since(got.SeenAt); seen < -time.Hour || seen > time.Hour || got.SeenAt.Location() != time.UTC {
				r.errorf("SeenAt = %v", got.SeenAt)
			}
			if got.ID != b.ID || got.Runtime != b.Runtime || got.Node != b.Node || got.Build != b.Build || !got.StartedAt.Equal(day) || got.StartedAt.Location() != time.UTC || got.Serves != nil {
				r.errorf("Members gives %+v, want %+v", got, b)
			}
		}),
	},
	{
		name:    "who does not attend is gone",
		promise: "a member lives for its lease, and again once it attends again",
		run: onFleet(func(r *recorder, s deadletter.Fleet) {
			at := deadletter.Served{Topic: "orders", Subscriber: "billing"}
			brief := deadletter.Member{ID: "brief", Serves: []deadletter.Served{at}}
			attends(r, s, brief, 300*time.Millisecond, "brief")
			began := time.Now()
			for {
				got := must[[]string](r, "Attend")(s.Attend(background, deadletter.Member{ID: "long"}, time.Hour))
				if !slices.Contains(got, "brief") {
					break
				}
				if time.Since(began) > patience/2 {
					r.fatalf("it lives %v after a lease of 300 ms", time.Since(began))
				}
				time.Sleep(10 * time.Millisecond)
			}
			if lived := time.Since(began); lived < 250*time.Millisecond {
				r.errorf("it lived for %v, its lease was 300 ms", lived)
			}
			served(r, s, at)
			if all := must[[]deadletter.Member](r, "Members")(s.Members(background)); len(all) != 1 || all[0].ID != "long" {
				r.errorf("Members = %+v", all)
			}
			attends(r, s, brief, time.Hour, "brief", "long")
			served(r, s, at, "brief")
		}),
	},
	{
		name:    "members serve",
		promise: "Serving names the living members that serve it; Serves replaces what was known, nil leaves it",
		run: onFleet(func(r *recorder, s deadletter.Fleet) {
			x, y := deadletter.Served{Topic: "x", Subscriber: "s"}, deadletter.Served{Topic: "y\x00", Subscriber: "s"}
			topic := deadletter.Served{Topic: "x"}
			attends(r, s, deadletter.Member{ID: "b", Serves: []deadletter.Served{x, topic, x}}, time.Hour, "b")
			attends(r, s, deadletter.Member{ID: "a", Serves: []deadletter.Served{y, x}}, time.Hour, "a", "b")
			served(r, s, x, "a", "b")
			served(r, s, y, "a")
			served(r, s, topic, "b")
			served(r, s, deadletter.Served{Topic: "y"})
			attends(r, s, deadletter.Member{ID: "a"}, time.Hour, "a", "b")
			served(r, s, y, "a")
			attends(r, s, deadletter.Member{ID: "a", Serves: []deadletter.Served{topic}}, time.Hour, "a", "b")
			served(r, s, x, "b")
			served(r, s, y)
			served(r, s, topic, "a", "b")
			attends(r, s, deadletter.Member{ID: "b", Serves: []deadletter.Served{}}, time.Hour, "a", "b")
			served(r, s, x)
			served(r, s, topic, "a")
		}),
	},
	{
		name:    "a member leaves",
		promise: "it is gone at once, with what it served; one that is not there is left",
		run: onFleet(func(r *recorder, s deadletter.Fleet) {
			x := deadletter.Served{Topic: "x", Subscriber: "s"}
			attends(r, s, deadletter.Member{ID: "a", Serves: []deadletter.Served{x}}, time.Hour, "a")
			r.try("Leave", s.Leave(background, "a"))
			r.try("Leave again", s.Leave(background, "a"))
			served(r, s, x)
			attends(r, s, deadletter.Member{ID: "b"}, time.Hour, "b")
		}),
	},
	{
		name:    "wrong members",
		promise: "a member without an ID, or a lease that is none, is an error and changes nothing",
		run: onFleet(func(r *recorder, s deadletter.Fleet) {
			for _, tc := range []struct {
				id    string
				lease time.Duration
			}{{"", time.Hour}, {"a", 0}, {"a", -time.Second}} {
				if _, err := s.Attend(background, deadletter.Member{ID: tc.id}, tc.lease); err == nil {
					r.errorf("Attend(%q, %v) = nil", tc.id, tc.lease)
				}
			}
			ended, cancel := context.WithCancel(background)
			cancel()
			_, err := s.Attend(ended, deadletter.Member{ID: "a"}, time.Hour)
			r.wants("Attend", err, context.Canceled)
			_, err = s.Members(ended)
			r.wants("Members", err, context.Canceled)
			_, err = s.Serving(ended, deadletter.Served{})
			r.wants("Serving", err, context.Canceled)
			r.wants("Leave", s.Leave(ended, "a"), context.Canceled)
			if all := must[[]deadletter.Member](r, "Members")(s.Members(background)); len(all) != 0 {
				r.errorf("Members = %+v, want none", all)
			}
		}),
	},
	{
		name:    "many members at once",
		promise: "members that attend at the same time do not hinder each other",
		run: onFleet(func(r *recorder, s deadletter.Fleet) {
			x := deadletter.Served{Topic: "x", Subscriber: "s"}
			r.together(8, func(i int) {
				m := deadletter.Member{ID: fmt.Sprint("m", i), Serves: []deadletter.Served{x}}
				for range 10 {
					r.try("Attend", second(s.Attend(background, m, time.Hour)))
				}
			})
			served(r, s, x, "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7")
		}),
	},
}

func second[T any](_ T, err error) error { return err }
