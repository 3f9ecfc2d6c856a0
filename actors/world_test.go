package actors_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

var errBoom = errors.New("boom")

// retry is a policy whose waits are 1 s and 2 s, and whose third failure is the
// last.
var retry = supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Second, Jitter: supervisor.NoJitter}}

// once is a policy whose first failure is the last.
var once = supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}}

// world is an actor system with everything about it written down.
type world struct {
	testing.TB
	sys  *actors.System
	sink *graveyard
	seen *record
	held *record
}

// newWorld starts a system that ends with the test. Within a bubble it ends
// inside of it, so that whatever it leaves behind fails the test.
func newWorld(t testing.TB) *world { return newWorldWith(t, &graveyard{}, actors.Observer{}) }

func newWorldWith(t testing.TB, sink *graveyard, obs actors.Observer) *world {
	t.Helper()
	w := &world{TB: t, sink: sink, seen: &record{}, held: &record{}}
	cfg := actors.SystemConfig{Observer: w.seen.observer().And(obs)}
	if sink != nil {
		cfg.Sink = sink
	}
	cfg.Held = func(topics, names []string, waited time.Duration) {
		for i := range names {
			w.held.add("Held", actors.Event{Topic: topics[i], Subscriber: names[i], Delay: waited})
		}
	}
	var err error
	if w.sys, err = actors.NewSystem(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sys.Close)
	return w
}

// subject is one actor under test with the log that it reads.
type subject struct {
	*actors.Cell[int]
	w   *world
	log *mailbox.Log[int]
}

func (w *world) log() *mailbox.Log[int] { return mailbox.NewLog[int](w.sys.Guard()) }

// cell starts an actor, which ends with the test.
func (w *world) cell(cfg actors.CellConfig[int]) *subject {
	w.Helper()
	return w.cellOn(w.log(), cfg)
}

func (w *world) cellOn(log *mailbox.Log[int], cfg actors.CellConfig[int]) *subject {
	w.Helper()
	if cfg.Name == "" {
		cfg.Name = "subject"
	}
	cfg.Topic = "topic"
	c, err := actors.SpawnCell(w.sys, log, cfg)
	if err != nil {
		w.Fatal(err)
	}
	s := &subject{c, w, log}
	w.Cleanup(func() {
		s.Stop(actors.Discard, "test")
		<-s.Done()
		s.balanced()
	})
	return s
}

// handler starts an actor without state.
func (w *world) handler(cfg actors.Config, receive func(context.Context, int) error) *subject {
	w.Helper()
	return w.cell(actors.CellConfig[int]{Config: cfg, Receive: receive})
}

func (s *subject) publish(events ...int) {
	s.w.Helper()
	for _, ev := range events {
		if err := s.log.Append(context.Background(), ev); err != nil {
			s.w.Fatalf("Append(%d) = %v", ev, err)
		}
	}
}

// burst publishes events that the actor gets to see together.
func (s *subject) burst(events ...int) {
	s.w.Helper()
	s.Pause()
	s.publish(events...)
	s.Resume()
}

func (s *subject) balanced() {
	s.w.Helper()
	n := s.Counts()
	if n.Balance() != 0 {
		s.w.Errorf("Balance = %d, want 0: %+v", n.Balance(), n)
	}
	letters := n.DeadLettered
	for _, k := range n.DeadLetteredBy {
		letters -= k
	}
	if letters != 0 {
		s.w.Errorf("Counts = %+v, want dead letters to be the sum over their reasons", n)
	}
}

// wantState waits until nothing moves.
func (s *subject) wantState(want actors.State) {
	s.w.Helper()
	synctest.Wait()
	if got := s.State(); got != want {
		s.w.Errorf("State = %s, want %s", got, want)
	}
	s.balanced()
}

func (s *subject) wantCounts(want actors.Counts) {
	s.w.Helper()
	synctest.Wait()
	got := s.Counts()
	if want.DeadLetteredBy == nil {
		want.DeadLetteredBy = got.DeadLetteredBy // balanced looks at its sum
	}
	if want.Dropped == nil {
		want.Dropped = map[string]uint64{}
	}
	if !reflect.DeepEqual(got, want) {
		s.w.Errorf("Counts =\n%+v, want\n%+v", got, want)
	}
	s.balanced()
}

// graveyard is a sink that keeps what it is given.
type graveyard struct {
	mu    sync.Mutex
	dead  []*actors.Dead
	full  bool
	rooms []func()
}

func (g *graveyard) Bury(d *actors.Dead, room func()) bool {
	g.mu.Lock()
	if g.full {
		if room != nil {
			g.rooms = append(g.rooms, room)
		}
		g.mu.Unlock()
		return false
	}
	g.dead = append(g.dead, d)
	g.mu.Unlock()
	d.Stored()
	return true
}

func (g *graveyard) setFull(full bool) {
	g.mu.Lock()
	g.full = full
	rooms := g.rooms
	if !full {
		g.rooms = nil
	}
	g.mu.Unlock()
	if !full {
		for _, room := range rooms {
			room()
		}
	}
}

func (g *graveyard) all() []*actors.Dead {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.dead)
}

// letters returns event and reason of each.
func (g *graveyard) letters() []string {
	var l []string
	for _, d := range g.all() {
		l = append(l, fmt.Sprintf("%v %s", d.Event, d.Reason))
	}
	return l
}

// record writes down what an observer is told.
type record struct {
	mu    sync.Mutex
	kinds []string
	list  []actors.Event
}

func (r *record) add(kind string, e actors.Event) {
	r.mu.Lock()
	r.kinds, r.list = append(r.kinds, kind), append(r.list, e)
	r.mu.Unlock()
}

// observer returns one that writes everything down.
func (r *record) observer() (o actors.Observer) {
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		kind := v.Type().Field(i).Name
		v.Field(i).Set(reflect.ValueOf(func(e actors.Event) { r.add(kind, e) }))
	}
	return o
}

func (r *record) of(kind string) []actors.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var l []actors.Event
	for i, k := range r.kinds {
		if k == kind {
			l = append(l, r.list[i])
		}
	}
	return l
}

// story returns the kinds in order, without those left out.
func (r *record) story(without ...string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.kinds), func(k string) bool { return slices.Contains(without, k) })
}

func (w *world) wantSeen(kind string, n int) {
	w.Helper()
	synctest.Wait()
	if got := len(w.seen.of(kind)); got != n {
		w.Errorf("%s was told %d times, want %d: %v", kind, got, n, w.seen.story())
	}
}

func (w *world) wantLetters(want ...string) {
	w.Helper()
	synctest.Wait()
	if got := w.sink.letters(); !slices.Equal(got, want) {
		w.Errorf("dead letters = %q, want %q", got, want)
	}
}

// tape is what handlers write down.
type tape[E any] struct {
	mu   sync.Mutex
	list []E
}

func (p *tape[E]) add(e E) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, e)
	return len(p.list)
}

func (p *tape[E]) all() []E {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

func (p *tape[E]) len() int { return len(p.all()) }

func want[E comparable](t testing.TB, what string, got, want []E) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// attempt returns the number of the attempt of ctx.
func attempt(ctx context.Context) int {
	d, _ := actors.DeliveryFrom(ctx)
	return d.Attempt
}
