package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Decider overrules decisions: it is given the failure and the default decision
// and returns the one to follow, usually the default with a field changed. It runs
// on failures only, on the goroutine of the failed actor: it must not block, and
// must be safe for concurrent use when several actors share it.
//
// What it returns is completed rather than taken literally where that would be a
// trap, see [Policy.Decision].
type Decider func(Failure, Decision) Decision

// Policy is all that one actor needs to know about failing. The zero value is the
// zero [Retry] and the zero [Restart], which suits most.
type Policy struct {
	// Retry is about the event.
	Retry Retry
	// Restart is about the actor.
	Restart Restart
	// Decide overrules the table; nil follows it.
	Decide Decider
}

// WithDefaults returns p with every zero field replaced by its default.
func (p Policy) WithDefaults() Policy {
	p.Retry = p.Retry.WithDefaults()
	p.Restart = p.Restart.WithDefaults()
	return p
}

// Validate reports every fault of p with its defaults filled in, joined, or nil.
func (p Policy) Validate() error {
	return errors.Join(p.Retry.Validate(), p.Restart.Validate())
}

// Decision returns what to do about f: the table at the top of the package, then
// [Policy.Decide]. The random number spreads out retries, see [Retry.Delay].
//
// It never panics. A Decider that does is ignored for this failure, and so is an
// error whose methods do; the panic is in [Decision.Fault].
//
// What a Decider returns is made possible and safe:
//
//   - FateRetry with Delay 0 waits the backoff of [Retry], unless 0 was the
//     default. [NoDelay] retries at once. So turning a dead letter into a retry
//     cannot spin. Such a retry may go beyond MaxAttempts: that is the Decider's to say.
//   - A Reason that is empty, or that belongs to the fate it replaced, becomes
//     [ReasonPermanent] for a dead letter and [ReasonSkipped] for a drop.
//   - DirectiveResume becomes DirectiveRestart after [CauseHung] and [CauseStart]:
//     there is no instance to go on with.
//   - DirectiveRestart becomes DirectiveStop under [RestartNever].
//   - Uncharged holds with FateRetry only, and waits a millisecond at least.
//   - FateRetry with DirectiveStop becomes a dead letter with [ReasonStopped]:
//     nobody is left to try again. Escalating keeps the event.
//   - An unknown Fate or Directive becomes the default one.
func (p Policy) Decision(f Failure, rnd float64) Decision {
	p = p.WithDefaults()
	v, fault := safeVerdict(f.Err)
	def := p.settle(f, p.table(f, v, rnd))
	def.Fault = fault
	if p.Decide == nil {
		return def
	}
	d, err := safeDecide(p.Decide, f, def)
	if err != nil {
		def.Fault = errors.Join(fault, err)
		return def
	}
	d = p.settle(f, p.complete(f, def, d, rnd))
	d.Fault = fault
	return d
}

// table is the default decision, row by row.
func (p Policy) table(f Failure, v verdict, rnd float64) Decision {
	switch f.Cause {
	case CausePanic, CauseGoexit:
		d := p.retry(f, rnd)
		d.Directive = DirectiveRestart
		return d
	case CauseHung:
		return Decision{Fate: FateDeadLetter, Reason: ReasonHung, Directive: DirectiveRestart}
	case CauseStart:
		return p.tableStart(v)
	}
	// CauseError and CauseTimeout: the handler returned, so it may have a verdict.
	switch v.kind {
	case verdictPermanent:
		return Decision{Fate: FateDeadLetter, Reason: cmp.Or(v.reason, ReasonPermanent)}
	case verdictSkip:
		return Decision{Fate: FateDrop, Reason: ReasonSkipped}
	case verdictFinished:
		return Decision{Fate: FateDone, Directive: p.afterNormalEnd()}
	case verdictRetryAfter:
		d := p.retry(f, rnd)
		if d.Fate == FateRetry {
			d.Delay = v.delay
		}
		return d
	case verdictPostpone:
		d := Decision{Fate: FateRetry, Delay: v.delay, Uncharged: true}
		if d.Delay == 0 {
			d.Delay = p.Retry.Delay(1, rnd)
		}
		return d
	}
	return p.retry(f, rnd)
}

