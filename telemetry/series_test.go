package telemetry_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
	"pgregory.net/rapid"
)

func TestCardinalityIsBoundedAndSumsStayRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMetered(t, telemetry.Config{MaxSeries: 3})
		var all []*topics.Topic[int]
		for i := range 10 {
			topic := open(t, w.Runtime, fmt.Sprint("t", i))
			for j := range 3 {
				subscribe(t, topic, fmt.Sprint("s", j), ok)
			}
			publish(t, topic, 1, 2)
			all = append(all, topic)
		}
		w.Idle()
		p := w.collect()
		if n := len(p["troupe.mailbox.depth"]); n > 3+3+1 {
			t.Errorf("%d series of mailboxes, want at most 7: %v", n, p["troupe.mailbox.depth"])
		}
		p.want(t, "troupe.delivery.outcomes", "outcome=done,sub=s1,topic=t0", 2)
		p.want(t, "troupe.delivery.outcomes", "outcome=done,sub=(other),topic=t1", 6)
		p.want(t, "troupe.delivery.outcomes", "outcome=done,sub=(other),topic=(other)", 7*6)
		p.want(t, "messaging.client.sent.messages", "topic=(other)", 14)
		p.want(t, "troupe.mailbox.capacity", "sub=(other),topic=t1", 3*4096)
		if got := p.sum("troupe.delivery.outcomes"); got != 60 {
			t.Errorf("outcomes = %v, want 60", got)
		}
		_ = all
	})
}

// A decider may make up reasons without end.
func TestReasonsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMetered(t, telemetry.Config{})
		topic := open(t, w.Runtime, "t")
		n := 0
		subscribe(t, topic, "s", func(context.Context, int) error { return errBoom }, topics.SubscriberConfig{
			Decide: func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				n++
				d.Fate, d.Reason = supervisor.FateDrop, fmt.Sprint("reason-", n)
				return d
			},
		})
		for i := range 200 {
			publish(t, topic, i)
		}
		w.Idle()
		p := w.collect()
		if n := len(p["troupe.delivery.outcomes"]); n > 66 {
			t.Errorf("%d series of outcomes, want 66 at most", n)
		}
		if got := p.sum("troupe.delivery.outcomes"); got != 200 {
			t.Errorf("outcomes = %v, want 200", got)
		}
	})
}

func TestSubscriberThatComesBackGoesOnCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMetered(t, telemetry.Config{MaxSeries: 1})
		topic := open(t, w.Runtime, "t")
		const a, b, rest = "outcome=done,sub=a,topic=t", "outcome=done,sub=b,topic=t", "outcome=done,sub=(other),topic=t"
		leave := func(s *topics.Subscription) {
			if err := s.Unsubscribe(t.Context(), runtime.Drain); err != nil {
				t.Fatal(err)
			}
		}
		sub := subscribe(t, topic, "a", ok)
		publish(t, topic, 1, 2, 3)
		w.Idle()
		w.collect().want(t, "troupe.delivery.outcomes", a, 3)
		leave(sub)
		w.collect().want(t, "troupe.delivery.outcomes", a, 3) // until somebody needs its place
		sub = subscribe(t, topic, "a", ok)
		publish(t, topic, 4)
		w.Idle()
		p := w.collect()
		p.want(t, "troupe.delivery.outcomes", a, 4)
		leave(sub)
		subscribe(t, topic, "b", ok)
		publish(t, topic, 5, 6)
		w.Idle()
		p = w.collect()
		p.want(t, "troupe.delivery.outcomes", b, 2)
		p.want(t, "troupe.delivery.outcomes", rest, 4)
		if _, there := p["troupe.delivery.outcomes"][a]; there {
			t.Errorf("a has its series still, beside %v", p["troupe.delivery.outcomes"])
		}
	})
}

// Subscribers come and go under a few names, with room for fewer series: the sum
// over all series is that of the account at every collection, and no counter
// ever goes back.
func TestCountersNeverGoBackWhoeverComesAndGoes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(r, "series")
		w := newMetered(t, telemetry.Config{MaxSeries: limit})
		defer func() { _, _ = w.Shutdown(context.Background()) }()
		var open2 []*topics.Topic[int]
		for _, name := range []string{"a", "b"} {
			open2 = append(open2, open(t, w.Runtime, name))
		}
		subs := map[string]*topics.Subscription{}
		before := points{}
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			topic := rapid.SampledFrom(open2).Draw(r, "topic")
			name := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(r, "name")
			who := topic.Name() + "/" + name
			switch rapid.IntRange(0, 3).Draw(r, "what") {
			case 0:
				if subs[who] == nil {
					subs[who] = subscribe(t, topic, name, func(_ context.Context, ev int) error {
						if ev%3 == 0 {
							return supervisor.Permanent(errBoom)
						}
						return nil
					})
				}
			case 1:
				if s := subs[who]; s != nil {
					if err := s.Unsubscribe(context.Background(), runtime.Drain); err != nil {
						r.Fatal(err)
					}
					delete(subs, who)
				}
			case 2:
				for ev := range rapid.IntRange(1, 5).Draw(r, "events") {
					if err := topic.Publish(context.Background(), ev); err != nil {
						r.Fatal(err)
					}
				}
			default:
				w.Idle()
				now := w.collect()
				total := w.Snapshot().Total
				if got, want := now.sum("troupe.delivery.outcomes"), float64(total.Done+total.DeadLettered+total.TotalDropped()); got != want {
					r.Fatalf("outcomes = %v, want %v: %v", got, want, now["troupe.delivery.outcomes"])
				}
				if n := len(now["troupe.delivery.retries"]); n > limit+3 { // and "(other)" of a, of b, and of others
					r.Fatalf("%d series, want %d and the rest of 3 topics at most: %v", n, limit, now["troupe.delivery.retries"])
				}
				for _, metric := range []string{"troupe.delivery.outcomes", "messaging.client.sent.messages", "messaging.client.consumed.messages"} {
					for attrs, was := range before[metric] {
						if is, there := now[metric][attrs]; there && is < was {
							r.Fatalf("%s{%s} went from %v back to %v", metric, attrs, was, is)
						}
					}
				}
				before = now
			}
		}
	})
}
