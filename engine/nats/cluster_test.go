package nats_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

// nodeOf is the configuration of a node of three.
func nodeOf(n int, folder string, routes, clients []string) nats.Config {
	return nats.Config{
		Folder: fmt.Sprintf("%s/n%d", folder, n), Listen: clients[n],
		Cluster: nats.Cluster{Name: "test", Node: fmt.Sprintf("n%d", n), Listen: routes[n], Peers: routes},
	}
}

// node is a child process that is a node until it is killed.
func node() {
	var n int
	fields := strings.Split(os.Getenv(childTarget), "|")
	fmt.Sscan(fields[0], &n)
	_, err := nats.Open(context.Background(), nodeOf(n, fields[1], strings.Split(fields[2], ","), strings.Split(fields[3], ",")))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

func startNode(t *testing.T, n int, folder string, routes, clients []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=node", fmt.Sprintf("%s=%d|%s|%s|%s", childTarget, n, folder, strings.Join(routes, ","), strings.Join(clients, ",")))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("node %d says %q, %v", n, line, err)
	}
	return cmd
}

func addresses(t *testing.T, n int) (all []string) {
	for range n {
		all = append(all, freeAddress(t))
	}
	return all
}

// load publishes until it is stopped, what was refused again with its ID, and handles.
type load struct {
	over atomic.Bool // nothing is published any more

	mu           sync.Mutex
	acknowledged int
	handled      map[string]int
	last         time.Time     // of an acknowledgment
	gap          time.Duration // the longest between two
	refused      int
	stop         context.CancelFunc
	work         sync.WaitGroup
}

func underLoad(t *testing.T, top engine.Topic, sub engine.Subscription) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{handled: map[string]int{}, last: time.Now(), stop: cancel}
	l.work.Go(func() {
		defer l.over.Store(true)
		for n := 0; ctx.Err() == nil; n += 10 {
			todo := numbered(n, n+10)
			for len(todo) > 0 {
				one, cancel := context.WithTimeout(context.Background(), time.Second)
				errs := top.Publish(one, todo)
				cancel()
				var again []engine.Record
				for i, err := range errs {
					if err != nil {
						again = append(again, todo[i])
						if !engine.Temporary(err) {
							t.Errorf("Publish = %v, want what passes", err)
							return
						}
					}
				}
				now := time.Now()
				l.mu.Lock()
				if done := len(todo) - len(again); done > 0 {
					l.acknowledged += done
					l.gap = max(l.gap, now.Sub(l.last))
					l.last = now
				}
				l.refused += len(again)
				l.mu.Unlock()
				if todo = again; len(todo) > 0 {
					time.Sleep(20 * time.Millisecond)
				}
			}
		}
	})
	l.work.Go(func() {
		for !l.over.Load() || l.left() { // the last may be acknowledged when it has been told to end
			one, cancel := context.WithTimeout(context.Background(), time.Second)
			got, err := sub.Fetch(one, 100)
			var all []engine.Settlement
			l.mu.Lock()
			for _, d := range got {
				l.handled[d.Record.ID]++
				all = append(all, engine.Settlement{Delivery: d})
			}
			l.mu.Unlock()
			if err == nil {
				_, err = sub.Settle(one, all)
			}
			cancel()
			if err != nil && !engine.Temporary(err) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want what passes", err)
				return
			}
		}
	})
	return l
}

func (l *load) left() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.handled) < l.acknowledged
}

// wait waits for n more acknowledgments, and returns the longest pause since the last
// call.
func (l *load) wait(t *testing.T, n int) time.Duration {
	t.Helper()
	l.mu.Lock()
	n += l.acknowledged
	l.mu.Unlock()
	eventually(t, "events go on", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.acknowledged >= n
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	gap := l.gap
	l.gap = 0
	return gap
}

func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	done := make(chan struct{})
	go func() {
		l.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * patience):
		t.Fatal("what was acknowledged does not come")
	}
	again := 0
	for _, n := range l.handled {
		again += n - 1
	}
	for n := range l.acknowledged {
		if l.handled[fmt.Sprint(n)] == 0 {
			t.Errorf("%d was acknowledged and is lost", n)
		}
	}
	t.Logf("%d acknowledged, 0 lost, %d handled again, %d refused and published again", l.acknowledged, again, l.refused)
}

// The node that leads the topic is killed under load, and comes back; then others do.
func TestNothingIsLostByKillingNodes(t *testing.T) {
	t.Parallel()
	folder, routes, clients := t.TempDir(), addresses(t, 3), addresses(t, 3)
	var nodes []*exec.Cmd
	for n := range 3 {
		nodes = append(nodes, startNode(t, n, folder, routes, clients))
	}
	e := start(t, nats.Config{URL: "nats://" + strings.Join(clients, ",nats://"), Timeout: patience})
	top := topic(t, e, "orders")
	if got := e.Replicas(within(t), "orders"); got != 3 {
		t.Fatalf("the stream has %d replicas, want 3 by default", got)
	}
	s := subscribe(t, top, engine.SubscribeConfig{Lease: 3 * time.Second})
	l := underLoad(t, top, s)
	l.wait(t, 500)
	for round := range kills(t, 1) {
		n, what := e.Leader(within(t), "orders"), "leader"
		if round%2 == 1 {
			n, what = (n+1)%3, "follower"
		}
		nodes[n].Process.Kill()
		nodes[n].Wait()
		t.Logf("the %s, node %d, was killed: the longest pause of acknowledgments was %v", what, n, l.wait(t, 500).Round(time.Millisecond))
		nodes[n] = startNode(t, n, folder, routes, clients)
		eventually(t, "the node has what the others have", func() bool { return e.Current(within(t), "orders") })
	}
	l.end(t)
}

// Three nodes in one process, each with an engine of its own; one is closed.
func TestThreeNodesInOneProcess(t *testing.T) {
	t.Parallel()
	folder, routes, clients := t.TempDir(), addresses(t, 3), addresses(t, 3)
	var all []*nats.Engine
	for n := range 3 {
		cfg := nodeOf(n, folder, routes, clients)
		cfg.Timeout = patience
		all = append(all, start(t, cfg))
	}
	top := topic(t, all[0], "orders")
	s := subscribe(t, topic(t, all[1], "orders"), engine.SubscribeConfig{Lease: 3 * time.Second})
	ordered := subscribe(t, topic(t, all[1], "orders"), engine.SubscribeConfig{Group: "ordered", KeyOrder: true})
	l := underLoad(t, top, s)
	l.wait(t, 200)
	if err := all[2].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("a node was closed: the longest pause of acknowledgments was %v", l.wait(t, 200).Round(time.Millisecond))
	l.end(t)
	settle(t, ordered, engine.Ack, fetch(t, ordered, 100)...)
}
