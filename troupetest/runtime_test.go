package troupetest_test

import (
	"context"
	"errors"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func goexit() { goruntime.Goexit() }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a topic of numbers and subscribes the handler to it.
func open(t testing.TB, rt *troupetest.Runtime, h *troupetest.Handler[int], cfg ...topics.SubscriberConfig) (*topics.Topic[int], *topics.Subscription) {
	t.Helper()
	topic, err := topics.Open[int](rt.Runtime, "n")
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	sub, err := topic.Subscribe("s", h.Handle, cfg...)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return topic, sub
}

func publish(t testing.TB, topic *topics.Topic[int], ns ...int) {
	t.Helper()
	for _, n := range ns {
		if err := topic.Publish(context.Background(), n); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
}

func TestRuntimeIsShutDownWhenTheTestEnds(t *testing.T) {
	var rt *troupetest.Runtime
	record(func(t testing.TB) {
		rt = troupetest.New(t)
		h := troupetest.NewHandler[int](t)
		topic, _ := open(t, rt, h)
		publish(t, topic, 1, 2, 3)
	}).wantSuccess(t)
	if snap := rt.Snapshot(); snap.State != runtime.StateClosed || snap.Total.Done != 3 {
		t.Errorf("after the test the runtime is %s with %d done, want closed with 3", snap.State, snap.Total.Done)
	}
}

func TestRuntimeWorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t).On(1, troupetest.Fail(errors.New("no")))
		topic, _ := open(t, rt, h)
		publish(t, topic, 1)
		rt.Idle()
		h.WantEvents(1)
		rt.WantLetters()
	})
}

func TestInvalidConfigEndsTheTest(t *testing.T) {
	r := record(func(t testing.TB) {
		troupetest.New(t, runtime.Config{CancelGrace: -1})
		t.Errorf("not reached")
	})
	r.wantFailure(t, "CancelGrace -1ns: must not be negative")
	if !r.fatal {
		t.Error("the test went on")
	}
}

func TestLogGoesToTheTestUnlessTheConfigHasOne(t *testing.T) {
	logs := func(cfg ...runtime.Config) string {
		r := record(func(t testing.TB) {
			rt := troupetest.New(t, cfg...)
			h := troupetest.NewHandler[int](t).When(nil, troupetest.Fail(supervisor.Permanent(errors.New("no"))))
			topic, _ := open(t, rt, h)
			publish(t, topic, 1)
		})
		return strings.Join(r.logs, "\n")
	}
	if got := logs(); !strings.Contains(got, "dead-lettered") || !strings.Contains(got, "attempt failed") {
		t.Errorf("log = %q, want lines about the failure", got)
	}
	if got := logs(runtime.Config{Logger: zap.NewNop()}); got != "" {
		t.Errorf("log with a logger of the config = %q, want none", got)
	}
}

func TestObserverOfTheConfigIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := 0
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Late: func(runtime.Event) { late++ }}})
		h := troupetest.NewHandler[int](t).On(1, troupetest.Hang())
		topic, _ := open(t, rt, h, topics.SubscriberConfig{Timeout: time.Second})
		publish(t, topic, 1)
		rt.Idle()
		h.Release()
		synctest.Wait()
		if late != 1 {
			t.Errorf("the config's observer was told %d times, want 1", late)
		}
	})
}

func TestZombieFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := record(func(t testing.TB) {
			rt := troupetest.New(t)
			topic, err := topics.Open[int](rt.Runtime, "n")
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			if _, err := topic.Subscribe("deaf", func(context.Context, int) error { <-release; return nil },
				topics.SubscriberConfig{Timeout: time.Second}); err != nil {
				t.Fatalf("subscribe: %v", err)
			}
			publish(t, topic, 1)
			rt.Idle()
		})
		close(release)
		r.wantFailure(t, "1 abandoned handlers still run", "n")
	})
}

func TestZombieThatIsReleasedDoesNotFailTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record(func(t testing.TB) {
			rt := troupetest.New(t)
			h := troupetest.NewHandler[int](t).On(1, troupetest.Hang())
			topic, _ := open(t, rt, h, topics.SubscriberConfig{Timeout: time.Second})
			publish(t, topic, 1)
			rt.Idle()
		}).wantSuccess(t)
	})
}

func TestIdleNamesWhatIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(func(t testing.TB) {
			rt := troupetest.New(t)
			h := troupetest.NewHandler[int](t).On(1, troupetest.Hang())
			topic, _ := open(t, rt, h)
			publish(t, topic, 1, 2)
			rt.Idle(time.Second)
			t.Errorf("not reached")
		})
		r.wantFailure(t, "not idle within 1s", "n/s", "1 in hand", "1 queued")
		if !r.fatal {
			t.Error("the test went on")
		}
	})
}

