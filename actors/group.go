package actors

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrNameTaken is returned for an actor or group whose name its group has
// given to another one.
var ErrNameTaken = errors.New("actors: name taken")

// GroupConfig describes a group. The zero value is OneForOne with the default
// restart policy.
type GroupConfig struct {
	// Strategy says who else is restarted when one of the group is. Each of
	// them stops and starts on its own: none waits for another, which may be
	// deaf, and what one cannot do before another is up is retried.
	Strategy supervisor.Strategy
	// Restart is the group's own policy as a child of the group above: it
	// counts what members escalate. A restart of a group restarts all of it.
	Restart supervisor.Restart
}

// Group supervises actors and other groups. It is an actor itself; its
// decisions are made on its goroutine, one after the other.
type Group struct {
	sys      *System
	name     string
	strategy supervisor.Strategy
	pid      *actor.PID
	parent   *Group // nil for the root
	node     *node  // in the parent; nil for the root

	owner *core // the actor whose children these are, or nil

	gone chan struct{} // closed when the group has stopped

	mu     sync.Mutex
	groups []*Group // inside, in the order in which they were made

	members members // the group's goroutine's; none once the group is stopping
}

// node is the place of an actor or group in the group above it.
type node struct {
	name  string
	pid   *actor.PID
	cell  *core  // one of the two
	group *Group //

	restart *supervisor.Restart
	mu      sync.Mutex
	limit   *supervisor.Intensity // made by the first failure

	timer *time.Timer // the restart that is due, the group's goroutine's
	epoch int         // counts restarts, so that a late timer is known
	index int         // in members
}

func (n *node) started(now time.Time) {
	n.mu.Lock()
	if n.limit != nil {
		n.limit.Started(now)
	}
	n.mu.Unlock()
}

func (n *node) failed(now time.Time, cause supervisor.Cause) supervisor.Verdict {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.limit == nil {
		n.limit = supervisor.NewIntensity(*n.restart)
	}
	return n.limit.Failed(now, cause)
}

// Messages to a group's actor.
type (
	spawnChild struct {
		node    *node
		props   *actor.Props
		prepare func() error // once the name is known to be free
		reply   chan error
	}
	resumeChild struct{ node *node }
	restartDue  struct {
		node  *node
		epoch int
	}
	childEscalated struct {
		node *node // the group that escalates
		f    *fault
	}
	restartAll struct{}
)

// Group makes a group inside g.
func (g *Group) Group(name string, cfg GroupConfig) (*Group, error) { return g.group(name, cfg, nil) }

func (g *Group) group(name string, cfg GroupConfig, owner *core) (*Group, error) {
	if name == "" {
		return nil, errors.New("actors: group name \"\": must not be empty")
	}
	cfg.Restart = cfg.Restart.WithDefaults()
	faults := []error{cfg.Restart.Validate()}
	if cfg.Strategy > supervisor.RestForOne {
		faults = append(faults, fmt.Errorf("Strategy %v: is not a strategy", cfg.Strategy))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("actors: group %q: %w", name, err)
	}
	sub := &Group{sys: g.sys, parent: g, name: name, strategy: cfg.Strategy, owner: owner, gone: make(chan struct{})}
	sub.node = &node{name: name, restart: &cfg.Restart, group: sub}
	props := actor.PropsFromProducer(func() actor.Actor { return sub }, actor.WithSupervisor(sub))
	if err := g.ask(sub.node, props, func() error { return nil }); err != nil {
		return nil, err
	}
	sub.pid = sub.node.pid
	g.mu.Lock()
	g.groups = append(g.groups, sub)
	g.mu.Unlock()
	return sub, nil
}

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

// spawn starts a cell in the group, after prepare.
func (g *Group) spawn(c *core, a actor.Actor, prepare func() error) error {
	c.node = &node{name: c.name() + c.member, restart: &c.cfg.Policy.Restart, cell: c}
	props := actor.PropsFromProducer(func() actor.Actor { return a },
		actor.WithMailbox(func() actor.Mailbox { return c.box }))
	return g.ask(c.node, props, prepare)
}

func (g *Group) ask(n *node, props *actor.Props, prepare func() error) error {
	reply := make(chan error, 1)
	g.sys.send(g.pid, &spawnChild{n, props, prepare, reply})
	select {
	case err := <-reply:
		return err
	case <-g.gone:
		return ErrStopped
	}
}

// Receive makes Group an actor.Actor.
func (g *Group) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *spawnChild:
		m.reply <- g.add(ctx, m)
	case *ping:
		close(m.reply)
	case *resumeChild:
		m.node.cell.asked.Store(false)
		g.begin(ctx.(actor.Supervisor), m.node)
	case *restartDue:
		if m.node.epoch == m.epoch {
			g.begin(ctx.(actor.Supervisor), m.node)
		}
	case *childEscalated:
		if g.members.has(m.node) {
			g.answer(ctx.(actor.Supervisor), m.node, m.f, supervisor.DirectiveRestart)
		}
	case *restartAll:
		for n := range g.members.from(0) {
			g.renew(ctx.(actor.Supervisor), n)
		}
	case *actor.Terminated:
		if n := g.members.byPID[m.Who.Id]; n != nil {
			n.forget()
			g.members.remove(n)
		}
	case *actor.Stopping:
		for n := range g.members.from(0) {
			n.forget()
		}
		g.members = members{}
	case *actor.Stopped:
		close(g.gone)
	}
}

