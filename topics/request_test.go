package topics_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func respond(t testing.TB, topic *topics.Topic[int], name string, f func(context.Context, int) (string, error), cfg ...topics.SubscriberConfig) *topics.Subscription {
	t.Helper()
	sub, err := topics.Respond(topic, name, f, cfg...)
	if err != nil {
		t.Fatalf("respond: %v", err)
	}
	return sub
}

func double(_ context.Context, n int) (string, error) { return fmt.Sprint(2 * n), nil }

func TestRequestReturnsTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		subscribe(t, topic, "log", ok)
		subscribe(t, topic, "fails", func(context.Context, int) error { return errBoom }, topics.SubscriberConfig{Retry: once})
		for _, after := range []time.Duration{3, 2, 4} {
			respond(t, topic, fmt.Sprint("after-", int(after)), func(context.Context, int) (string, error) {
				time.Sleep(after * time.Second)
				return fmt.Sprint(int(after)), nil
			})
		}
		begin := time.Now()
		got, err := topics.Request[string](t.Context(), topic, 1)
		if got != "2" || err != nil || time.Since(begin) != 2*time.Second {
			t.Errorf("Request = %q, %v after %v, want that of the fastest", got, err, time.Since(begin))
		}
		rt.Idle() // the others answer nobody
		if c := account(t, rt).Total; c.Done != 4 || c.DeadLettered != 1 {
			t.Errorf("account = %+v", c)
		}
	})
}

func TestRequestIsAnsweredByTheAttemptThatSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		respond(t, topic, "s", func(ctx context.Context, n int) (string, error) {
			d, _ := topics.DeliveryFrom(ctx)
			_ = topics.Reply(ctx, "from the attempt that fails")
			switch {
			case d.Attempt == 1:
				return "", errBoom
			case d.Attempt == 2:
				panic("boom")
			}
			return "", nil
		})
		if got, err := topics.Request[string](t.Context(), topic, 1); err != nil || got != "from the attempt that fails" {
			t.Errorf("Request = %q, %v", got, err) // the third attempt's, of whose replies the first counts
		}
		respond(t, topic, "other", func(ctx context.Context, n int) (string, error) {
			d, _ := topics.DeliveryFrom(ctx)
			return d.Headers["k"], nil
		})
		all, err := topics.RequestAll[string](t.Context(), topic, 1, topics.Meta{Headers: map[string]string{"k": "v"}})
		if err != nil || len(all) != 2 || all[0] != (topics.Answer[string]{Subscriber: "other", Value: "v"}) || all[1].Subscriber != "s" {
			t.Errorf("RequestAll = %+v, %v", all, err)
		}
	})
}

func TestRequestWithoutAnAnswer(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply func(context.Context, int) error
		cfg   topics.SubscriberConfig
		want  []error
		text  string
	}{
		{name: "done", reply: ok, want: []error{topics.ErrNoReply}, text: "topics: request t: actors: no reply"},
		{name: "failed", reply: func(context.Context, int) error { return errBoom }, want: []error{topics.ErrNoReply, errBoom},
			text: "topics: request t: actors: no reply\ns: dead_lettered (attempts_exhausted): boom"},
		{name: "panicked", reply: func(context.Context, int) error { panic(errBoom) }, want: []error{topics.ErrNoReply, errBoom}},
		{name: "skipped", reply: func(context.Context, int) error { return supervisor.Skip(errBoom) }, want: []error{topics.ErrNoReply, errBoom}},
		{name: "hung", cfg: topics.SubscriberConfig{Timeout: time.Second, Grace: time.Second}, reply: func(ctx context.Context, _ int) error {
			time.Sleep(time.Minute)
			return topics.Reply(ctx, "late")
		}, want: []error{topics.ErrNoReply, supervisor.ErrHung}},
		{name: "wrong type", reply: func(ctx context.Context, _ int) error { return topics.Reply(ctx, 7) },
			want: []error{topics.ErrNoReply, topics.ErrTypeMismatch},
			text: "topics: request t: actors: no reply\ns: dead_lettered (permanent): topics: reply to t is int, the request wants string"},
		{name: "wrong type, and who answers does not mind", reply: func(ctx context.Context, _ int) error {
			_ = topics.Reply(ctx, 7)
			return nil
		}, want: []error{topics.ErrNoReply, topics.ErrTypeMismatch},
			text: "topics: request t: actors: no reply\ns: done: topics: reply to t is int, the request wants string"},
		{name: "nil", reply: func(ctx context.Context, _ int) error { return topics.Reply(ctx, nil) }, want: []error{topics.ErrTypeMismatch}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				if tc.cfg.Timeout == 0 {
					tc.cfg.Retry = once
				}
				subscribe(t, topic, "s", tc.reply, tc.cfg)
				got, err := topics.Request[string](t.Context(), topic, 1)
				for _, want := range tc.want {
					wantErr(t, "Request", err, want)
				}
				if got != "" || tc.text != "" && err.Error() != tc.text {
					t.Errorf("Request = %q, %q, want %q", got, err, tc.text)
				}
				all, err := topics.RequestAll[string](t.Context(), topic, 1)
				if len(all) > 0 || err == nil {
					t.Errorf("RequestAll = %v, %v", all, err)
				}
				time.Sleep(time.Hour) // zombies
			})
		})
	}
}