// tableStart decides about an actor that did not come up. An event it may hold
// from before is kept uncharged; the pause until the next start comes from
// Intensity. A start hook has verdicts too: one that knows that trying again is
// useless, or that there is nothing to do, is not asked for ever.
func (p Policy) tableStart(v verdict) Decision {
	d := Decision{Directive: DirectiveRestart}
	switch v.kind {
	case verdictPermanent:
		d.Directive = DirectiveStop
	case verdictFinished:
		d.Directive = p.afterNormalEnd()
	case verdictRetryAfter, verdictPostpone:
		d.Delay = v.delay
	}
	return d
}

func (p Policy) afterNormalEnd() Directive {
	if p.Restart.Type == RestartAlways {
		return DirectiveRestart
	}
	return DirectiveStop
}

// retry is the next attempt, or the dead letter after the last.
func (p Policy) retry(f Failure, rnd float64) Decision {
	attempt := max(f.Attempt, 1)
	if !p.Retry.attemptsLeft(attempt) {
		return Decision{Fate: FateDeadLetter, Reason: ReasonExhausted}
	}
	return Decision{Fate: FateRetry, Delay: p.Retry.Delay(attempt, rnd)}
}

// complete fills in what a Decider left out of d.
func (p Policy) complete(f Failure, def, d Decision, rnd float64) Decision {
	if d.Fate > FateDone {
		d.Fate = def.Fate
	}
	if d.Directive > DirectiveEscalate {
		d.Directive = def.Directive
	}
	if d.Fate != def.Fate && d.Reason == def.Reason {
		d.Reason = ""
	}
	switch d.Fate {
	case FateRetry:
		wasZero := def.Fate == FateRetry && def.Delay == 0
		if d.Delay == 0 && !wasZero {
			d.Delay = p.Retry.Delay(f.Attempt, rnd)
		}
	case FateDeadLetter:
		if d.Reason == "" {
			d.Reason = ReasonPermanent
		}
	case FateDrop:
		if d.Reason == "" {
			d.Reason = ReasonSkipped
		}
	}
	return d
}

// settle makes d possible, whoever made it.
func (p Policy) settle(f Failure, d Decision) Decision {
	if d.Directive == DirectiveResume && (f.Cause == CauseHung || f.Cause == CauseStart) {
		d.Directive = DirectiveRestart
	}
	if d.Directive == DirectiveRestart && p.Restart.Type == RestartNever {
		d.Directive = DirectiveStop
	}
	if d.Fate == FateRetry && d.Directive == DirectiveStop {
		d.Fate, d.Reason = FateDeadLetter, ReasonStopped
	}
	switch d.Fate {
	case FateRetry:
		d.Reason = ""
		d.Delay = max(d.Delay, 0)
		if d.Uncharged {
			d.Delay = max(d.Delay, minPostponement)
		}
		return d
	case FateDone:
		d.Reason, d.Delay = "", 0
	default:
		d.Delay = 0
	}
	d.Uncharged = false
	return d
}

// minPostponement keeps events that are postponed again and again from spinning:
// unlike charged attempts, nothing else limits how often that is.
const minPostponement = time.Millisecond

// safeVerdict walks the chain of err, which runs Unwrap methods of the
// user's errors: a nil pointer in an error variable is enough to make one panic.
func safeVerdict(err error) (v verdict, fault error) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Errorf("supervisor: error of type %T: %w", err, recovered(r))
		}
	}()
	return verdictOf(err), nil
}

func safeDecide(decide Decider, f Failure, def Decision) (d Decision, fault error) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Errorf("supervisor: decider: %w", recovered(r))
		}
	}()
	return decide(f, def), nil
}

// recovered is called in a deferred function, where the stack still shows the panic.
func recovered(value any) *PanicError {
	return &PanicError{Value: value, Stack: string(debug.Stack())}
}
