package ops

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"go.uber.org/zap"
)

// DefaultUndo is how long a deleted letter can be restored unless Config says.
const DefaultUndo = 24 * time.Hour

// The errors of a desk. Others are those of the ledger and of the runtime; see also
// deadletter.ErrNotFound.
var (
	// ErrInvalid is wrapped by what is wrong with the arguments of a call, which
	// names the field.
	ErrInvalid = errors.New("ops: invalid")
	// ErrReadOnly is returned by everything that would change something at a desk
	// without a runtime.
	ErrReadOnly = errors.New("ops: read-only: there is no runtime")
	// ErrClosed is returned by a desk that has been closed, or whose runtime has
	// ended, for everything that would change something.
	ErrClosed = errors.New("ops: closed")
	// ErrConflict is wrapped by refusals because of how things stand by now: the
	// number of letters is another one than was confirmed, an operation has ended.
	ErrConflict = errors.New("ops: conflict")
	// ErrTaken is returned by New for a runtime that has a desk.
	ErrTaken = errors.New("ops: the runtime has a desk already")
)

// Config says how operations are done. The zero value works.
type Config struct {
	// Fixes are functions that repair payloads, by name.
	Fixes []Fix
	// Undo is how long a deleted letter can be restored. Zero means DefaultUndo.
	Undo time.Duration
	// Alerts says who is told of what. The zero value tells nobody.
	Alerts Alerts
	// WatchBuffer is how many events Watch can go back. Zero is 4096.
	WatchBuffer int
	// Logger receives what needs a person: audit entries that could not be written,
	// alerts that were not delivered, operations that stopped. Nil is silent.
	Logger *zap.Logger
}

func (c Config) withDefaults() Config {
	if c.Undo == 0 {
		c.Undo = DefaultUndo
	}
	if c.WatchBuffer == 0 {
		c.WatchBuffer = 4096
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	c.Alerts = c.Alerts.withDefaults()
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Undo < 0 {
		fault("Undo %v: must not be negative", c.Undo)
	}
	if c.WatchBuffer < 1 || c.WatchBuffer > 1<<20 {
		fault("WatchBuffer %d: must be between 1 and %d, or 0 for 4096", c.WatchBuffer, 1<<20)
	}
	names := map[string]bool{}
	for i, f := range c.Fixes {
		switch {
		case f.Name == "":
			fault(`Fixes[%d].Name "": must not be empty`, i)
		case names[f.Name]:
			fault("Fixes[%d].Name %q: is there twice", i, f.Name)
		}
		if f.Do == nil {
			fault("Fixes[%d].Do: must not be nil", i)
		}
		names[f.Name] = true
	}
	return errors.Join(append(faults, c.Alerts.validate())...)
}

// Desk does the operations of one runtime, or looks at a ledger alone when no runtime
// has it. Methods are safe for concurrent use.
type Desk struct {
	rt     *runtime.Runtime // nil: read-only
	ledger deadletter.Ledger
	cfg    Config
	log    *zap.Logger
	ring   *ring
	alerts *alerter // nil if nobody is to be told

	life context.Context // ends with the desk
	end  context.CancelFunc
	work sync.WaitGroup
	done chan struct{} // closed when everything has ended

	mu         sync.Mutex
	closed     bool
	runners    map[string]*runner
	unrecorded []deadletter.AuditEntry // for the next try
}

// desks knows which runtime has a desk: two would go on with the same operations.
var desks sync.Map

// New makes the desk of a runtime, whose store has to be a deadletter.Ledger. It
// settles what a process that ended had issued, as the package says, and goes on with
// its operations, so it takes the time that reading their issued items takes. Call it
// after the topics have been opened and the subscribers are there, since a letter whose
// subscriber is not there is left. It calls runtime.RecoverRedrives, which takes the
// store for its own unless it is a deadletter.Fleet. In a fleet every desk shows and
// steers the operations of all, and goes on with those of members that have died.
//
// Errors: everything that is wrong with the configuration, at once; [ErrTaken]; those
// of the store.
func New(rt *runtime.Runtime, cfg Config) (*Desk, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("ops: config: %w: %w", ErrInvalid, err)
	}
	ledger, ok := rt.DeadLetters().(deadletter.Ledger)
	if !ok {
		return nil, fmt.Errorf("ops: the dead-letter store %T is no deadletter.Ledger", rt.DeadLetters())
	}
	d := newDesk(ledger, cfg)
	d.rt = rt
	d.alerts = newAlerter(d)
	if _, taken := desks.LoadOrStore(rt, d); taken {
		return nil, ErrTaken
	}
	operations, err := d.recover(d.life)
	if err != nil {
		desks.Delete(rt)
		return nil, fmt.Errorf("ops: recover: %w", err)
	}
	if err := d.listen(); err != nil {
		desks.Delete(rt)
		return nil, err
	}
	for _, op := range operations {
		if err := d.start(op); err != nil {
			d.log.Error("operation cannot go on", zap.String("operation", op.ID), zap.Error(err))
		}
	}
	d.work.Go(d.keepHouse)
	if d.alerts != nil {
		d.work.Go(d.alerts.watch)
		for _, w := range d.alerts.ways {
			d.work.Go(func() { d.alerts.deliver(w) })
		}
	}
	go d.wait()
	return d, nil
}

// Offline makes a desk for looking only: everything that would change something
// returns [ErrReadOnly]. It needs no Close.
func Offline(ledger deadletter.Ledger) *Desk {
	d := newDesk(ledger, Config{}.withDefaults())
	close(d.done)
	return d
}

func newDesk(ledger deadletter.Ledger, cfg Config) *Desk {
	d := &Desk{ledger: ledger, cfg: cfg, log: cfg.Logger, ring: newRing(cfg.WatchBuffer), runners: map[string]*runner{}, done: make(chan struct{})}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// wait ends the desk when its runtime has ended, or Close is called.
func (d *Desk) wait() {
	select {
	case <-d.rt.Done():
	case <-d.life.Done():
	}
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	d.work.Wait()
	d.ring.close()
	desks.CompareAndDelete(d.rt, d)
	close(d.done)
}

// Close stops what runs, which a later desk goes on with, and writes down what is
// known: call it after Runtime.Shutdown, and before the store is closed. A desk whose
// runtime has ended closes itself. It returns when everything has ended, or with the
// cause of ctx; then it goes on to end. It is idempotent.
func (d *Desk) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// writable says why nothing can be changed.
func (d *Desk) writable() error {
	if d.rt == nil {
		return ErrReadOnly
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

func conflict(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrConflict, fmt.Errorf(format, args...))
}
