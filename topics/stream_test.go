package topics_test

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
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// loopUntil ranges over the events of topic until stop says so, on a goroutine of its
// own, and returns what it has seen once it has ended.
func loopUntil(ctx context.Context, topic *topics.Topic[int], cfg topics.SubscriberConfig, stop func(int) bool) func() ([]int, error) {
	var got []int
	var end error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ev, err := range topic.Events(ctx, "loop", cfg) {
			if err != nil {
				end = err
				continue // it is the last turn anyway
			}
			got = append(got, ev)
			if stop(ev) {
				return
			}
		}
	}()
	synctest.Wait()
	return func() ([]int, error) {
		<-done
		return got, end
	}
}

func never(int) bool { return false }

func TestEventsUntilTheLoopIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		for range 2 { // one after the other, of the same name
			wait := loopUntil(t.Context(), topic, topics.SubscriberConfig{}, func(ev int) bool { time.Sleep(time.Second); return ev == 3 })
			publish(t, topic, 1, 2, 3, 4, 5)
			got, err := wait()
			wantSlice(t, "events", got, 1, 2, 3)
			wantErr(t, "end", err, nil)
		}
		n := account(t, rt).Former
		if n.Done != 6 || n.Dropped[supervisor.ReasonUnsubscribed] != 4 || n.Failures != 0 {
			t.Errorf("account %+v, want 6 done and 4 dropped", n)
		}
	})
}

func TestEventsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  topics.SubscriberConfig
		end  func(t *testing.T, rt *troupetest.Runtime, cancel context.CancelCauseFunc)
		want error
		got  []int
	}{
		"context": {topics.SubscriberConfig{}, func(_ *testing.T, _ *troupetest.Runtime, cancel context.CancelCauseFunc) { cancel(errBoom) }, errBoom, []int{1}},
		"shutdown": {topics.SubscriberConfig{}, func(t *testing.T, rt *troupetest.Runtime, _ context.CancelCauseFunc) {
			if report, err := rt.Shutdown(context.Background()); err != nil || !report.Clean {
				t.Errorf("shutdown: %v, %v", report.Err(), err)
			}
		}, runtime.ErrClosed, []int{1, 2, 3}},
		"unsubscribed": {topics.SubscriberConfig{}, func(t *testing.T, rt *troupetest.Runtime, _ context.CancelCauseFunc) {
			sub, err := rt.Subscription("t", "loop")
			if err != nil {
				t.Fatal(err)
			}
			if err := sub.Unsubscribe(t.Context(), runtime.DeadLetterRest); err != nil {
				t.Error(err)
			}
		}, actors.ErrStopped, []int{1}},
		"its number": {topics.SubscriberConfig{Take: 2}, func(*testing.T, *troupetest.Runtime, context.CancelCauseFunc) {}, nil, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				wait := loopUntil(ctx, topic, c.cfg, func(int) bool { time.Sleep(time.Minute); return false })
				publish(t, topic, 1, 2, 3)
				synctest.Wait()
				c.end(t, rt, cancel)
				got, err := wait()
				wantSlice(t, "events", got, c.got...)
				wantErr(t, "end", err, c.want)
				rt.Idle()
				if n := account(t, rt).Total; n.Deliveries != 3 || n.Done != uint64(len(got)) || n.Failures > 0 {
					t.Errorf("account %+v, want %d done of 3", n, len(got))
				}
			})
		})
	}
}

func TestEventsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		only := func(ctx context.Context, name string, cfg topics.SubscriberConfig) (errs []error) {
			for _, err := range topic.Events(ctx, name, cfg) {
				errs = append(errs, err)
			}
			return errs
		}
		over, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		if errs := only(over, "a", topics.SubscriberConfig{}); len(errs) != 1 || !errors.Is(errs[0], errBoom) {
			t.Errorf("context that has ended: %v", errs)
		}
		if errs := only(t.Context(), "a b", topics.SubscriberConfig{}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "must not contain") {
			t.Errorf("bad name: %v", errs)
		}
		if errs := only(t.Context(), "a", topics.SubscriberConfig{Timeout: 1}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "Timeout 1ns: must not be set") {
			t.Errorf("timeout: %v", errs)
		}
		ctx, end := context.WithCancel(t.Context())
		wait := loopUntil(ctx, topic, topics.SubscriberConfig{}, never)
		if errs := only(t.Context(), "loop", topics.SubscriberConfig{}); len(errs) != 1 || !errors.Is(errs[0], runtime.ErrNameTaken) {
			t.Errorf("second loop: %v", errs)
		}
		end()
		if _, err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("first loop ended with %v", err)
		}
		if _, err := rt.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if errs := only(t.Context(), "a", topics.SubscriberConfig{}); len(errs) != 1 || !errors.Is(errs[0], runtime.ErrClosed) {
			t.Errorf("after shutdown: %v", errs)
		}
	})
}

// TestLoopBodyThatPanicsKillsItsEvent: the panic reaches who ranges, the event is a
// dead letter, what waits goes the way of the rest.
func TestLoopBodyThatPanicsKillsItsEvent(t *testing.T) {
	for name, exit := range map[string]func(){"panic": func() { panic("body") }, "goexit": goruntime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				var value any
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { value = recover() }()
					for range topic.Events(t.Context(), "loop", topics.SubscriberConfig{DeadLetterRest: true}) {
						time.Sleep(time.Second)
						exit()
					}
				}()
				synctest.Wait()
				publish(t, topic, 1, 2, 3)
				<-done
				rt.Idle()
				if name == "panic" && value != "body" {
					t.Errorf("the range panicked with %v", value)
				}
				var reasons []string
				for _, l := range rt.Letters() {
					reasons = append(reasons, string(l.Payload)+" "+l.Reason)
				}
				slices.Sort(reasons)
				wantSlice(t, "letters", reasons, "1 permanent", "2 unsubscribed", "3 unsubscribed")
				if n := account(t, rt).Former; n.DeadLettered != 3 || n.Done != 0 {
					t.Errorf("account %+v", n)
				}
			})
		})
	}
}

// TestShutdownAbandonsALoopThatDoesNotAsk: as a handler that does not return.
func TestShutdownAbandonsALoopThatDoesNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		gate := make(chan struct{})
		wait := loopUntil(t.Context(), topic, topics.SubscriberConfig{}, func(int) bool { <-gate; return false })
		publish(t, topic, 1, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		report, err := rt.Shutdown(ctx)
		if err != nil {
			t.Fatal(err)
		}
		troupetest.CheckAccount(t, report.Snapshot)
		wantSlice(t, "still running", report.StillRunning, "t/loop")
		close(gate)
		got, end := wait()
		wantSlice(t, "events", got, 1)
		wantErr(t, "end", end, runtime.ErrClosed)
	})
}

func channel(t testing.TB, ctx context.Context, topic *topics.Topic[int], cfg ...topics.SubscriberConfig) <-chan int {
	t.Helper()
	events, err := topic.Chan(ctx, "c", cfg...)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestChanIsDoneWhenReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		ctx, cancel := context.WithCancel(t.Context())
		events := channel(t, ctx, topic)
		publish(t, topic, 1, 2, 3, 4)
		got := []int{<-events, <-events}
		synctest.Wait()
		cancel() // the receiver walks away
		rt.Idle()
		for ev := range events {
			got = append(got, ev)
		}
		wantSlice(t, "received", got, 1, 2)
		if n := account(t, rt).Former; n.Done != 2 || n.Dropped[supervisor.ReasonUnsubscribed] != 2 || n.Failures != 0 {
			t.Errorf("account %+v, want 2 done and 2 dropped, unsubscribed", n)
		}
	})
}

