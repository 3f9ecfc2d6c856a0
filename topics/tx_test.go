package topics_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

func stage[T any](t testing.TB, tx *topics.Tx, topic *topics.Topic[T], evs ...T) {
	t.Helper()
	for _, ev := range evs {
		if err := topic.Stage(tx, ev); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommitPublishesAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		numbers, words, nobody := openAt[int](t, rt, "numbers"), openAt[string](t, rt, "words"), openAt[int](t, rt, "nobody")
		n, w := troupetest.NewHandler[int](t), troupetest.NewHandler[string](t)
		subscribe(t, numbers, "s", n.Handle)
		full, err := words.Subscribe("s", w.Handle, topics.SubscriberConfig{Capacity: 2, Overflow: mailbox.Reject})
		if err != nil {
			t.Fatal(err)
		}
		tx := topics.Begin(rt.Runtime)
		stage(t, tx, numbers, 1, 2)
		stage(t, tx, words, "a")
		stage(t, tx, numbers, 3)
		stage(t, tx, nobody, 9)
		rt.Idle()
		n.WantEvents()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		n.WantEvents(1, 2, 3)
		w.WantEvents("a")
		wantErr(t, "commit again", tx.Commit(t.Context()), topics.ErrTxDone)
		wantErr(t, "stage after it", numbers.Stage(tx, 4), topics.ErrTxDone)

		full.Pause()
		second := topics.Begin(rt.Runtime)
		stage(t, second, numbers, 4)
		stage(t, second, words, "b", "c")
		third := topics.Begin(rt.Runtime)
		stage(t, third, numbers, 5)
		stage(t, third, words, "d")
		if err := second.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "without room", third.Commit(t.Context()), topics.ErrFull)
		full.Resume()
		rt.Idle()
		n.WantEvents(1, 2, 3, 4)
		if err := third.Commit(t.Context()); err != nil { // it is as it was
			t.Fatal(err)
		}
		rt.Idle()
		n.WantEvents(1, 2, 3, 4, 5)
		w.WantEvents("a", "b", "c", "d")

		gone := topics.Begin(rt.Runtime)
		stage(t, gone, numbers, 6)
		gone.Rollback()
		wantErr(t, "commit of what was rolled back", gone.Commit(t.Context()), topics.ErrTxDone)
		if err := topics.Begin(rt.Runtime).Commit(t.Context()); err != nil {
			t.Errorf("commit of nothing: %v", err)
		}
		var many *topics.TooManyError
		big := topics.Begin(rt.Runtime)
		stage(t, big, words, "1", "2", "3")
		if err := big.Commit(t.Context()); !errors.As(err, &many) || many.Mailbox != "words/s" || !supervisor.IsPermanent(err) {
			t.Errorf("commit of more than fits = %v, want a permanent TooManyError that names words/s", err)
		}
		snap := rt.Snapshot()
		troupetest.CheckAccount(t, snap)
		top, _ := snap.Topic("numbers")
		none, _ := snap.Topic("nobody")
		if top.Accepted != 5 || top.Rejected["full"] != 1 || none.Unrouted != 1 {
			t.Errorf("numbers: %d accepted, rejected %v; nobody: %d unrouted", top.Accepted, top.Rejected, none.Unrouted)
		}
	})
}

func TestCommitErrors(t *testing.T) {
	rt, other := troupetest.New(t), troupetest.New(t)
	topic := open(t, rt, topics.Config{Unrouted: topics.RejectUnrouted})
	tx := topics.Begin(other.Runtime)
	if err := topic.Stage(tx, 1); err == nil {
		t.Error("stage in a transaction of another runtime = nil, want an error")
	}
	tx = topics.Begin(rt.Runtime)
	stage(t, tx, topic, 1)
	wantErr(t, "nobody there", tx.Commit(t.Context()), topics.ErrNoSubscriber)
	if _, err := rt.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "after the end", tx.Commit(t.Context()), runtime.ErrClosed)
}

func TestCommitWaitsForItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Capacity: 2})
		sub.Pause()
		publish(t, topic, 1)
		tx := topics.Begin(rt.Runtime)
		stage(t, tx, topic, 2, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantErr(t, "commit", tx.Commit(ctx), context.DeadlineExceeded)
		sub.Resume()
		rt.Idle()
		h.WantEvents(1)
	})
}