// The responder is told as well, and its event is not attempted again.
func TestReplyOfTheWrongTypeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var got notes[error]
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
			err := topics.Reply(ctx, 7)
			got.add(err)
			return err
		})
		_, _ = topics.Request[string](t.Context(), topic, 1)
		rt.Idle()
		if len(got.all()) != 1 {
			t.Fatalf("handler was called %d times, want once", len(got.all()))
		}
		wantErr(t, "Reply", got.all()[0], topics.ErrTypeMismatch)
		if l := rt.Letters(); len(l) != 1 || l[0].Reason != supervisor.ReasonPermanent {
			t.Errorf("letters = %+v", l)
		}
		// A reply that the request's type has room for is none of these.
		for _, want := range []error{errBoom, nil} {
			topic, err := topics.Open[error](rt.Runtime, fmt.Sprint("e-", want == nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := topics.Respond(topic, "s", func(_ context.Context, e error) (error, error) { return e, nil }); err != nil {
				t.Fatal(err)
			}
			if got, err := topics.Request[error](t.Context(), topic, want); got != want || err != nil {
				t.Errorf("Request = %v, %v, want %v", got, err, want)
			}
		}
	})
}

func TestRequestWithoutASubscriber(t *testing.T) {
	for _, unrouted := range []topics.Unrouted{topics.CountUnrouted, topics.RejectUnrouted, topics.DeadLetterUnrouted} {
		rt := troupetest.New(t)
		topic := open(t, rt, topics.Config{Unrouted: unrouted})
		_, err := topics.Request[string](t.Context(), topic, 1)
		wantErr(t, "Request", err, topics.ErrNoSubscriber)
		_, err = topics.RequestAll[string](t.Context(), topic, 1)
		wantErr(t, "RequestAll", err, topics.ErrNoSubscriber)
		if top := account(t, rt); top.Rejected[supervisor.ReasonUnrouted] != 2 || top.Accepted != 0 {
			t.Errorf("account = %+v", top.Publications)
		}
	}
}

func TestRequestThatIsRefused(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	respond(t, topic, "s", double, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject}).Pause()
	publish(t, topic, 1)
	_, err := topics.Request[string](t.Context(), topic, 1)
	wantErr(t, "Request", err, topics.ErrFull)
	_, _ = rt.Shutdown(t.Context())
	_, err = topics.Request[string](t.Context(), topic, 1)
	wantErr(t, "Request after Shutdown", err, runtime.ErrClosed)
}

func TestRequestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		respond(t, topic, "fast", double)
		respond(t, topic, "slow", func(context.Context, int) (string, error) { time.Sleep(time.Minute); return "late", nil })
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		all, err := topics.RequestAll[string](ctx, topic, 21)
		wantErr(t, "RequestAll", err, errBoom)
		if len(all) != 1 || all[0].Value != "42" || err.Error() != "topics: request t: waiting for slow: boom" {
			t.Errorf("RequestAll = %v, %v, want what has come", all, err)
		}
		_ = rt.Pause("t", "fast")
		_, err = topics.Request[string](ctx, topic, 1)
		wantErr(t, "Request", err, errBoom)
		_ = rt.Resume("t", "fast")
		rt.Idle(time.Hour)
	})
}

func TestRequestIsToldOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		respond(t, topic, "s", double).Pause()
		time.AfterFunc(time.Second, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, _ = rt.Shutdown(ctx)
		})
		_, err := topics.Request[string](t.Context(), topic, 1)
		wantErr(t, "Request", err, actors.ErrStopped)
	})
}

func TestRequestInAHandlerThatTheAnswerDependsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		other, _ := topics.Open[int](rt.Runtime, "other")
		// s asks other, which asks s.
		respond(t, topic, "s", func(ctx context.Context, n int) (string, error) {
			if n == 0 {
				return topics.Request[string](ctx, topic, 1) // itself
			}
			return topics.Request[string](ctx, other, n)
		}, topics.SubscriberConfig{Retry: once})
		respond(t, other, "s", func(ctx context.Context, n int) (string, error) {
			if n == 1 {
				return topics.Request[string](ctx, topic, n)
			}
			return "fine", nil
		}, topics.SubscriberConfig{Retry: once})
		for n, want := range []error{topics.ErrWouldDeadlock, topics.ErrWouldDeadlock, nil} {
			got, err := topics.Request[string](t.Context(), topic, n)
			wantErr(t, fmt.Sprint("Request ", n), err, want)
			if want == nil && got != "fine" {
				t.Errorf("Request = %q", got)
			}
		}
	})
}

func TestReplyToAnEventThatNobodyAskedAboutDoesNothing(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	respond(t, topic, "s", double)
	publish(t, topic, 1)
	if _, err := topic.PublishWait(t.Context(), 2); err != nil {
		t.Errorf("PublishWait = %v", err)
	}
	rt.Idle() // the outcome is told a little before the account has it
	if c := counts(t, rt, "s"); c.Done != 2 {
		t.Errorf("account = %+v", c)
	}
	wantErr(t, "Reply outside of a handler", topics.Reply(t.Context(), 1), actors.ErrNotInHandler)
}

// A request that failed may be redriven; nobody waits for that answer.
func TestRedrivenRequestIsAnsweredToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		calls := 0
		respond(t, topic, "s", func(_ context.Context, n int) (string, error) {
			if calls++; calls == 1 {
				return "", errBoom
			}
			return "late", nil
		}, topics.SubscriberConfig{Retry: once})
		_, err := topics.Request[string](t.Context(), topic, 1)
		wantErr(t, "Request", err, errBoom)
		rt.Idle()
		if err := rt.Redrive(t.Context(), rt.Letters()[0].ID); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		if c := counts(t, rt, "s"); c.Done != 1 || c.Redelivered != 1 {
			t.Errorf("account = %+v", c)
		}
	})
}

func TestRespondReportsFaults(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	if _, err := topics.Respond[int, string](topic, "s", nil); err == nil || !strings.Contains(err.Error(), "respond: must not be nil") {
		t.Errorf("Respond = %v", err)
	}
	if _, err := topics.Respond(topic, "s", double, topics.SubscriberConfig{Capacity: -1}); err == nil || !strings.Contains(err.Error(), "Capacity -1") {
		t.Errorf("Respond = %v", err)
	}
}

