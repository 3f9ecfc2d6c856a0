package rabbitmq_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

// mark marks until there is an answer, with patience or with none.
func mark(t testing.TB, s engine.Subscription, d *engine.Delivery, each func() time.Duration) int {
	t.Helper()
	m, ok := s.(engine.Marker)
	if !ok {
		t.Fatalf("%T is no engine.Marker", s)
	}
	for whole := within(t); ; {
		ctx, cancel := context.WithTimeout(whole, each())
		before, err := m.Mark(ctx, d)
		cancel()
		if err == nil {
			return before
		}
		if !engine.Temporary(err) || whole.Err() != nil {
			t.Fatalf("Mark = %v", err)
		}
	}
}

func patiently() time.Duration { return patience }

// TestMarksOutliveTheirProcess: what one process has noted another knows, unless the
// record was given back, or the subscription closed in order.
func TestMarksOutliveTheirProcess(t *testing.T) {
	e := open(t, rabbitmq.Config{})
	top, name := topic(t, e)
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, records(0, 2)...)
	for round, want := range []int{0, 1, 2, 0, 1} {
		ds := fetch(t, s, 2)
		if before := mark(t, s, ds[0], patiently); before != want {
			t.Errorf("round %d: Mark = %d, want %d", round, before, want)
		}
		if before := mark(t, s, ds[1], patiently); before != 0 {
			t.Errorf("round %d: Mark of one that was given back = %d, want 0", round, before)
		}
		settle(t, s, engine.Nack, ds[1])
		if round == 2 {
			if err := s.Close(within(t)); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(within(t)); err != nil { // as the end of a process does, with ds[0] in hand
			t.Fatal(err)
		}
		e = open(t, rabbitmq.Config{})
		var err error
		if top, err = e.Open(within(t), name); err != nil {
			t.Fatal(err)
		}
		s = subscribe(t, top, engine.SubscribeConfig{})
	}
	// Each group has its own.
	other := subscribe(t, top, engine.SubscribeConfig{Group: "audit"})
	publish(t, top, records(2, 3)...)
	for n, sub := range []engine.Subscription{s, other} {
		ds := fetch(t, sub, []int{3, 1}[n])
		if before := mark(t, sub, ds[len(ds)-1], patiently); before != 0 {
			t.Errorf("Mark in group %d = %d, want 0", n, before)
		}
		settle(t, sub, engine.Ack, ds...)
	}
}

// TestARecordThatEndsProcessesIsKnown kills two that have it in hand.
func TestARecordThatEndsProcessesIsKnown(t *testing.T) {
	top, name := topic(t, open(t, rabbitmq.Config{}))
	subscribe(t, top, engine.SubscribeConfig{}).Close(within(t)) // the group is there
	publish(t, top, records(0, 1)...)
	for death := range 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childURL+"="+server(t), childTopic+"="+name, childMarks+"=true")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if want := fmt.Sprintf("marked %d at attempt %d\n", death, death+1); line != want || err != nil {
			t.Fatalf("process %d said %q, %v, want %q", death, line, err, want)
		}
	}
	s := subscribe(t, top, engine.SubscribeConfig{})
	d := fetch(t, s, 1)[0]
	if before := mark(t, s, d, patiently); before != 2 || d.Attempt != 3 {
		t.Errorf("Mark = %d at attempt %d, want 2 at 3", before, d.Attempt)
	}
	settle(t, s, engine.Term, d)
}

// TestForeignTwinsAreNotSuspects: two messages of others that are the same have one
// place; what was noted of the first is over when it is settled.
func TestForeignTwinsAreNotSuspects(t *testing.T) {
	top, name := topic(t, open(t, rabbitmq.Config{}))
	s := subscribe(t, top, engine.SubscribeConfig{})
	for range 2 {
		if err := rawChannel(t).Publish("troupe."+name, "", false, false, amqp.Publishing{Body: []byte("twin")}); err != nil {
			t.Fatal(err)
		}
		d := fetch(t, s, 1)[0]
		if before := mark(t, s, d, patiently); before != 0 {
			t.Errorf("Mark = %d, want 0", before)
		}
		settle(t, s, engine.Ack, d)
	}
}

// TestMarkThatFailedIsNoCrash: a Mark that has ended without an answer may have been
// stored. The next one of the same delivery does not count it.
func TestMarkThatFailedIsNoCrash(t *testing.T) {
	e := open(t, rabbitmq.Config{})
	top, _ := topic(t, e)
	s := subscribe(t, top, engine.SubscribeConfig{})
	const n = 40
	publish(t, top, records(0, n)...)
	ds := fetch(t, s, n)
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for side := range 4 {
		wg.Go(func() {
			for i := side; i < n; i += 4 {
				tries := 0
				before := mark(t, s, ds[i], func() time.Duration {
					if tries++; tries > 5 {
						return patience
					}
					return time.Duration(rand.IntN(8_000)) * time.Microsecond
				})
				if before != 0 {
					t.Errorf("the first Mark of %s that succeeds = %d, want 0", ds[i].Record.ID, before)
				}
				if again := mark(t, s, ds[i], patiently); again != 1 {
					t.Errorf("the second = %d, want 1", again)
				}
				mu.Lock()
				failed += tries - 1
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if failed == 0 {
		t.Error("no Mark has failed: the test shows nothing")
	}
	t.Logf("%d failed", failed)
	settle(t, s, engine.Ack, ds...)
}

// TestMarksAreMadeAgain: an operator deletes the stream.
func TestMarksAreMadeAgain(t *testing.T) {
	prefix := fmt.Sprintf("marks%x.", rand.Uint32())
	e := open(t, rabbitmq.Config{Prefix: prefix})
	top, err := e.Open(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, q := range []string{"t/mail", "t//unclaimed", "//marks"} {
			deleteQueue(t, prefix+q)
		}
	})
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, records(0, 1)...)
	d := fetch(t, s, 1)[0]
	mark(t, s, d, patiently)
	deleteQueue(t, prefix+"//marks")
	if before := mark(t, s, d, func() time.Duration { return 5 * time.Second }); before != 0 {
		t.Errorf("Mark with a new stream = %d, want 0", before)
	}
	settle(t, s, engine.Ack, d)
}

// TestWithoutMarks: who may not make anything, and finds no stream, has a subscription
// that is no Marker, and says so by its type.
func TestWithoutMarks(t *testing.T) {
	prefix := fmt.Sprintf("none%x.", rand.Uint32())
	e := open(t, rabbitmq.Config{Prefix: prefix})
	top, err := e.Open(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, q := range []string{"t/mail", "t//unclaimed"} {
			deleteQueue(t, prefix+q)
		}
	})
	if err := subscribe(t, top, engine.SubscribeConfig{}).Close(within(t)); err != nil { // the group is there
		t.Fatal(err)
	}
	deleteQueue(t, prefix+"//marks")
	passive, err := open(t, rabbitmq.Config{Prefix: prefix, Passive: true}).Open(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, passive, engine.SubscribeConfig{})
	if _, ok := s.(engine.Marker); ok {
		t.Error("a Passive subscription without the stream is an engine.Marker")
	}
	publish(t, passive, records(0, 1)...)
	settle(t, s, engine.Ack, fetch(t, s, 1)...)
}
