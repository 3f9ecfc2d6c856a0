package actors

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/sourcegraph/conc"
	"github.com/troupe-go/troupe/mailbox"
)

// System is a tree of supervised actors. Several may live in one process.
type System struct {
	as            *actor.ActorSystem
	shared        bool // it is another system's
	root          *Group
	sink          Sink
	obs           Observer
	guard         *Guard
	instrument    Instrument
	profileLabels bool
	ctx           context.Context // above the context of every instance
	cancel        context.CancelCauseFunc
	hard          context.Context // ends when nothing may be waited for any more
	giveUp        context.CancelFunc
	close         sync.Once
	owned         conc.WaitGroup
	serial        atomic.Uint64
	commits       mailbox.Commits
	keys          sync.Map // of topics: string to uint64
	instance      [16]byte // a random number, for the IDs of events

	watchers atomic.Int32
	watchMu  sync.Mutex
	watched  chan struct{}
}

// SystemConfig describes a System.
type SystemConfig struct {
	// Sink takes dead events. Nil drops and counts them.
	Sink Sink
	// Observer is told what happens.
	Observer Observer
	// Held, if set, is told that a publisher is held back by full mailboxes: at
	// once, then every second, with topic and name of each. It must not block.
	Held func(topics, names []string, waited time.Duration)
	// Beside is a system to share protoactor-go's registry of names with, which
	// takes 2.9 MB and 2 ms (BenchmarkNewSystem). The trees have nothing else
	// in common. It must be closed after this one.
	Beside *System
	// Instrument stands around publications and handlers.
	Instrument Instrument
	// ProfileLabels marks the goroutines of each actor for profiles, with the
	// labels troupe_topic and troupe_subscriber.
	ProfileLabels bool
	// Logger receives what protoactor-go has to say. Nil is silent.
	Logger *slog.Logger
}

// NewSystem starts a tree with an empty root group.
func NewSystem(cfg SystemConfig) (*System, error) {
	s := &System{guard: &Guard{held: cfg.Held}, sink: cfg.Sink, obs: cfg.Observer, watched: make(chan struct{}),
		instrument: cfg.Instrument, profileLabels: cfg.ProfileLabels}
	if s.sink == nil {
		s.sink = noSink{}
	}
	rand.Read(s.instance[:])
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.hard, s.giveUp = context.WithCancel(context.Background())
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Beside != nil {
		s.as = cfg.Beside.as
		s.shared = true
	} else {
		s.as = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return logger }))
		// What protoactor-go calls dead letters are messages of its own to
		// actors that have just stopped. It logs them by way of its event
		// stream, in the sender's goroutine, and leaves a goroutine for a
		// second to count them: nobody listens to that.
		s.as.EventStream = eventstream.NewEventStream()
	}
	s.root = &Group{sys: s, name: "root", gone: make(chan struct{})}
	props := actor.PropsFromProducer(func() actor.Actor { return s.root },
		actor.WithSupervisor(s.root), actor.WithGuardian(rootGuard{}))
	pid, err := s.as.Root.SpawnNamed(props, fmt.Sprintf("troupe-%p", s)) // unique in the registry
	if err != nil {
		return nil, fmt.Errorf("actors: spawn root: %w", err)
	}
	s.root.pid = pid
	return s, nil
}

// rootGuard supervises the root group, which does not fail unless by a fault of
// ours: then it is left as it is, since a restart would stop every actor.
type rootGuard struct{}

func (rootGuard) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	sup.ResumeChildren(child)
}

// Commits puts the commits of publications to several logs into one order.
func (s *System) Commits() *mailbox.Commits { return &s.commits }

// Root returns the group at the top. It escalates to nobody.
func (s *System) Root() *Group { return s.root }

// Guard is the gatekeeper for the logs that the actors of this system read.
func (s *System) Guard() *Guard { return s.guard }

func (s *System) send(pid *actor.PID, m any) { s.as.Root.Send(pid, m) }

// Interrupt ends the contexts of all handlers.
func (s *System) Interrupt(cause error) { s.cancel(cause) }

// GiveUp ends all waiting for room in the sink.
func (s *System) GiveUp() { s.giveUp() }

// Close stops the tree and waits for it, and for the goroutines that settle what
// stopped actors have left. Actors that have not been stopped before are stopped
// now, with their contexts ended; for one that is deaf to that, Close waits.
func (s *System) Close() {
	s.close.Do(func() {
		s.cancel(ErrStopped)
		s.as.Root.Stop(s.root.pid)
		<-s.root.gone
		s.owned.Wait()
		s.giveUp()
		if !s.shared {
			s.as.Shutdown()
		}
	})
}

// Changed returns a channel that is closed at the next change of any actor's
// account or rest, from now on until release is called.
func (s *System) Changed() (changed func() <-chan struct{}, release func()) {
	s.watchers.Add(1)
	return func() <-chan struct{} {
		s.watchMu.Lock()
		defer s.watchMu.Unlock()
		return s.watched
	}, func() { s.watchers.Add(-1) }
}

// poke tells watchers that something has changed. It costs a load if there is none.
func (s *System) poke() {
	if s.watchers.Load() == 0 {
		return
	}
	s.watchMu.Lock()
	close(s.watched)
	s.watched = make(chan struct{})
	s.watchMu.Unlock()
}

type noSink struct{}

func (noSink) Bury(d *Dead, _ func()) bool {
	d.Lost(ReasonDeadLettersUnavailable)
	return true
}

// Poke tells those that watch [System.Changed] to look again: for sinks, whose
// state they look at, too.
func (s *System) Poke() { s.poke() }
