package outbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/engine/postgres/outbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// killLease is how long what a killed process had waits for another.
const killLease = time.Second

// child publishes orders in transactions, says which have committed, and relays them to
// the schema that is named second, until it is killed.
func child(schemas string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	here, there, _ := strings.Cut(schemas, " ")
	url := os.Getenv("TROUPE_POSTGRES")
	p, err := pgxpool.New(ctx, url)
	fail(err)
	e, err := postgres.Open(ctx, postgres.Config{Pool: p, Schema: here})
	fail(err)
	to, err := postgres.Open(ctx, postgres.Config{URL: url, Schema: there})
	fail(err)
	rt, err := runtime.New(runtime.Config{})
	fail(err)
	box := outbox.New(e, to)
	orders, err := topics.Open[order](rt, "orders", topics.Config{Engine: box, Key: orderKey})
	fail(err)
	_, err = box.Relay(rt, "orders", outbox.RelayConfig{Batch: 5, Lease: killLease})
	fail(err)
	var say sync.Mutex
	var work sync.WaitGroup
	for n := range 3 {
		work.Go(func() {
			key := fmt.Sprintf("%d.%d", os.Getpid(), n)
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%06d", key, i)
				tx, err := p.Begin(ctx)
				fail(err)
				fail(outbox.PublishWith(ctx, tx, orders, order{id}, topics.Meta{ID: id}))
				if rand.IntN(4) == 0 {
					fail(tx.Rollback(ctx))
					say.Lock()
					fmt.Println("never", id)
					say.Unlock()
					continue
				}
				fail(tx.Commit(ctx))
				say.Lock()
				fmt.Println("done", id)
				say.Unlock()
			}
		})
	}
	work.Wait()
}

// Processes that publish in transactions and relay are killed, time and again: what was
// committed arrives, in the order of its key, and what was rolled back does not.
func TestKilledInTheMiddleOfTheOutbox(t *testing.T) {
	here, there := quick(t), quick(t)
	there.Schema += "b"
	dropInTheEnd(t, there.Schema)
	done, never := map[string]bool{}, map[string]bool{}
	for range 4 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childEnv+"="+here.Schema+" "+there.Schema)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines, begun := bufio.NewScanner(out), false
		for lines.Scan() {
			if !begun {
				begun = true
				time.AfterFunc(time.Duration(50+rand.IntN(300))*time.Millisecond, func() { _ = c.Process.Kill() })
			}
			switch what, id, _ := strings.Cut(lines.Text(), " "); what {
			case "done":
				done[id] = true
			case "never":
				never[id] = true
			}
		}
		if err := c.Wait(); err == nil || !begun {
			t.Fatalf("the child has ended by itself: %v", err)
		}
	}
	to := open(t, there)
	box := outbox.New(open(t, here), to)
	rt := troupetest.New(t)
	startRelay(t, rt.Runtime, box, outbox.RelayConfig{Lease: killLease})
	arrivals, err := to.Topic(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	s, err := arrivals.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g", From: engine.FromOldest})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	last, missing := map[string]string{}, len(done)
	arrived := 0
	for missing > 0 {
		got, err := s.Fetch(ctx, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range got {
			var ev order
			if err := json.Unmarshal(d.Record.Data, &ev); err != nil || ev.ID != d.Record.ID {
				t.Fatalf("record %s has %q: %v", d.Record.ID, d.Record.Data, err)
			}
			if never[ev.ID] {
				t.Errorf("%s arrived, it was rolled back", ev.ID)
			}
			if ev.ID <= last[ev.key()] {
				t.Errorf("%s arrived after %s", ev.ID, last[ev.key()])
			}
			last[ev.key()] = ev.ID
			if done[ev.ID] {
				missing--
			}
			arrived++
			if _, err := s.Settle(ctx, []engine.Settlement{{Delivery: d}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(never) == 0 || len(done) < 20 {
		t.Fatalf("%d committed, %d rolled back: too few to say anything", len(done), len(never))
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	t.Logf("%d committed and told, %d rolled back, %d arrived", len(done), len(never), arrived)
}
