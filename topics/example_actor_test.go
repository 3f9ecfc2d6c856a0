package topics_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// An actor's children are stopped with it, before its own Stop hook runs.
func ExampleSpawnChild() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	worker := func() topics.Behavior[string] {
		return topics.Behavior[string]{
			Receive: func(_ context.Context, job string) error { fmt.Println("done:", job); return nil },
			Stop:    func(context.Context) error { fmt.Println("worker stops"); return nil },
		}
	}
	boss, err := topics.Spawn(rt, "boss", func() topics.Behavior[string] {
		var w *actors.Ref[string]
		return topics.Behavior[string]{
			Start: func(ctx context.Context) (err error) {
				w, err = topics.SpawnChild(ctx, "worker", worker)
				return err
			},
			Receive: func(ctx context.Context, job string) error { return w.Tell(ctx, job) },
			Stop:    func(context.Context) error { fmt.Println("boss stops"); return nil },
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := boss.Tell(ctx, "sweep"); err != nil {
		log.Fatal(err)
	}
	if err := boss.Stop(ctx, runtime.Drain); err != nil {
		log.Fatal(err)
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// done: sweep
	// worker stops
	// boss stops
}

// Whoever watches an actor is told of its end by a message of its own type.
func ExampleSpawn_watch() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	db, err := topics.Spawn(rt, "db", func() topics.Behavior[string] {
		return topics.Behavior[string]{Receive: func(context.Context, string) error { panic("disk on fire") }}
	}, topics.SpawnConfig{SubscriberConfig: topics.SubscriberConfig{
		Restart: supervisor.Restart{Type: supervisor.RestartNever},
	}})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	if _, err := topics.Spawn(rt, "watcher", func() topics.Behavior[error] {
		return topics.Behavior[error]{
			Start: func(ctx context.Context) error {
				return actors.Watch(ctx, db, func(t actors.Terminated) error {
					return fmt.Errorf("%s: %s: %w", t.Name, t.Reason, t.Err)
				})
			},
			Receive: func(_ context.Context, m error) error { fmt.Println(m); close(done); return nil },
		}
	}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := db.Tell(ctx, "write"); err != nil {
		log.Fatal(err)
	}
	<-done
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: db: subscriber_stopped: panic: disk on fire
}

// Timers tell the actor messages of its own type. They end with the instance, so
// Start sets them.
func ExampleSpawn_timers() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	if _, err := topics.Spawn(rt, "poller", func() topics.Behavior[string] {
		polls := 0
		return topics.Behavior[string]{
			Start: func(ctx context.Context) error {
				return actors.Every(ctx, "poll", time.Millisecond, "poll")
			},
			Receive: func(ctx context.Context, m string) error {
				fmt.Println(m)
				if polls++; polls == 3 {
					actors.CancelTimer(ctx, "poll")
					close(done)
				}
				return nil
			},
		}
	}); err != nil {
		log.Fatal(err)
	}
	<-done
	if _, err := rt.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// poll
	// poll
	// poll
}

// An actor that is not ready sets messages aside; once it is, it becomes another
// and takes them back, in their order.
func ExampleSpawn_stash() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	store, err := topics.Spawn(rt, "store", func() topics.Behavior[string] {
		ready := func(_ context.Context, m string) error { fmt.Println("stored", m); return nil }
		return topics.Behavior[string]{Receive: func(ctx context.Context, m string) error {
			if m != "connected" {
				return actors.Stash(ctx)
			}
			return errors.Join(actors.Become(ctx, ready), actors.UnstashAll(ctx))
		}}
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, m := range []string{"a", "b", "connected", "c"} {
		if err := store.Tell(ctx, m); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// stored a
	// stored b
	// stored c
}

// An actor that nobody needs for a while lets its instance go. Its next message
// makes another.
func ExampleSpawn_passivation() {
	passive := make(chan struct{}, 1)
	rt, err := runtime.New(runtime.Config{Observer: runtime.Observer{
		Passivated: func(runtime.Event) { passive <- struct{}{} },
	}})
	if err != nil {
		log.Fatal(err)
	}
	cart, err := topics.Spawn(rt, "cart-42", func() topics.Behavior[string] {
		return topics.Behavior[string]{
			Start:   func(context.Context) error { fmt.Println("load"); return nil },
			Receive: func(_ context.Context, item string) error { fmt.Println("add", item); return nil },
			Stop:    func(context.Context) error { fmt.Println("save"); return nil },
		}
	}, topics.SpawnConfig{PassivateAfter: 50 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, item := range []string{"tea", "milk"} {
		if err := cart.Tell(ctx, item); err != nil {
			log.Fatal(err)
		}
		<-passive
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// load
	// add tea
	// save
	// load
	// add milk
	// save
}

// An actor is found by its name and the type of its messages.
func ExampleLookup() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := topics.Spawn(rt, "greeter", func() topics.Behavior[string] {
		return topics.Behavior[string]{Receive: func(_ context.Context, name string) error { fmt.Println("hello", name); return nil }}
	}); err != nil {
		log.Fatal(err)
	}
	greeter, err := topics.Lookup[string](rt, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := greeter.Tell(ctx, "world"); err != nil {
		log.Fatal(err)
	}
	_, err = topics.Lookup[int](rt, "greeter")
	fmt.Println(errors.Is(err, topics.ErrTypeMismatch))
	_, err = topics.Lookup[string](rt, "nobody")
	fmt.Println(errors.Is(err, topics.ErrNoActor))
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// hello world
	// true
	// true
}

// The members of a pool share the work. By key, one customer's messages go to
// one member, in their order.
func ExampleSpawnPool() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	type Deposit struct {
		Customer string
		Cents    int
		Balance  func(int)
	}
	accounts, err := topics.SpawnPool(rt, "accounts", 4,
		actors.ConsistentHash(func(d Deposit) string { return d.Customer }),
		func() topics.Behavior[Deposit] {
			balances := map[string]int{}
			return topics.Behavior[Deposit]{Receive: func(_ context.Context, d Deposit) error {
				balances[d.Customer] += d.Cents
				if d.Balance != nil {
					d.Balance(balances[d.Customer])
				}
				return nil
			}}
		})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for cents := range 101 {
		for _, customer := range []string{"ann", "bob", "cem"} {
			if err := accounts.Tell(ctx, Deposit{Customer: customer, Cents: cents}); err != nil {
				log.Fatal(err)
			}
		}
	}
	balance, err := actors.AskRouter(ctx, accounts.Router, func(reply func(int)) Deposit {
		return Deposit{Customer: "bob", Balance: reply}
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("bob has", balance)
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: bob has 5050
}
