package enginetest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// Folder is the variable that says where an engine that is a server of its own keeps
// its files, in a test that kills it.
const Folder = "TROUPE_ENGINETEST_FOLDER"

// What a process that the suite kills is to do.
const (
	childRole  = "TROUPE_ENGINETEST_CHILD"
	childTopic = "TROUPE_ENGINETEST_TOPIC"
	childRun   = "TROUPE_ENGINETEST_RUN"
)

// Main runs the tests, or is one of the processes that a test kills, and then does not
// return. Call it last in TestMain, which has the process end with what the tests came to.
func Main(m *testing.M, open func() (engine.Engine, error)) {
	if role := os.Getenv(childRole); role != "" {
		fmt.Fprintln(os.Stderr, child(role, open))
		os.Exit(1)
	}
	m.Run() // m keeps the code to exit with, and TestMain's own deferred calls are made
}

// child publishes, handles or does both until it is killed. It says on its standard
// output what has been acknowledged and what has been handled, before the engine is
// told.
func child(role string, open func() (engine.Engine, error)) error {
	e, err := open()
	if err != nil {
		return err
	}
	rt, err := runtime.New(runtime.Config{Name: "child"})
	if err != nil {
		return err
	}
	topic, err := topics.Open[event](rt, os.Getenv(childTopic), topics.Config{Engine: e, Key: topics.KeyOf(func(ev event) string { return ev.Key })})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		os.Stdout.WriteString(what + " " + id + "\n")
	}
	if role != "publish" {
		_, err := topic.Subscribe("sub", func(_ context.Context, ev event) error {
			say("handled", ev.ID)
			return nil
		}, topics.SubscriberConfig{Engine: topics.ConsumeConfig{Lease: 2 * time.Second}})
		if err != nil {
			return err
		}
	}
	say("ready", "-")
	for i := 0; role != "handle"; i++ {
		ev := event{fmt.Sprintf("%s-%06d", os.Getenv(childRun), i), fmt.Sprintf("k%d", i%5)}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if topic.Publish(ctx, ev) == nil {
			say("acknowledged", ev.ID)
		}
		cancel()
		if i%10 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	select {}
}

// kill kills processes, with the signal that none can catch, while they publish and
// handle: what was acknowledged has been handled, or comes to the next one.
func kill(t *testing.T, s *suite) {
	if s.h.OneProcess {
		t.Setenv(Folder, t.TempDir())
	}
	name := s.name(t)
	acknowledged, handled := map[string]bool{}, map[string]int{}
	if !s.prepare(t, name) {
		return
	}
	for round := range s.h.Kills {
		roles := []string{"both"}
		if !s.h.OneProcess {
			roles = []string{"publish", "handle"}
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, role := range roles {
			wg.Go(func() {
				s.killed(t, role, name, fmt.Sprintf("round%d", round), func(what, id string) {
					mu.Lock()
					defer mu.Unlock()
					switch what {
					case "acknowledged":
						acknowledged[id] = true
					case "handled":
						handled[id]++
					}
				})
			})
		}
		wg.Wait()
	}
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged: the processes did not do their work")
	}
	// What is left comes to us.
	e, err := s.h.Open()
	if err != nil {
		t.Fatalf("Open() = %v after kills", err)
	}
	t.Cleanup(func() { closeWithin(t, e.Close) })
	w := s.world(t, e, name, nil)
	var h heard
	w.subscribe(t, "sub", func(_ context.Context, ev event) error { h.add(ev.ID); return nil },
		topics.SubscriberConfig{Engine: topics.ConsumeConfig{Lease: 2 * time.Second}})
	missing := func() (ids []string) {
		got := map[string]bool{}
		for _, id := range h.all() {
			got[id] = true
		}
		for id := range acknowledged {
			if handled[id] == 0 && !got[id] {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids
	}
	for deadline := time.Now().Add(60 * time.Second); len(missing()) > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if lost := missing(); len(lost) > 0 {
		t.Errorf("%d kills lost %d of %d acknowledged events: %v", s.h.Kills, len(lost), len(acknowledged), lost[:min(5, len(lost))])
	}
	again := 0
	for _, id := range h.all() {
		handled[id]++
	}
	for _, n := range handled {
		again += n - 1
	}
	t.Logf("%d kills: %d acknowledged, none lost; %d handled, %d of them again", s.h.Kills, len(acknowledged), len(handled), again)
}

// prepare makes the group before anything is published, and reports whether the
// engine is durable.
func (s *suite) prepare(t *testing.T, name string) bool {
	e, err := s.h.Open()
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	defer closeWithin(t, e.Close)
	topic := s.opened(t, e, name)
	if !topic.Caps().Durable {
		t.Skip("Caps.Durable is false")
	}
	sub, err := topic.Subscribe(s.ctx(t), engine.SubscribeConfig{Group: "sub", MaxInFlight: 10, Lease: 2 * time.Second})
	if err != nil {
		t.Fatalf("Subscribe() = %v", err)
	}
	closeWithin(t, sub.Close)
	return true
}

// killed runs a process for a while from when it is ready, and tells what it says.
func (s *suite) killed(t *testing.T, role, topic, run string, tell func(what, id string)) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childTopic+"="+topic, childRun+"="+run)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	watchdog := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	defer watchdog.Stop()
	ready := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, id, whole := strings.Cut(lines.Text(), " ")
		if what == "ready" {
			ready = true
			watchdog.Reset(time.Duration(200+rand.IntN(800)) * time.Millisecond)
		} else if whole {
			tell(what, id)
		}
	}
	cmd.Wait()
	if !ready {
		t.Errorf("process %s did not start: %s", role, said.String())
	}
}
