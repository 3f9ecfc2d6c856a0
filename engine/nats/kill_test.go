package nats_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

// childEnv says what a child process is to do until it is killed, childTarget where.
const (
	childEnv    = "TROUPE_NATS_CHILD"
	childTarget = "TROUPE_NATS_TARGET"
	childFrom   = "TROUPE_NATS_FROM"
)

const killLease = time.Second

// never is for ledger.noted.
const never = time.Hour

func child(role string) {
	if role == "node" {
		node()
	}
	ctx := context.Background()
	target := os.Getenv(childTarget)
	cfg := nats.Config{Folder: target}
	switch role {
	case "consumer":
		cfg = nats.Config{URL: target}
	case "power":
		cfg.Mode = nats.PowerSafe
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...) // straight to the pipe
	}
	check := func(err error) {
		if err != nil {
			say("error %v", err)
			os.Exit(1)
		}
	}
	e, err := nats.Open(ctx, cfg)
	check(err)
	top, err := e.Open(ctx, "orders")
	check(err)
	s, err := top.Subscribe(ctx, engine.SubscribeConfig{Group: "group", Lease: killLease, From: engine.FromOldest})
	check(err)
	if role == "marker" {
		got, err := s.Fetch(ctx, 1)
		check(err)
		before, err := s.(engine.Marker).Mark(ctx, got[0])
		check(err)
		say("marked %d %d", before, got[0].Attempt)
		select {} // the handler that ends the process
	}
	say("ready")
	if role != "consumer" {
		from, _ := strconv.Atoi(os.Getenv(childFrom))
		for w := range 3 {
			go func() {
				for n := from + w*1_000_000; ; {
					size := 1 + rand.IntN(64)
					for _, err := range top.Publish(ctx, numbered(n, n+size)) {
						check(err)
					}
					say("published %d %d", n, size)
					n += size
				}
			}()
		}
	}
	for {
		got, err := s.Fetch(ctx, 1+rand.IntN(100))
		if err != nil && engine.Temporary(err) {
			continue
		}
		check(err)
		var handled, settled []string
		var all []engine.Settlement
		for _, d := range got {
			handled = append(handled, d.Record.ID)
			if rand.IntN(10) > 0 {
				settled = append(settled, d.Record.ID)
				all = append(all, engine.Settlement{Delivery: d})
			} else {
				all = append(all, engine.Settlement{Delivery: d, Verdict: engine.Nack, Delay: 10 * time.Millisecond})
			}
		}
		say("handled %s", strings.Join(handled, " "))
		_, err = s.Settle(ctx, all)
		check(err)
		say("settled %s", strings.Join(settled, " "))
	}
}

// ledger is what children have said.
type ledger struct {
	t         *testing.T
	published map[int]bool
	handled   map[int]int
	settled   map[int]bool
	recent    map[int]time.Time // those of this child, and when
	noted     time.Duration     // what was settled that long before the kill is
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, published: map[int]bool{}, handled: map[int]int{}, settled: map[int]bool{}, recent: map[int]time.Time{}}
}

