package rabbitmq_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

const childURL, childTopic, childMarks = "TROUPE_TEST_CHILD_URL", "TROUPE_TEST_CHILD_TOPIC", "TROUPE_TEST_CHILD_MARKS"

// child is a consumer that settles every second record that it is given and says which,
// until it is killed; or marks one and keeps it.
func child() {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	e, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: os.Getenv(childURL)})
	fail(err)
	top, err := e.Open(ctx, os.Getenv(childTopic))
	fail(err)
	s, err := top.Subscribe(ctx, engine.SubscribeConfig{Group: "mail", MaxInFlight: 64})
	fail(err)
	if os.Getenv(childMarks) != "" {
		ds, err := s.Fetch(ctx, 1)
		fail(err)
		before, err := s.(engine.Marker).Mark(ctx, ds[0])
		fail(err)
		fmt.Println("marked", before, "at attempt", ds[0].Attempt)
		select {} // the handler that ends the process
	}
	for n := 0; ; {
		ds, err := s.Fetch(ctx, 8)
		fail(err)
		for _, d := range ds {
			fmt.Println("got", d.Record.ID)
			if n++; n%2 == 0 {
				_, err := s.Settle(ctx, []engine.Settlement{{Delivery: d}})
				fail(err)
				fmt.Println("settled", d.Record.ID)
			}
		}
	}
}

// TestKilledConsumers kills consumers in the middle of their work, and finds every
// record that none of them said it had settled.
func TestKilledConsumers(t *testing.T) {
	top, name := topic(t, open(t, rabbitmq.Config{}))
	subscribe(t, top, engine.SubscribeConfig{}).Close(within(t)) // the group is there
	const total = 600
	publish(t, top, records(0, total)...)
	settled := map[string]bool{}
	for range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childURL+"="+server(t), childTopic+"="+name)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if id, ok := strings.CutPrefix(lines.Text(), "settled "); ok {
				settled[id] = true
			}
			if n == 60 {
				_ = cmd.Process.Kill() // and read what it had said by then
			}
		}
		_ = cmd.Wait()
	}
	s := subscribe(t, top, engine.SubscribeConfig{})
	seen := map[string]bool{}
	again, duplicates := 0, 0
	for ctx := within(t); len(seen)+len(settled) < total+duplicates; {
		if ctx.Err() != nil {
			t.Fatalf("%d came and %d were settled of %d", len(seen), len(settled), total)
		}
		for _, d := range fetch(t, s, 1) {
			if d.Attempt > 1 {
				again++
			}
			if settled[d.Record.ID] && !seen[d.Record.ID] {
				duplicates++ // its acknowledgment was still with the process
			}
			seen[d.Record.ID] = true
			settle(t, s, engine.Ack, d)
		}
	}
	for _, r := range records(0, total) {
		if !seen[r.ID] && !settled[r.ID] {
			t.Errorf("%s is lost", r.ID)
		}
	}
	if again == 0 {
		t.Error("nothing was in hand when consumers were killed: the test tests nothing")
	}
	t.Logf("%d settled by four that were killed, %d came after, %d of them again, %d settled twice", len(settled), len(seen), again, duplicates)
}