// Nothing of an answer is kept for a requester that has gone, not even while its
// request is still in a mailbox; and nothing of the request once it is handled.
func TestAnswersDoNotLeakWhenNobodyWaits(t *testing.T) {
	type large [64]byte // smaller ones would keep each other
	rt := troupetest.New(t)
	topic, err := topics.Open[*large](rt.Runtime, "t")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events, answers []weak.Pointer[large]
	remember := func(list *[]weak.Pointer[large], p *large) *large {
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, weak.Make(p))
		return p
	}
	fresh := func() *large { return new(large) }
	// The first of them answers while the other keeps the event.
	if _, err := topics.Respond(topic, "fast", func(context.Context, *large) (*large, error) { return remember(&answers, fresh()), nil }); err != nil {
		t.Fatal(err)
	}
	stuck, err := topics.Respond(topic, "stuck", func(context.Context, *large) (*large, error) { return remember(&answers, fresh()), nil })
	if err != nil {
		t.Fatal(err)
	}
	stuck.Pause()
	const n = 1000
	var requesters sync.WaitGroup
	for range 10 {
		requesters.Go(func() {
			for i := range n / 10 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%3)*50*time.Microsecond)
				_, _ = topics.RequestAll[*large](ctx, topic, remember(&events, fresh()))
				cancel()
			}
		})
	}
	requesters.Wait()
	left := func(list []weak.Pointer[large]) (alive int) {
		for range 20 { // pools and stacks let go late
			goruntime.GC()
			alive = 0
			for _, w := range list {
				if w.Value() != nil {
					alive++
				}
			}
			if alive <= 2 {
				return alive
			}
			time.Sleep(time.Millisecond)
		}
		return alive
	}
	for c := counts(t, rt, "fast"); c.Queued+c.InFlight > 0; c = counts(t, rt, "fast") {
		goruntime.Gosched()
	}
	if len(answers) == 0 {
		t.Fatal("nobody answered")
	}
	if k := left(answers); k > 2 {
		t.Errorf("%d of %d answers are kept while %d requests wait", k, len(answers), n)
	}
	stuck.Resume()
	rt.Idle()
	if k := left(answers); k > 2 {
		t.Errorf("%d of %d answers are kept", k, len(answers))
	}
	if k := left(events); k > 2 {
		t.Errorf("%d of %d requests are kept", k, len(events))
	}
}

// Requests from many sides at a time, to responders that fail and stop in between.
func TestRequestsUnderLoad(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	flaky := supervisor.Retry{MaxAttempts: 3, BaseDelay: 10 * time.Microsecond}
	for i := range 3 {
		calls := 0
		respond(t, topic, fmt.Sprint("s", i), func(_ context.Context, n int) (string, error) {
			switch calls++; calls % (10 + i) {
			case 0:
				return "", errBoom
			case 1:
				panic(errBoom)
			}
			return fmt.Sprint(2 * n), nil
		}, topics.SubscriberConfig{Retry: flaky, Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited, BaseDelay: time.Microsecond}})
	}
	stop := make(chan struct{})
	var guests sync.WaitGroup
	guests.Go(func() {
		for {
			s := respond(t, topic, "guest", double)
			time.Sleep(100 * time.Microsecond)
			if err := s.Unsubscribe(context.Background(), runtime.Discard); err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var requesters sync.WaitGroup
	for p := range 4 {
		requesters.Go(func() {
			for i := range 300 {
				n := 1000*p + i
				if got, err := topics.Request[string](context.Background(), topic, n); err != nil || got != fmt.Sprint(2*n) {
					t.Errorf("Request(%d) = %q, %v", n, got, err)
				}
				all, err := topics.RequestAll[string](context.Background(), topic, n)
				if err != nil && !errors.Is(err, actors.ErrStopped) {
					t.Errorf("RequestAll(%d): %v", n, err)
				}
				if len(all) < 3 {
					t.Errorf("RequestAll(%d) = %v, want those of 3 at least", n, all)
				}
				for _, a := range all {
					if a.Value != fmt.Sprint(2*n) {
						t.Errorf("RequestAll(%d): %+v", n, a)
					}
				}
			}
		})
	}
	requesters.Wait()
	close(stop)
	guests.Wait()
}

func BenchmarkRequest(b *testing.B) {
	type question struct {
		n     int
		reply func(int)
	}
	b.Run("request", func(b *testing.B) {
		rt := troupetest.New(b)
		topic := open(b, rt)
		if _, err := topics.Respond(topic, "s", func(_ context.Context, n int) (int, error) { return 2 * n, nil }); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if got, err := topics.Request[int](context.Background(), topic, 21); got != 42 || err != nil {
				b.Fatal(got, err)
			}
		}
	})
	b.Run("ask", func(b *testing.B) { // an actor, without topic and outcomes of several
		rt := troupetest.New(b)
		ref, err := topics.Spawn(rt.Runtime, "a", func() topics.Behavior[question] {
			return topics.Behavior[question]{Receive: func(_ context.Context, q question) error { q.reply(2 * q.n); return nil }}
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			got, err := actors.Ask(context.Background(), ref, func(reply func(int)) question { return question{21, reply} })
			if got != 42 || err != nil {
				b.Fatal(got, err)
			}
		}
	})
}