// run starts a child, kills it after about that long from when it has said what, and
// reads what it has said until then. A line that was cut off was not said.
func (l *ledger) run(what string, after time.Duration, env ...string) {
	l.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	guard := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer guard.Stop()
	var killed atomic.Int64
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		words := strings.Fields(line)
		numbers := make([]int, len(words))
		for i := 1; i < len(words); i++ {
			numbers[i], _ = strconv.Atoi(words[i])
		}
		if words[0] == what && (what == "ready" || len(words) > 1) {
			what = ""
			time.AfterFunc(after, func() {
				killed.Store(time.Now().UnixNano())
				cmd.Process.Kill()
			})
		}
		switch words[0] {
		case "ready":
		case "published":
			for i := range numbers[2] {
				l.published[numbers[1]+i] = true
			}
		case "handled":
			for _, n := range numbers[1:] {
				if l.settled[n] {
					l.t.Errorf("%d comes again, and was settled", n)
				}
				l.handled[n]++
			}
		case "settled":
			for _, n := range numbers[1:] {
				l.recent[n] = time.Now()
			}
		case "marked":
			l.handled[numbers[1]] = numbers[2]
		default:
			l.t.Errorf("the child says %q", line)
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	for n, at := range l.recent {
		if killed.Load() == 0 || time.Unix(0, killed.Load()).Sub(at) >= l.noted {
			l.settled[n] = true
		}
	}
	clear(l.recent)
}

// drain handles what is left, and checks that nothing was lost that was acknowledged.
func (l *ledger) drain(top engine.Topic) {
	l.t.Helper()
	s := subscribe(l.t, top, engine.SubscribeConfig{Lease: killLease})
	last := 0
	ctx := within(l.t)
	for {
		lag, err := s.Lag(ctx)
		if err != nil {
			l.t.Fatal(err)
		}
		if lag == (engine.Lag{}) {
			break
		}
		one, stop := context.WithTimeout(ctx, 100*time.Millisecond)
		got, err := s.Fetch(one, 1000)
		stop()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !engine.Temporary(err) {
			l.t.Fatal(err)
		}
		var all []engine.Settlement
		for _, d := range got {
			n, _ := strconv.Atoi(d.Record.ID)
			if l.settled[n] {
				l.t.Errorf("%d comes again, and was settled", n)
			}
			l.handled[n]++
			last++
			all = append(all, engine.Settlement{Delivery: d})
		}
		if _, err := s.Settle(ctx, all); err != nil {
			l.t.Fatal(err)
		}
	}
	lost, again := 0, 0
	for n := range l.published {
		if l.handled[n] == 0 {
			lost++
		}
	}
	for _, n := range l.handled {
		again += n - 1
	}
	if lost > 0 {
		l.t.Errorf("%d of %d acknowledged records are lost", lost, len(l.published))
	}
	if len(l.published) == 0 || last == 0 {
		l.t.Error("nothing was published, or all was handled: this test shows nothing")
	}
	l.t.Logf("%d acknowledged, %d lost, %d handled again, %d left by the last process", len(l.published), lost, again, last)
}

func kills(t *testing.T, usual int) int {
	if n, _ := strconv.Atoi(os.Getenv("TROUPE_NATS_KILLS")); n > 0 {
		return n
	}
	return usual
}

// The process with publishers, consumers and the server is killed at any moment. What
// was acknowledged is handled.
// TROUPE_NATS_KILLS is how often it is tried.
func TestNothingAcknowledgedIsLostByKillingTheServer(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"process", "power"} {
		t.Run(role, func(t *testing.T) {
			folder := t.TempDir()
			l := newLedger(t)
			// The server writes ten times a second what was settled, and later where
			// the disk is busy: what comes again for that is counted.
			l.noted = never
			for round := range kills(t, 5) {
				what, after := "ready", time.Duration(rand.IntN(400))*time.Millisecond
				if round == 1 {
					what, after = "settled", time.Second
				}
				l.run(what, after,
					childEnv+"="+role, childTarget+"="+folder, fmt.Sprintf("%s=%d", childFrom, round*10_000_000))
			}
			l.drain(topic(t, start(t, nats.Config{Folder: folder}), "orders"))
		})
	}
}

// Consumers are killed, and others go on with what they had.
func TestNothingAcknowledgedIsLostByKillingConsumers(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	serve(t, address, t.TempDir(), nil)
	e := start(t, nats.Config{URL: "nats://" + address})
	top := topic(t, e, "orders")
	l := newLedger(t)
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				stopped <- n
				return
			case <-time.After(time.Millisecond):
			}
			for _, err := range top.Publish(context.Background(), numbered(n, n+20)) {
				if err != nil {
					t.Error(err)
				}
			}
			n += 20
		}
	}()
	for range kills(t, 5) {
		l.run("ready", time.Duration(50+rand.IntN(300))*time.Millisecond, childEnv+"=consumer", childTarget+"=nats://"+address)
	}
	close(stop)
	for n := range <-stopped {
		l.published[n] = true
	}
	l.drain(top)
}

// A record that was in hand when its process died, twice, is known the third time.
func TestARecordThatEndsProcessesIsKnown(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	e, err := nats.Open(within(t), nats.Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, topic(t, e, "orders"), record(1))
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		l := newLedger(t)
		l.run("marked", 0, childEnv+"=marker", childTarget+"="+folder)
		if attempt, ok := l.handled[round]; !ok || attempt < round+1 {
			t.Fatalf("death %d: it was noted %v, want %d times before", round+1, l.handled, round)
		}
	}
	e = start(t, nats.Config{Folder: folder})
	s := subscribe(t, topic(t, e, "orders"), engine.SubscribeConfig{Lease: killLease})
	d := fetch(t, s, 1)[0]
	if before, err := s.(engine.Marker).Mark(within(t), d); err != nil || before != 2 || d.Attempt < 3 {
		t.Errorf("Mark = %d, %v at attempt %d, want 2 at 3", before, err, d.Attempt)
	}
	if n := e.Stored(within(t), "_TROUPE_MARKS"); n != 1 {
		t.Errorf("%d notes, want 1", n)
	}
	settle(t, s, engine.Term, d)
	if n := e.Stored(within(t), "_TROUPE_MARKS"); n != 0 {
		t.Errorf("%d notes after it was settled, want 0", n)
	}
}

// What is given back in order has not ended the process.
func TestCloseForgetsTheNotes(t *testing.T) {
	t.Parallel()
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, record(1))
	if _, err := s.(engine.Marker).Mark(within(t), fetch(t, s, 1)[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = subscribe(t, top, engine.SubscribeConfig{})
	d := fetch(t, s, 1)[0]
	if before, err := s.(engine.Marker).Mark(within(t), d); err != nil || before != 0 || d.Attempt != 2 {
		t.Errorf("Mark = %d, %v at attempt %d, want 0 at 2", before, err, d.Attempt)
	}
}