func TestWantLetters(t *testing.T) {
	letters := func(want ...deadletter.Letter) *recorder {
		return record(func(t testing.TB) {
			rt := troupetest.New(t)
			h := troupetest.NewHandler[int](t).
				On(1, troupetest.Fail(supervisor.Permanent(errors.New("broken")))).
				On(2, troupetest.Panic("boom"))
			topic, _ := open(t, rt, h, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}})
			publish(t, topic, 1, 2)
			rt.WantLetters(want...)
		})
	}
	broken := deadletter.Letter{Subscriber: "s", Reason: supervisor.ReasonPermanent, Error: "broken", Payload: []byte("1")}
	boom := deadletter.Letter{Reason: supervisor.ReasonExhausted, PanicValue: "boom"}

	t.Run("match in any order", func(t *testing.T) { letters(boom, broken).wantSuccess(t) })
	t.Run("match wants that overlap", func(t *testing.T) {
		// The first want matches both letters and must leave the other its own.
		letters(deadletter.Letter{Topic: "n"}, broken).wantSuccess(t)
		letters(deadletter.Letter{Topic: "n"}, boom).wantSuccess(t)
	})
	t.Run("name what is unwanted", func(t *testing.T) {
		letters(broken).wantFailure(t, "unwanted {n/s #2, attempts_exhausted after 1 attempts, panic: panic: boom, open, payload 2}")
	})
	t.Run("name what is missing and why", func(t *testing.T) {
		wrong := broken
		wrong.Error = "torn"
		letters(wrong, boom).wantFailure(t, `missing  {Subscriber: "s", Payload: "1", Reason: "permanent", Error: "torn"}`,
			`Error = "broken", want "torn"`, "unwanted {n/s #1")
	})
	t.Run("want none", func(t *testing.T) { letters().wantFailure(t, "#1", "#2") })
	t.Run("want each once", func(t *testing.T) { letters(broken, broken, boom).wantFailure(t, "missing") })
}

func TestLettersAreOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop()})
		h := troupetest.NewHandler[int](t).When(nil, troupetest.Fail(supervisor.Permanent(errors.New("no"))))
		topic, _ := open(t, rt, h)
		const n = deadletter.MaxLimit + 10 // more than a page
		for i := range n {
			publish(t, topic, i)
		}
		rt.Idle()
		letters := rt.Letters()
		if len(letters) != n {
			t.Fatalf("%d letters, want %d", len(letters), n)
		}
		for i, l := range letters {
			if l.Sequence != uint64(i+1) {
				t.Fatalf("letter %d is of event %d, want %d", i, l.Sequence, i+1)
			}
		}
	})
}

func TestCheckAccount(t *testing.T) {
	good := func() runtime.Snapshot {
		c := actors.Counts{Deliveries: 6, Done: 1, DeadLettered: 1, DeadLetteredBy: map[string]uint64{"y": 1}, Dropped: map[string]uint64{"x": 1}, Queued: 1, InFlight: 1, RetryWait: 1}
		topic := runtime.TopicSnapshot{
			Name:         "n",
			Publications: runtime.Publications{Attempted: 7, Accepted: 6, Rejected: map[string]uint64{"full": 1}},
			Subscribers:  []runtime.SubscriberSnapshot{{Topic: "n", Name: "s", Counts: c}},
		}
		topic.Total.Add(c)
		snap := runtime.Snapshot{Name: "r", State: runtime.StateRunning, Topics: []runtime.TopicSnapshot{topic}}
		snap.Total.Add(c)
		return snap
	}
	for _, c := range []struct {
		name  string
		spoil func(*runtime.Snapshot)
		want  string
	}{
		{"delivery without an outcome", func(s *runtime.Snapshot) {
			s.Topics[0].Subscribers[0].Counts.Deliveries++
			s.Topics[0].Total.Deliveries++
			s.Total.Deliveries++
		}, "n/s: deliveries exceed their outcomes by 1"},
		{"outcome twice", func(s *runtime.Snapshot) {
			for _, c := range []*actors.Counts{&s.Topics[0].Subscribers[0].Counts, &s.Topics[0].Total, &s.Total} {
				c.Done += 4
			}
		}, "n/s: more outcomes than deliveries"},
		{"publication lost", func(s *runtime.Snapshot) { s.Topics[0].Attempted++ }, "n: attempted 8, but accepted 6"},
		{"topic is not the sum", func(s *runtime.Snapshot) {
			s.Topics[0].Total.Done++
			s.Topics[0].Total.Queued--
		}, "n: is not the sum of its parts"},
		{"total is not the sum", func(s *runtime.Snapshot) {
			s.Total.Done++
			s.Total.Queued--
		}, "total: is not the sum of its parts"},
		{"former subscribers do not add up", func(s *runtime.Snapshot) { s.Topics[0].Former.Done++ }, "n, former subscribers"},
		{"undelivered events do not add up", func(s *runtime.Snapshot) { s.Topics[0].Undelivered.Parked++ }, "n, without subscribers"},
		{"event left after shutdown", func(s *runtime.Snapshot) { s.State = runtime.StateClosed }, "n/s: without an outcome after shutdown"},
		{"letter left after shutdown", func(s *runtime.Snapshot) {
			*s = runtime.Snapshot{State: runtime.StateClosed, Letters: runtime.LettersSnapshot{Waiting: 1}}
		}, "1 letters wait after shutdown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			snap := good()
			c.spoil(&snap)
			r := record(func(t testing.TB) { troupetest.CheckAccount(t, snap) })
			if all := strings.Join(r.errors, "\n"); !strings.Contains(all, c.want) {
				t.Errorf("CheckAccount said %q, want %q", all, c.want)
			}
		})
	}
	record(func(t testing.TB) { troupetest.CheckAccount(t, good()) }).wantSuccess(t)
}