func TestChanEnds(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  topics.SubscriberConfig
		end  func(rt *troupetest.Runtime, sub *topics.Subscription, cancel func())
		want []int
		ok   func(n actors.Counts) bool
	}{
		"context, dead letters": {topics.SubscriberConfig{DeadLetterRest: true},
			func(_ *troupetest.Runtime, _ *topics.Subscription, cancel func()) { cancel() },
			[]int{1}, func(n actors.Counts) bool { return n.DeadLettered == 3 }},
		"shutdown": {topics.SubscriberConfig{},
			func(rt *troupetest.Runtime, _ *topics.Subscription, _ func()) { go rt.Shutdown(context.Background()) },
			[]int{1, 2, 3, 4}, func(n actors.Counts) bool { return n.Done == 4 }},
		"unsubscribed": {topics.SubscriberConfig{},
			func(_ *troupetest.Runtime, sub *topics.Subscription, _ func()) {
				go sub.Unsubscribe(context.Background(), runtime.Drain)
			},
			[]int{1, 2, 3, 4}, func(n actors.Counts) bool { return n.Done == 4 }},
		"its number": {topics.SubscriberConfig{Take: 3}, func(*troupetest.Runtime, *topics.Subscription, func()) {},
			[]int{1, 2, 3}, func(n actors.Counts) bool { return n.Done == 3 && n.Dropped[supervisor.ReasonUnsubscribed] == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				var waiting atomic.Int64
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				events := channel(t, counting{ctx, &waiting}, topic, c.cfg)
				sub, err := rt.Subscription("t", "c")
				if err != nil {
					t.Fatal(err)
				}
				publish(t, topic, 1, 2, 3, 4)
				got := []int{<-events}
				synctest.Wait()
				c.end(rt, sub, cancel)
				synctest.Wait()
				for ev := range events { // until it is closed
					got = append(got, ev)
				}
				wantSlice(t, "received", got, c.want...)
				synctest.Wait()
				if n := account(t, rt).Total; !c.ok(n) || n.Failures != 0 {
					t.Errorf("account %+v", n)
				}
				if n := waiting.Load(); n != 0 {
					t.Errorf("%d still wait for the context", n)
				}
			})
		})
	}
}

// TestChanThatNobodyReceivesFromEndsWithTheShutdown: what waits becomes dead letters.
func TestChanThatNobodyReceivesFromEndsWithTheShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		events := channel(t, t.Context(), topic)
		publish(t, topic, 1, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		report, err := rt.Shutdown(ctx)
		if err != nil || len(report.StillRunning) > 0 {
			t.Errorf("shutdown: %+v, %v", report, err)
		}
		troupetest.CheckAccount(t, report.Snapshot)
		if _, open := <-events; open || len(rt.Letters()) != 2 {
			t.Errorf("open %v, %d letters; want closed and 2", open, len(rt.Letters()))
		}
	})
}

func TestChanThatIsReceivedTooLateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		events := channel(t, t.Context(), topic, topics.SubscriberConfig{Timeout: time.Second, Retry: once, Overflow: mailbox.DropOldest, Capacity: 2})
		publish(t, topic, 1, 2)
		time.Sleep(1500 * time.Millisecond)
		if ev := <-events; ev != 2 {
			t.Errorf("received %d, want 2", ev)
		}
		rt.Idle()
		if letters := rt.Letters(); len(letters) != 1 || letters[0].Cause != supervisor.CauseTimeout.String() {
			t.Errorf("letters %+v", letters)
		}
	})
}

func TestChanRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		over, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		_, err := topic.Chan(over, "c")
		wantErr(t, "context that has ended", err, errBoom)
		channel(t, t.Context(), topic)
		_, err = topic.Chan(t.Context(), "c")
		wantErr(t, "name taken", err, runtime.ErrNameTaken)
		if _, err = topic.Chan(t.Context(), "d", topics.SubscriberConfig{Capacity: -1}); !strings.Contains(fmt.Sprint(err), "Capacity -1") {
			t.Errorf("bad configuration: %v", err)
		}
	})
}