// What a handler publishes by its transaction becomes visible only if it succeeds.
func TestTransactionalHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		in, out := open(t, rt), openAt[string](t, rt, "out")
		got := troupetest.NewHandler[string](t)
		if _, err := out.Subscribe("s", got.Handle); err != nil {
			t.Fatal(err)
		}
		var tries atomic.Int32
		subscribe(t, in, "s", topics.Transactional(rt.Runtime, func(_ context.Context, n int, tx *topics.Tx) error {
			stage(t, tx, out, fmt.Sprint(n, " begins"))
			switch tries.Add(1) {
			case 1:
				return errBoom
			case 2:
				panic("boom")
			}
			stage(t, tx, out, fmt.Sprint(n, " ends"))
			return nil
		}))
		publish(t, in, 7)
		rt.Idle()
		got.WantEvents("7 begins", "7 ends")
		if n := counts(t, rt, "s"); n.Failures != 2 || n.Done != 1 {
			t.Errorf("%+v, want two failures and one done", n)
		}
	})
}

// Handlers of two topics never see one transaction before and another one behind
// each other: transfers between accounts always add up for who reads both.
func TestTransactionsAreInOneOrder(t *testing.T) {
	rt := troupetest.New(t)
	a, b := openAt[int](t, rt, "a"), openAt[int](t, rt, "b")
	var mu sync.Mutex
	var as, bs []int
	note := func(list *[]int) topics.Handler[int] {
		return func(_ context.Context, n int) error {
			mu.Lock()
			defer mu.Unlock()
			*list = append(*list, n)
			return nil
		}
	}
	subscribe(t, a, "s", note(&as), topics.SubscriberConfig{Capacity: 5})
	subscribe(t, b, "s", note(&bs), topics.SubscriberConfig{Capacity: 7})
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 200 {
				tx := topics.Begin(rt.Runtime)
				n := p*1000 + i
				stage(t, tx, b, n, n)
				stage(t, tx, a, n)
				if err := tx.Commit(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	rt.Idle()
	if len(as) != 800 || len(bs) != 1600 {
		t.Fatalf("%d and %d events, want 800 and 1600", len(as), len(bs))
	}
	for i, n := range as {
		if bs[2*i] != n || bs[2*i+1] != n {
			t.Fatalf("transaction %d is number %d in a, and b has %d, %d there", n, i, bs[2*i], bs[2*i+1])
		}
	}
}

// PublishWait knows of all kinds of subscribers.
func TestPublishWaitOfEverySubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		subscribe(t, topic, "workers", h.Handle, topics.SubscriberConfig{Workers: 3, Key: topics.KeyOf(lastDigit)})
		subscribe(t, topic, "filtered", h.Handle, topics.SubscriberConfig{Filter: topics.Where(func(int) bool { return false })})
		if _, err := topics.SubscribePattern(rt.Runtime, ">", "pattern", func(context.Context, topics.Any) error { return supervisor.Skip(errBoom) }); err != nil {
			t.Fatal(err)
		}
		if _, err := topic.SubscribeBatch("batch", func(context.Context, []int) error { return nil }, topics.SubscriberConfig{Batch: topics.BatchConfig{Size: 5}}); err != nil {
			t.Fatal(err)
		}
		outcomes, err := topic.PublishWait(t.Context(), 1)
		wantErr(t, "the pattern's", err, errBoom)
		for name, want := range map[string]actors.OutcomeKind{"workers": topics.OutcomeDone, "filtered": topics.OutcomeFiltered, "pattern": topics.OutcomeDropped, "batch": topics.OutcomeDone} {
			if o, found := outcomes.Of(name); !found || o.Kind != want {
				t.Errorf("%s: %+v, want %s", name, o, want)
			}
		}
	})
}

func ExampleTransactional() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	placed, _ := topics.Open[order](rt, "orders.placed")
	paid, _ := topics.Open[order](rt, "orders.paid")
	booked, _ := topics.Open[int](rt, "ledger.booked")
	_, _ = paid.Subscribe("shipping", func(_ context.Context, o order) error { fmt.Println("ship", o.ID); return nil })
	_, _ = booked.Subscribe("ledger", func(context.Context, int) error { return nil })
	_, _ = placed.Subscribe("payment", topics.Transactional(rt, func(_ context.Context, o order, tx *topics.Tx) error {
		if err := paid.Stage(tx, o); err != nil {
			return err
		}
		if o.Cents == 0 {
			return supervisor.Permanent(errors.New("nothing to pay")) // nobody ships it
		}
		return booked.Stage(tx, o.Cents)
	}))
	ctx := context.Background()
	_ = placed.Publish(ctx, order{"o-1", 0})
	_ = placed.Publish(ctx, order{"o-2", 100})
	_, _ = rt.Shutdown(ctx)
	// Output: ship o-2
}
