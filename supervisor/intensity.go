package supervisor

import "time"

// Action is what a supervisor does with an actor that is due for a restart.
type Action uint8

const (
	// ActRestart starts the actor again after the delay. It is the zero value.
	ActRestart Action = iota
	// ActPause leaves the actor down, its queue kept, for the delay, then starts it.
	ActPause
	// ActStop ends the actor.
	ActStop
	// ActEscalate hands the failure to the group above.
	ActEscalate
)

var actionNames = []string{"restart", "pause", "stop", "escalate"}

// String returns restart, pause, stop or escalate.
func (a Action) String() string { return enumName("Action", actionNames, uint8(a)) }

// Verdict is the answer of [Intensity] to a restart that is due.
type Verdict struct {
	// Action is what to do.
	Action Action
	// Delay is how long to wait first, with [ActRestart] and [ActPause]; else 0.
	Delay time.Duration
}

// Intensity limits how often one actor or one group restarts. It answers more than
// [Restart.MaxRestarts] restarts within [Restart.Window] with [Restart.OnExceed],
// and spaces out starts that fail.
//
// The limit is exact over a sliding window: a restart counts until it is Window
// old. Going over it empties the window, so that after a pause the actor has its
// full number again; what grows instead is the pause.
//
// One call costs O(1) amortized and the memory is 8 bytes for each restart within the
// window, MaxRestarts at most, none before the first failure. Make one per actor
// with [NewIntensity]; the zero value is NewIntensity(Restart{}). It is not safe for
// concurrent use and reads no clock.
type Intensity struct {
	cfg Restart

	// All times are durations since epoch, the first time seen: a third of the
	// size of a time.Time, and of the monotonic clock if there is one.
	epoch time.Time
	last  time.Duration // latest time seen; time does not run backward here
	begun bool

	// ring holds the n latest restarts from head on, oldest first, in room that
	// doubles on demand up to MaxRestarts.
	ring []time.Duration
	head int
	n    int

	failedStarts int // in a row
	exceeded     int // in a row: pauses with less than a window in between
	pausedUntil  time.Duration
}

// NewIntensity returns the limiter for one actor or group under r, zero fields of
// r as their defaults. Check r with [Restart.Validate] first.
func NewIntensity(r Restart) *Intensity {
	return &Intensity{cfg: r.WithDefaults()}
}

// Failed counts the restart that is due at now because of cause, and says what to
// do. Call it once for every restart that a [Decision] asks for, and once for
// every start that failed ([CauseStart]).
//
//   - Within the limit the answer is [ActRestart]: at once, or after a failed start
//     with a delay that doubles from BaseDelay to MaxDelay with each in a row.
//   - Beyond the limit it is OnExceed. A pause lasts Cooldown, doubled for every
//     pause that came within a Window after the one before was over, at most
//     MaxCooldown; it is never shorter than the delay of a failed start.
//   - Under [RestartNever] it is always [ActStop].
//
// A now before the latest one counts as the latest one.
func (i *Intensity) Failed(now time.Time, cause Cause) Verdict {
	if i.cfg.Window == 0 {
		i.cfg = i.cfg.WithDefaults()
	}
	if i.cfg.Type == RestartNever {
		return Verdict{Action: ActStop}
	}
	at := i.advance(now)
	var delay time.Duration
	if cause == CauseStart {
		i.failedStarts++
		delay = backoff(i.cfg.BaseDelay, i.cfg.MaxDelay, i.failedStarts)
	}
	if i.count(at) {
		return Verdict{Action: ActRestart, Delay: delay}
	}
	i.head, i.n = 0, 0
	switch i.cfg.OnExceed {
	case ExceedStop:
		return Verdict{Action: ActStop}
	case ExceedEscalate:
		return Verdict{Action: ActEscalate}
	}
	// The window is measured from the end of the pause: from its start, a cooldown
	// longer than the window would always look like a window of good behavior.
	if at-i.pausedUntil >= i.cfg.Window {
		i.exceeded = 0
	}
	i.exceeded++
	delay = max(delay, backoff(i.cfg.Cooldown, i.cfg.MaxCooldown, i.exceeded))
	i.pausedUntil = at + delay
	return Verdict{Action: ActPause, Delay: delay}
}

// Started notes that a start succeeded at now: the next failed start is the first
// in a row again. Restarts counted within the window stay counted, because an actor
// that starts well and then fails at once is what the window is there for.
func (i *Intensity) Started(now time.Time) {
	i.advance(now)
	i.failedStarts = 0
}

func (i *Intensity) advance(now time.Time) time.Duration {
	if !i.begun {
		i.begun, i.epoch = true, now
	}
	i.last = max(i.last, now.Sub(i.epoch))
	return i.last
}

// count puts a restart into the window and reports whether it is within the limit.
//
// Dropping at most one expired restart for the one that comes is enough. If the
// ring is then full and its oldest restart is within the window, so are all; if it
// is not full, no more than MaxRestarts can be within the window. And as one goes
// for each that comes while the oldest is expired, the ring never outgrows the
// largest number that was within the window at one time.
func (i *Intensity) count(at time.Duration) bool {
	limit := i.cfg.MaxRestarts
	if limit == Unlimited {
		return true
	}
	if i.n > 0 && at-i.ring[i.head] >= i.cfg.Window {
		i.head = (i.head + 1) % len(i.ring)
		i.n--
	}
	if i.n >= limit { // always with NoRestarts, which is negative
		return false
	}
	if i.n == len(i.ring) {
		i.grow(limit)
	}
	i.ring[(i.head+i.n)%len(i.ring)] = at
	i.n++
	return true
}

func (i *Intensity) grow(limit int) {
	size := min(max(2*len(i.ring), 8), limit)
	ring := make([]time.Duration, size)
	k := copy(ring, i.ring[i.head:])
	copy(ring[k:], i.ring[:i.head])
	i.ring, i.head = ring, 0
}
