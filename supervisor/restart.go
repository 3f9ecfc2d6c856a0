package supervisor

import (
	"errors"
	"fmt"
	"time"
)

// RestartType says which ends of an actor are answered by a restart. The names of
// OTP (permanent, transient, temporary) are noted because its users know them.
type RestartType uint8

const (
	// RestartAlways restarts the actor after a failure and after a normal end. It
	// is the zero value; "permanent" in OTP.
	RestartAlways RestartType = iota
	// RestartOnFailure restarts the actor after a failure; after [ErrFinished] it
	// has ended. "transient" in OTP.
	RestartOnFailure
	// RestartNever takes every end of the actor as its last, a panic included.
	// "temporary" in OTP.
	RestartNever
)

var restartTypeNames = []string{"always", "on_failure", "never"}

// String returns always, on_failure or never.
func (t RestartType) String() string { return enumName("RestartType", restartTypeNames, uint8(t)) }

// OnExceed says what follows when an actor restarts more often than it may.
type OnExceed uint8

const (
	// ExceedPause stops handling for a cooldown that grows, keeps the queue, and
	// tries again: a subscriber that nobody looks after heals by itself. It is the
	// zero value.
	ExceedPause OnExceed = iota
	// ExceedStop ends the actor; what is left in its queue becomes dead letters
	// with reason [ReasonStopped].
	ExceedStop
	// ExceedEscalate makes it the failure of the group above.
	ExceedEscalate
)

var onExceedNames = []string{"pause", "stop", "escalate"}

// String returns pause, stop or escalate.
func (o OnExceed) String() string { return enumName("OnExceed", onExceedNames, uint8(o)) }

// NoRestarts as [Restart.MaxRestarts] allows none: the first one due goes to
// [Restart.OnExceed].
const NoRestarts = -2 // not -1: Unlimited must not be readable as its opposite

// Restart says when an actor or a group restarts and when it has restarted too
// often. The zero value restarts always, up to 10 times in 60 s, then pauses for
// 15 s, growing to 5 min, and never gives up.
type Restart struct {
	// Type says which ends are answered by a restart. Zero: [RestartAlways].
	Type RestartType
	// MaxRestarts is how many restarts are allowed within Window. 0 is 10;
	// [NoRestarts] is none, [Unlimited] no limit.
	MaxRestarts int
	// Window is the sliding time over which restarts are counted. 0 is 60 s.
	Window time.Duration
	// OnExceed says what follows on one restart too many. Zero: [ExceedPause].
	OnExceed OnExceed
	// Cooldown is the first pause of [ExceedPause]; every further one doubles,
	// until a Window passed after a pause without the next. 0 is 15 s.
	Cooldown time.Duration
	// MaxCooldown is the longest pause of [ExceedPause]. 0 is 5 min, or Cooldown
	// if that is longer.
	MaxCooldown time.Duration
	// BaseDelay is the wait before the next start when a start failed; it doubles
	// with every failed start in a row. 0 is 100 ms; [NoDelay] is no wait.
	BaseDelay time.Duration
	// MaxDelay is the longest wait after a failed start. 0 is 30 s, or BaseDelay
	// if that is longer.
	MaxDelay time.Duration
}

// WithDefaults returns r with every zero field replaced by its default. What is
// already set stays, right or wrong; see [Restart.Validate].
func (r Restart) WithDefaults() Restart {
	if r.MaxRestarts == 0 {
		r.MaxRestarts = 10
	}
	if r.Window == 0 {
		r.Window = 60 * time.Second
	}
	if r.Cooldown == 0 {
		r.Cooldown = 15 * time.Second
	}
	if r.MaxCooldown == 0 {
		r.MaxCooldown = max(5*time.Minute, r.Cooldown)
	}
	if r.BaseDelay == 0 {
		r.BaseDelay = 100 * time.Millisecond
	}
	if r.MaxDelay == 0 {
		r.MaxDelay = max(30*time.Second, r.BaseDelay)
	}
	return r
}

// Validate reports every fault of r with its defaults filled in, joined, or nil.
func (r Restart) Validate() error {
	r = r.WithDefaults()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if r.Type > RestartNever {
		fault("Restart.Type %v: must be RestartAlways, RestartOnFailure or RestartNever", r.Type)
	}
	if r.MaxRestarts < 1 && r.MaxRestarts != NoRestarts && r.MaxRestarts != Unlimited {
		fault("Restart.MaxRestarts %d: must be positive, NoRestarts or Unlimited", r.MaxRestarts)
	}
	if r.Window < 0 {
		fault("Restart.Window %v: must be positive", r.Window)
	}
	if r.OnExceed > ExceedEscalate {
		fault("Restart.OnExceed %v: must be ExceedPause, ExceedStop or ExceedEscalate", r.OnExceed)
	}
	if r.Cooldown < 0 {
		fault("Restart.Cooldown %v: must be positive", r.Cooldown)
	}
	switch {
	case r.MaxCooldown < 0:
		fault("Restart.MaxCooldown %v: must be positive", r.MaxCooldown)
	case r.MaxCooldown < r.Cooldown:
		fault("Restart.MaxCooldown %v: must be at least Cooldown (%v)", r.MaxCooldown, r.Cooldown)
	}
	faults = append(faults, validateDelays("Restart", r.BaseDelay, r.MaxDelay)...)
	if r.MaxRestarts == Unlimited && r.BaseDelay == NoDelay {
		// Nothing would slow down a start hook that fails at once.
		fault("Restart.BaseDelay NoDelay: needs a limit, MaxRestarts is Unlimited")
	}
	return errors.Join(faults...)
}
