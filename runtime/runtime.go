package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrClosed is returned by everything that needs a running runtime once
// Shutdown has begun. A handler that returns it has met the end of the runtime
// that it publishes to, which no retry undoes: its event becomes a dead letter
// at once, reason shutdown, as what else is left then.
var ErrClosed = supervisor.PermanentAs(supervisor.ReasonShutdown, errors.New("runtime: closed"))

// ErrWouldDeadlock is returned to a handler that would wait for its own end.
var ErrWouldDeadlock = actors.ErrWouldDeadlock

// State says how far a runtime is in its life.
type State string

// The states of a runtime.
const (
	StateRunning  State = "running"
	StateDraining State = "draining"
	StateClosed   State = "closed"
)

// Runtime is a set of topics and their supervised subscribers. Methods are safe
// for concurrent use.
type Runtime struct {
	cfg     Config
	node    string
	sys     *actors.System
	letters *letters
	obs     Observer
	done    chan struct{} // closed when Shutdown has done its work

	fleet    *fleet // nil in a store of our own
	watch    watchers
	underWay underWay

	opening  sync.Mutex // of topics and of subscriptions to patterns; before mu
	names    trie[Topic]
	patterns trie[pattern]

	mu        sync.Mutex
	state     State
	topics    map[string]*topic
	subs      []*Subscription             // attached and not unsubscribed, in order of subscription
	byName    map[[2]string]*Subscription // by topic and name; one that has stopped may still be there
	foldAt    int                         // how many subs make a fold worth its price
	stale     []string                    // patterns of which a subscription has stopped
	past      []*Subscription             // stopped, with letters or zombies still on the way
	attaching sync.WaitGroup
	left      []Left // during shutdown
	report    Report
}

// topic is a Topic with what the runtime remembers of it.
type topic struct {
	Topic
	former actors.Counts // of subscribers that are gone for good
}

// New starts a runtime without topics. It reports everything that is wrong with
// the configuration at once.
func New(cfg Config) (*Runtime, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("runtime: config: %w", err)
	}
	if cfg.DeadLetters == nil {
		memory, err := deadletter.NewMemory(deadletter.MemoryConfig{})
		if err != nil {
			return nil, fmt.Errorf("runtime: %w", err)
		}
		cfg.DeadLetters = memory
	}
	rt := &Runtime{
		cfg: cfg, state: StateRunning, topics: map[string]*topic{}, byName: map[[2]string]*Subscription{}, done: make(chan struct{}),
	}
	rt.obs = cfg.Observer.And(logObserver(cfg.Logger.With(fieldRuntime(cfg.Name)))).And(rt.watch.observer())
	rt.node, _ = os.Hostname() // a letter without it is still a letter
	rt.letters = newLetters(rt, cfg)
	system := actors.SystemConfig{Sink: rt.letters, Observer: rt.obs.And(Observer{Stopped: rt.stopped}),
		Instrument: cfg.Instrument, ProfileLabels: cfg.ProfileLabels}
	if rt.obs.Held != nil {
		system.Held = rt.held
	}
	var err error
	if rt.sys, err = actors.NewSystem(system); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if err := rt.letters.start(); err != nil {
		rt.sys.Close()
		return nil, fmt.Errorf("runtime: %w", err)
	}
	joinFleet(rt)
	return rt, nil
}

// State says how far the runtime is in its life.
func (rt *Runtime) State() State {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.state
}

// Name returns the name of the configuration.
func (rt *Runtime) Name() string { return rt.cfg.Name }

func (rt *Runtime) running() bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.state == StateRunning
}

// Actors returns the tree that subscribers live in. Use topics.Spawn for an actor
// of your own, which has its place in the account and in Shutdown.
func (rt *Runtime) Actors() *actors.System { return rt.sys }

// Observer returns the observer of the configuration together with that of the
// log. Package topics tells it what happens to publications.
func (rt *Runtime) Observer() Observer { return rt.obs }

// DeadLetters returns the store of dead letters.
func (rt *Runtime) DeadLetters() deadletter.Store { return rt.cfg.DeadLetters }

// Node returns the name of the host, as letters have it; empty if it is not known.
func (rt *Runtime) Node() string { return rt.node }

// Done is closed when Shutdown has done its work.
func (rt *Runtime) Done() <-chan struct{} { return rt.done }

// Group makes a group of subscribers that are supervised together. Groups nest:
// see actors.Group.Group.
func (rt *Runtime) Group(name string, cfg actors.GroupConfig) (*actors.Group, error) {
	if err := validName(name); err != nil {
		return nil, fmt.Errorf("runtime: group name %q: %w", name, err)
	}
	return rt.sys.Root().Group(name, cfg)
}

// Run blocks until ctx ends or Shutdown is called elsewhere, then drains with
// the deadline of Config.DrainTimeout. It returns nil if everything that was
// accepted has been handled, else an error that says what was left.
func (rt *Runtime) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-rt.done:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), rt.cfg.DrainTimeout)
	defer cancel()
	report, err := rt.Shutdown(drain)
	if err != nil {
		return err
	}
	return report.Err()
}

// held tells that a publisher is kept waiting.
func (rt *Runtime) held(topics, names []string, waited time.Duration) {
	for i, name := range names {
		actors.Notify(rt.obs.Held, Event{Topic: topics[i], Subscriber: name, Delay: waited})
	}
}