// tell is Notify for the group's goroutine, which has to survive a Goexit, too.
func (g *Group) tell(fn func(Event), e Event) {
	if fn == nil {
		return
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		Notify(fn, e)
	}()
	<-told
}

func (g *Group) add(ctx actor.Context, m *spawnChild) error {
	if n := g.members.byName[m.node.name]; n != nil && !n.gone() {
		return fmt.Errorf("%w: %s", ErrNameTaken, m.node.name)
	}
	if err := m.prepare(); err != nil {
		return err
	}
	// The tree's own names are unique for ever, so that an actor may take the
	// name of one that has just stopped.
	m.node.pid = nil
	n := m.node // what this function refers to is kept for as long as the actor lives
	pid, err := ctx.SpawnNamed(m.props.Configure(actor.WithOnInit(func(c actor.Context) {
		n.pid = c.Self()
		if n.cell != nil {
			n.cell.pid = c.Self()
		}
	})), fmt.Sprintf("%s-%d", m.node.name, g.sys.serial.Add(1)))
	if err != nil {
		return fmt.Errorf("actors: spawn %s: %w", m.node.name, err)
	}
	m.node.pid = pid
	g.members.add(m.node)
	return nil
}

// HandleFailure makes Group an actor.SupervisorStrategy.
func (g *Group) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	n := g.members.byPID[child.Id]
	if n == nil {
		return // it is stopping
	}
	f, ok := message.(*fault)
	if !ok {
		// Not a failure that a cell has reported: a group that panicked, which
		// is a fault of ours. Its members are better off as they are.
		sup.ResumeChildren(child)
		return
	}
	g.answer(sup, n, f, f.directive)
}

// answer carries out the directive for a member that has failed and is suspended.
func (g *Group) answer(sup actor.Supervisor, n *node, f *fault, directive supervisor.Directive) {
	var v supervisor.Verdict
	switch directive {
	case supervisor.DirectiveRestart:
		v = n.failed(time.Now(), f.Cause)
	case supervisor.DirectiveStop:
		v.Action = supervisor.ActStop
	case supervisor.DirectiveEscalate:
		v.Action = supervisor.ActEscalate
	default:
		sup.ResumeChildren(n.pid)
		return
	}
	v.Delay = max(v.Delay, f.delay)
	e := n.event()
	e.Cause, e.Err, e.Delay = f.Cause, f.Err, v.Delay
	obs := &g.sys.obs
	switch v.Action {
	case supervisor.ActRestart:
		if v.Delay > 0 {
			f.who.down(StateBackoff)
			g.later(n, v.Delay)
		}
		g.tell(obs.Restarting, e)
		if v.Delay <= 0 {
			g.begin(sup, n)
		}
	case supervisor.ActPause:
		f.who.down(StateCooldown)
		g.later(n, v.Delay)
		e.Reason = ReasonIntensity
		g.tell(obs.Paused, e)
	case supervisor.ActStop:
		f.who.stoppedFor(f.Err)
		sup.StopChildren(n.pid)
	case supervisor.ActEscalate:
		if g.owner != nil {
			g.owner.failedBelow(f, func() { sup.StopChildren(n.pid) })
			return
		}
		if g.parent == nil {
			// The end of the line: nothing here dies of it, and nothing is
			// lost. A person has to look.
			f.who.down(StateEscalated)
			g.tell(obs.Escalated, e)
			return
		}
		f.who.down(StateBackoff)
		g.sys.send(g.parent.pid, &childEscalated{g.node, f})
	}
}

// begin restarts n and whom the strategy adds.
func (g *Group) begin(sup actor.Supervisor, n *node) {
	if !g.members.has(n) {
		return
	}
	from, to := g.strategy.Affected(len(g.members.list), n.index)
	for m := range g.members.from(from) {
		if m.index >= to {
			break
		}
		if m == n && m.cell != nil {
			m.forget()
			sup.RestartChildren(m.pid)
			continue
		}
		g.renew(sup, m)
	}
}

// renew restarts one member because of another one.
func (g *Group) renew(sup actor.Supervisor, n *node) {
	n.forget()
	switch {
	case n.group != nil:
		g.sys.send(n.pid, &restartAll{})
	case n.restart.Type == supervisor.RestartNever:
		sup.StopChildren(n.pid)
	default:
		sup.RestartChildren(n.pid)
	}
}

// gone reports whether the member has stopped and only its Terminated is still
// on the way.
func (n *node) gone() bool {
	if n.group != nil {
		select {
		case <-n.group.gone:
			return true
		default:
			return false
		}
	}
	return n.cell.State() == StateStopped
}

// later restarts n after the delay.
func (g *Group) later(n *node, delay time.Duration) {
	n.forget()
	due := &restartDue{n, n.epoch}
	n.timer = time.AfterFunc(delay, func() { g.sys.send(g.pid, due) })
}

// forget cancels the restart that is due.
func (n *node) forget() {
	n.epoch++
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}

// down marks that a failed actor will not be restarted at once.
func (c *core) down(s State) {
	c.mu.Lock()
	if c.condition != StateStopped {
		c.condition = s
		if s == StateCooldown {
			c.pauses++
		}
	}
	c.mu.Unlock()
	c.sys.poke()
}

func (n *node) event() Event {
	if n.cell != nil {
		return n.cell.event()
	}
	return Event{Subscriber: n.name}
}