// serverRestartsUnderLoad publishes and consumes while the server is killed and
// restarted: nothing acknowledged is lost, and everybody goes on by themselves.
//
// The suite of all engines kills the server, too; this one with delays and returns at
// the same time, and as it takes another start of the server, only on demand.
func serverRestartsUnderLoad(t *testing.T, p *private) {
	if os.Getenv("TROUPE_SOAK") == "" {
		t.Skip("TROUPE_SOAK is not set")
	}
	top, err := open(t, rabbitmq.Config{URL: p.url}).Open(within(t), "load")
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 128})
	publish(t, top, records(-1, 0)...)
	first := fetch(t, s, 1)[0] // makes the queue of the delay below
	if _, err := s.Settle(within(t), []engine.Settlement{{Delivery: first, Verdict: engine.Nack, Delay: 10 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	p.queuesAreSafe(t, "troupe.load/mail", "troupe.load//unclaimed", "troupe.load/mail//delay.10ms")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var (
		stop  atomic.Bool
		wg    sync.WaitGroup
		mu    sync.Mutex
		acked = map[string]bool{}
		seen  = map[string]int{}
		late  atomic.Int64
	)
	for w := range 2 {
		wg.Go(func() {
			for i := w; !stop.Load() && ctx.Err() == nil; i += 2 {
				rs := records(i*10, i*10+10)
				errs := top.Publish(ctx, rs)
				mu.Lock()
				for j, r := range rs {
					if errs == nil || errs[j] == nil {
						acked[r.ID] = true
					} else if !engine.Temporary(errs[j]) {
						t.Errorf("Publish = %v, want one that passes", errs[j])
					}
				}
				mu.Unlock()
				if errs != nil {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	consumed := make(chan struct{})
	consume, quit := context.WithCancel(ctx)
	go func() {
		defer close(consumed)
		for consume.Err() == nil {
			ds, err := s.Fetch(consume, 32)
			if err != nil {
				if consume.Err() == nil && !engine.Temporary(err) {
					t.Errorf("Fetch = %v, want one that passes", err)
				}
				continue
			}
			var settled []engine.Settlement
			mu.Lock()
			for i, d := range ds {
				v := engine.Settlement{Delivery: d}
				if i%5 == 4 && d.Attempt == 1 {
					v.Verdict, v.Delay = engine.Nack, time.Duration(i%2)*10*time.Millisecond
				} else {
					seen[d.Record.ID]++
				}
				settled = append(settled, v)
			}
			mu.Unlock()
			for ctx.Err() == nil {
				n, err := s.Settle(consume, settled)
				late.Add(int64(n))
				if err == nil || consume.Err() != nil {
					break
				}
				if !engine.Temporary(err) {
					t.Errorf("Settle = %v, want one that passes", err)
					break
				}
			}
		}
	}()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	more := func(n int) {
		for want := count() + n; count() < want; time.Sleep(time.Millisecond) {
			if ctx.Err() != nil {
				t.Fatal("publishing does not go on")
			}
		}
	}
	more(500)
	p.must(t, "kill")
	p.must(t, "start")
	more(500)
	stop.Store(true)
	wg.Wait()
	for missing := 1; missing > 0; time.Sleep(5 * time.Millisecond) {
		if missing = 0; ctx.Err() != nil {
			t.Fatal("not everything arrives")
		}
		mu.Lock()
		for id := range acked {
			if seen[id] == 0 {
				missing++
			}
		}
		mu.Unlock()
	}
	quit()
	<-consumed
	twice := 0
	for _, n := range seen {
		twice += n - 1
	}
	t.Logf("%d acknowledged, %d came, %d more than once, %d settlements late", len(acked), len(seen), twice, late.Load())
}

// TestKeyOrderOutlivesItsConsumers has one active consumer of three at a time. Each is
// closed or cut off in turn with half of a batch settled, and whoever is next begins
// with the first record that is not settled, and goes on in order.
func TestKeyOrderOutlivesItsConsumers(t *testing.T) {
	const total, batch = 400, 16
	top, name := topic(t, open(t, rabbitmq.Config{}))
	type member struct {
		net *proxy
		top engine.Topic
		sub engine.Subscription
	}
	cfg := engine.SubscribeConfig{Group: "mail", KeyOrder: true, MaxInFlight: batch}
	var members []*member
	for range 3 {
		m := &member{net: newProxy(t, server(t))}
		var err error
		if m.top, err = open(t, rabbitmq.Config{URL: m.net.url}).Open(within(t), name); err != nil {
			t.Fatal(err)
		}
		m.sub = subscribe(t, m.top, cfg)
		members = append(members, m)
	}
	publish(t, top, records(0, total)...)
	active := -1 // the only one that is given anything
	ctx := within(t)
	find := func() []*engine.Delivery {
		for ctx.Err() == nil {
			for i, m := range members {
				if active >= 0 && active != i {
					continue
				}
				short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
				ds, err := m.sub.Fetch(short, batch)
				cancel()
				if err == nil {
					active = i
					return ds
				}
			}
		}
		t.Fatal("nobody is given anything")
		return nil
	}
	next, takenOver := 0, map[int]bool{}
	for round := 0; next < total; round++ {
		fresh := active < 0
		ds := find()
		m := members[active]
		if fresh { // acknowledgments may have been lost with a connection
			takenOver[active] = true
			n, _ := strconv.Atoi(strings.TrimPrefix(ds[0].Record.ID, "id-"))
			next = min(next, n)
		}
		for _, d := range ds {
			if want := "id-" + strconv.Itoa(next); d.Record.ID != want {
				t.Fatalf("round %d, member %d: got %s (attempt %d), want %s", round, active, d.Record.ID, d.Attempt, want)
			}
			next++
		}
		if round%4 != 3 || len(ds) < 2 {
			settle(t, m.sub, engine.Ack, ds...)
			continue
		}
		half := len(ds) / 2
		settle(t, m.sub, engine.Ack, ds[:half]...)
		next -= len(ds) - half
		if round%8 == 3 {
			if err := m.sub.Close(within(t)); err != nil {
				t.Fatal(err)
			}
			m.sub = subscribe(t, m.top, cfg)
		} else {
			m.net.cut()
			for { // what it has fetched ahead, until it sees that it is cut off
				if _, err := m.sub.Fetch(ctx, batch); engine.Temporary(err) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
		}
		active = -1
	}
	if len(takenOver) < 2 {
		t.Errorf("only %v were active: nobody took over", takenOver)
	}
}

// TestSettleFromManySides settles out of order and at once; the server ends a channel
// on which a tag is acknowledged twice.
func TestSettleFromManySides(t *testing.T) {
	top, _ := topic(t, open(t, rabbitmq.Config{}))
	s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 200})
	const total = 5000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < total; i += 100 {
			publish(t, top, records(i, i+100)...)
		}
	})
	work := make(chan *engine.Delivery, 200)
	var handled atomic.Int64
	seen := sync.Map{}
	for range 8 {
		wg.Go(func() {
			var mine []engine.Settlement
			flush := func() {
				if late, err := s.Settle(within(t), mine); late != 0 || err != nil {
					t.Errorf("Settle = %d, %v", late, err)
				}
				mine = nil
			}
			for d := range work {
				v := engine.Settlement{Delivery: d}
				if d.Attempt == 1 && len(d.Record.Data) > 0 && d.Record.Data[0] == 0x37 {
					v.Verdict = engine.Nack
				} else {
					if _, twice := seen.LoadOrStore(d.Record.ID, true); twice {
						t.Errorf("%s came again after it was settled", d.Record.ID)
					}
					handled.Add(1)
				}
				if mine = append(mine, v, v); len(mine) >= 6 {
					flush()
				}
			}
			flush()
		})
	}
	ctx := within(t)
	fetch, quit := context.WithCancel(ctx)
	go func() {
		for handled.Load() < total && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		quit()
	}()
	for fetch.Err() == nil {
		ds, err := s.Fetch(fetch, 50)
		if err != nil && fetch.Err() == nil {
			t.Fatalf("Fetch = %v: the channel has ended", err)
		}
		for _, d := range ds {
			work <- d
		}
	}
	close(work)
	wg.Wait()
	if handled.Load() != total {
		t.Fatalf("handled %d of %d", handled.Load(), total)
	}
	for {
		lag, err := s.Lag(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if lag == (engine.Lag{}) {
			break
		}
	}
}
