package supervisor_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"pgregory.net/rapid"
)

// exact has delays that a table can name.
var exact = supervisor.Retry{MaxAttempts: 3, BaseDelay: 100 * ms, Jitter: supervisor.NoJitter}

func retryIn(d time.Duration, directive supervisor.Directive) supervisor.Decision {
	return supervisor.Decision{Fate: supervisor.FateRetry, Delay: d, Directive: directive}
}

func postponed(d time.Duration, directive supervisor.Directive) supervisor.Decision {
	return supervisor.Decision{Fate: supervisor.FateRetry, Delay: d, Directive: directive, Uncharged: true}
}

func deadLetter(reason string, directive supervisor.Directive) supervisor.Decision {
	return supervisor.Decision{Fate: supervisor.FateDeadLetter, Reason: reason, Directive: directive}
}

// One test for each row of the table in the package comment, named after it.
func TestDecision(t *testing.T) {
	const (
		resume  = supervisor.DirectiveResume
		restart = supervisor.DirectiveRestart
		stop    = supervisor.DirectiveStop
	)
	plain := errors.New("db down")
	drop := supervisor.Decision{Fate: supervisor.FateDrop, Reason: supervisor.ReasonSkipped}
	done := func(d supervisor.Directive) supervisor.Decision {
		return supervisor.Decision{Fate: supervisor.FateDone, Directive: d}
	}
	late := func(err error) error { return errors.Join(supervisor.ErrTimeout, err) }
	type row struct {
		name    string
		cause   supervisor.Cause
		err     error
		attempt int
		want    supervisor.Decision
		// What changes under RestartNever and RestartOnFailure; zero means want.
		never, onFailure *supervisor.Decision
	}
	ptr := func(d supervisor.Decision) *supervisor.Decision { return &d }
	stopped := ptr(deadLetter(supervisor.ReasonStopped, stop))

	for _, tc := range []row{
		{name: "error retries and resumes", err: plain, attempt: 1, want: retryIn(100*ms, resume)},
		{name: "error, second attempt", err: plain, attempt: 2, want: retryIn(200*ms, resume)},
		{name: "error, last attempt", err: plain, attempt: 3, want: deadLetter(supervisor.ReasonExhausted, resume)},
		{name: "error, beyond the last", err: plain, attempt: 99, want: deadLetter(supervisor.ReasonExhausted, resume)},
		{name: "error, attempt unset", err: plain, want: retryIn(100*ms, resume)},
		{name: "error without an error", attempt: 1, want: retryIn(100*ms, resume)},
		{name: "unknown cause is an error", cause: 99, err: plain, attempt: 1, want: retryIn(100*ms, resume)},

		{name: "permanent goes to the dead letters at once", err: supervisor.Permanent(plain), attempt: 1,
			want: deadLetter(supervisor.ReasonPermanent, resume)},
		{name: "permanent on the last attempt is permanent", err: supervisor.Permanent(plain), attempt: 3,
			want: deadLetter(supervisor.ReasonPermanent, resume)},
		{name: "skip drops and counts", err: supervisor.Skip(plain), attempt: 1, want: drop},
		{name: "skip on the last attempt", err: supervisor.Skip(plain), attempt: 3, want: drop},
		{name: "retry after says when", err: supervisor.RetryAfter(plain, time.Hour), attempt: 1, want: retryIn(time.Hour, resume)},
		{name: "retry after 0 is at once", err: supervisor.RetryAfter(plain, 0), attempt: 1, want: retryIn(0, resume)},
		{name: "retry after is charged", err: supervisor.RetryAfter(plain, time.Hour), attempt: 3,
			want: deadLetter(supervisor.ReasonExhausted, resume)},
		{name: "postpone is not charged", err: supervisor.Postpone(plain, time.Hour), attempt: 3, want: postponed(time.Hour, resume)},
		{name: "postpone without a delay waits the first backoff", err: supervisor.Postpone(plain, -1), attempt: 3, want: postponed(100*ms, resume)},
		{name: "postpone never spins", err: supervisor.Postpone(plain, 1), attempt: 1, want: postponed(ms, resume)},
		{name: "postpone after the deadline", cause: supervisor.CauseTimeout, err: late(supervisor.Postpone(plain, time.Hour)), attempt: 3,
			want: postponed(time.Hour, resume)},
		{name: "panic with a postponement is a panic", cause: supervisor.CausePanic,
			err: &supervisor.PanicError{Value: supervisor.Postpone(plain, 1)}, attempt: 1, want: retryIn(100*ms, restart), never: stopped},
		{name: "finished ends the actor normally", err: fmt.Errorf("all read: %w", supervisor.ErrFinished), attempt: 1,
			want: done(restart), never: ptr(done(stop)), onFailure: ptr(done(stop))},

		{name: "panic retries and restarts", cause: supervisor.CausePanic, err: &supervisor.PanicError{Value: 1}, attempt: 1,
			want: retryIn(100*ms, restart), never: stopped},
		{name: "panic, last attempt", cause: supervisor.CausePanic, err: &supervisor.PanicError{Value: 1}, attempt: 3,
			want: deadLetter(supervisor.ReasonExhausted, restart), never: ptr(deadLetter(supervisor.ReasonExhausted, stop))},
		{name: "panic with a verdict is a panic", cause: supervisor.CausePanic,
			err: &supervisor.PanicError{Value: supervisor.Permanent(plain)}, attempt: 1,
			want: retryIn(100*ms, restart), never: stopped},
		{name: "goexit retries and restarts", cause: supervisor.CauseGoexit, err: supervisor.ErrGoexit, attempt: 2,
			want: retryIn(200*ms, restart), never: stopped},
		{name: "goexit, last attempt", cause: supervisor.CauseGoexit, err: supervisor.ErrGoexit, attempt: 3,
			want: deadLetter(supervisor.ReasonExhausted, restart), never: ptr(deadLetter(supervisor.ReasonExhausted, stop))},

		{name: "timeout retries and resumes", cause: supervisor.CauseTimeout, err: supervisor.ErrTimeout, attempt: 1,
			want: retryIn(100*ms, resume)},
		{name: "timeout, last attempt", cause: supervisor.CauseTimeout, err: late(plain), attempt: 3,
			want: deadLetter(supervisor.ReasonExhausted, resume)},
		{name: "timeout with a late verdict", cause: supervisor.CauseTimeout, err: late(supervisor.Permanent(plain)), attempt: 1,
			want: deadLetter(supervisor.ReasonPermanent, resume)},
		{name: "hung goes to the dead letters and is abandoned", cause: supervisor.CauseHung, err: supervisor.ErrHung, attempt: 1,
			want: deadLetter(supervisor.ReasonHung, restart), never: ptr(deadLetter(supervisor.ReasonHung, stop))},

		{name: "start failure charges no event", cause: supervisor.CauseStart, err: plain, attempt: 99,
			want: retryIn(0, restart), never: stopped},
		{name: "start that panics", cause: supervisor.CauseStart, err: &supervisor.PanicError{Value: 1},
			want: retryIn(0, restart), never: stopped},
		{name: "start that says when", cause: supervisor.CauseStart, err: supervisor.RetryAfter(plain, time.Hour),
			want: retryIn(time.Hour, restart), never: stopped},
		{name: "start that is permanent", cause: supervisor.CauseStart, err: supervisor.Permanent(plain), want: *stopped},
		{name: "start that is finished", cause: supervisor.CauseStart, err: supervisor.ErrFinished,
			want: retryIn(0, restart), never: stopped, onFailure: stopped},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := supervisor.Failure{Cause: tc.cause, Err: tc.err, Attempt: tc.attempt}
			for typ, want := range map[supervisor.RestartType]*supervisor.Decision{
				supervisor.RestartAlways:    nil,
				supervisor.RestartNever:     tc.never,
				supervisor.RestartOnFailure: tc.onFailure,
			} {
				if want == nil {
					want = &tc.want
				}
				p := supervisor.Policy{Retry: exact, Restart: supervisor.Restart{Type: typ}}
				if got := p.Decision(f, 0.5); got != *want {
					t.Errorf("%v: Decision(%+v) = %+v, want %+v", typ, f, got, *want)
				}
				// A decider that agrees changes nothing, in any row.
				p.Decide = func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision { return d }
				if got := p.Decision(f, 0.5); got != *want {
					t.Errorf("%v: with an agreeing decider = %+v, want %+v", typ, got, *want)
				}
			}
		})
	}
}

func TestZeroPolicyTriesFiveTimes(t *testing.T) {
	var p supervisor.Policy
	wantFaults(t, p.Validate())
	for attempt := 1; attempt <= 5; attempt++ {
		got := p.Decision(supervisor.Failure{Err: io.EOF, Attempt: attempt}, 1)
		want := retryIn(100*ms<<(attempt-1), supervisor.DirectiveResume)
		if attempt == 5 {
			want = deadLetter(supervisor.ReasonExhausted, supervisor.DirectiveResume)
		}
		if got != want {
			t.Errorf("attempt %d: Decision = %+v, want %+v", attempt, got, want)
		}
	}
}

func TestNoRetryAndUnlimited(t *testing.T) {
	f := supervisor.Failure{Err: io.EOF, Attempt: 1}
	once := supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}}
	if got, want := once.Decision(f, 0), deadLetter(supervisor.ReasonExhausted, supervisor.DirectiveResume); got != want {
		t.Errorf("NoRetry: Decision = %+v, want %+v", got, want)
	}
	f.Attempt = 1 << 40
	ever := supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: supervisor.Unlimited}}
	if got, want := ever.Decision(f, 1), retryIn(30*time.Second, supervisor.DirectiveResume); got != want {
		t.Errorf("Unlimited: Decision = %+v, want %+v", got, want)
	}
}

func TestDeciderOverrules(t *testing.T) {
	type decision = supervisor.Decision
	const (
		escalate = supervisor.DirectiveEscalate
		restart  = supervisor.DirectiveRestart
		resume   = supervisor.DirectiveResume
		stop     = supervisor.DirectiveStop
	)
	failed := supervisor.Failure{Cause: supervisor.CauseError, Err: io.EOF, Attempt: 2}
	last := supervisor.Failure{Cause: supervisor.CauseError, Err: io.EOF, Attempt: 3}
	panicked := supervisor.Failure{Cause: supervisor.CausePanic, Err: &supervisor.PanicError{Value: 1}, Attempt: 1}
	hung := supervisor.Failure{Cause: supervisor.CauseHung, Err: supervisor.ErrHung, Attempt: 1}
	start := supervisor.Failure{Cause: supervisor.CauseStart, Err: io.EOF}
	now := supervisor.Failure{Err: supervisor.RetryAfter(io.EOF, 0), Attempt: 1}
	later := supervisor.Failure{Err: supervisor.Postpone(io.EOF, time.Hour), Attempt: 1}

	for _, tc := range []struct {
		name   string
		typ    supervisor.RestartType
		f      supervisor.Failure
		change func(*decision)
		want   decision
	}{
		{"restarts on an error", 0, failed, func(d *decision) { d.Directive = restart }, retryIn(200*ms, restart)},
		{"resumes after a panic", 0, panicked, func(d *decision) { d.Directive = resume }, retryIn(100*ms, resume)},
		{"escalates and keeps the event", 0, panicked, func(d *decision) { d.Directive = escalate }, retryIn(100*ms, escalate)},
		{"its own delay", 0, failed, func(d *decision) { d.Delay = time.Hour }, retryIn(time.Hour, resume)},
		{"its own reason", 0, failed, func(d *decision) { d.Fate, d.Reason = supervisor.FateDeadLetter, "fraud" }, deadLetter("fraud", resume)},
		{"dead letter without a reason", 0, failed, func(d *decision) { d.Fate = supervisor.FateDeadLetter }, deadLetter(supervisor.ReasonPermanent, resume)},
		{"drop without a reason", 0, failed, func(d *decision) { d.Fate = supervisor.FateDrop },
			decision{Fate: supervisor.FateDrop, Reason: supervisor.ReasonSkipped}},
		{"drop in place of a dead letter", 0, last, func(d *decision) { d.Fate = supervisor.FateDrop },
			decision{Fate: supervisor.FateDrop, Reason: supervisor.ReasonSkipped}},
		{"reason removed", 0, last, func(d *decision) { d.Reason = "" }, deadLetter(supervisor.ReasonPermanent, resume)},
		{"done", 0, last, func(d *decision) { d.Fate = supervisor.FateDone }, decision{Fate: supervisor.FateDone}},
		{"retry beyond the last attempt waits its backoff", 0, last, func(d *decision) { d.Fate = supervisor.FateRetry }, retryIn(400*ms, resume)},
		{"zero decision waits its backoff", 0, last, func(d *decision) { *d = decision{} }, retryIn(400*ms, resume)},
		{"delay removed waits its backoff", 0, failed, func(d *decision) { d.Delay = 0 }, retryIn(200*ms, resume)},
		{"no delay is at once", 0, failed, func(d *decision) { d.Delay = supervisor.NoDelay }, retryIn(0, resume)},
		{"handler's own zero delay stays", 0, now, func(d *decision) { d.Directive = restart }, retryIn(0, restart)},
		{"stop has nobody to retry", 0, failed, func(d *decision) { d.Directive = stop }, deadLetter(supervisor.ReasonStopped, stop)},
		{"stop keeps another fate", 0, last, func(d *decision) { d.Directive = stop }, deadLetter(supervisor.ReasonExhausted, stop)},
		{"never restarts", supervisor.RestartNever, failed, func(d *decision) { d.Directive = restart }, deadLetter(supervisor.ReasonStopped, stop)},
		{"never restarts, but goes on", supervisor.RestartNever, panicked,
			func(d *decision) { d.Fate, d.Directive = supervisor.FateRetry, resume }, retryIn(100*ms, resume)},
		{"not charged", 0, last, func(d *decision) { *d = decision{Uncharged: true, Delay: time.Hour} }, postponed(time.Hour, resume)},
		{"not charged never spins", 0, failed, func(d *decision) { d.Uncharged, d.Delay = true, supervisor.NoDelay }, postponed(ms, resume)},
		{"not charged is for retries", 0, last, func(d *decision) { d.Uncharged = true }, deadLetter(supervisor.ReasonExhausted, resume)},
		{"charges a postponement", 0, later, func(d *decision) { d.Uncharged = false }, retryIn(time.Hour, resume)},
		{"hung retried at its own risk", 0, hung, func(d *decision) { d.Fate = supervisor.FateRetry }, retryIn(100*ms, restart)},
		{"hung cannot resume", 0, hung, func(d *decision) { d.Directive = resume }, deadLetter(supervisor.ReasonHung, restart)},
		{"start failure cannot resume", 0, start, func(d *decision) { *d = decision{} }, retryIn(0, restart)},
		{"start failure escalates", 0, start, func(d *decision) { d.Directive = escalate }, retryIn(0, escalate)},
		{"start failure stops", 0, start, func(d *decision) { d.Directive = stop }, deadLetter(supervisor.ReasonStopped, stop)},
		{"unknown fate", 0, last, func(d *decision) { d.Fate = 77 }, deadLetter(supervisor.ReasonExhausted, resume)},
		{"unknown directive", 0, panicked, func(d *decision) { d.Directive = 77 }, retryIn(100*ms, restart)},
		{"fault is not the decider's to set", 0, failed, func(d *decision) { d.Fault = io.EOF }, retryIn(200*ms, resume)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := supervisor.Policy{Retry: exact, Restart: supervisor.Restart{Type: tc.typ}}
			def := p.Decision(tc.f, 0.5)
			p.Decide = func(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
				if f != tc.f || d != def {
					t.Errorf("decider was given %+v, %+v, want %+v, %+v", f, d, tc.f, def)
				}
				tc.change(&d)
				return d
			}
			if got := p.Decision(tc.f, 0.5); got != tc.want {
				t.Errorf("Decision = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestPanickingDeciderIsIgnoredAndReported(t *testing.T) {
	for _, value := range []any{"boom", nil, io.EOF, []int{1}} {
		p := supervisor.Policy{Retry: exact}
		f := supervisor.Failure{Cause: supervisor.CausePanic, Err: io.EOF, Attempt: 1}
		want := p.Decision(f, 0.5)
		p.Decide = func(supervisor.Failure, supervisor.Decision) supervisor.Decision { panic(value) }
		got := p.Decision(f, 0.5)
		wantFault(t, got.Fault, "supervisor: decider: panic: ")
		if got.Fault = nil; got != want {
			t.Errorf("panic(%v): Decision = %+v, want the default %+v", value, got, want)
		}
	}
}

// An error variable that holds a nil pointer is a common slip; its methods panic.
func TestPanickingErrorIsAPlainErrorAndReported(t *testing.T) {
	var slip *nilErr
	f := supervisor.Failure{Err: slip, Attempt: 1}
	p := supervisor.Policy{Retry: exact}
	want := retryIn(100*ms, supervisor.DirectiveResume)

	got := p.Decision(f, 0.5)
	wantFault(t, got.Fault, "supervisor: error of type *supervisor_test.nilErr: panic: ")
	if got.Fault = nil; got != want {
		t.Errorf("Decision = %+v, want %+v", got, want)
	}

	// A decider that trips over the same error adds its panic to the report.
	p.Decide = func(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
		if errors.Is(f.Err, io.EOF) {
			d.Fate = supervisor.FateDrop
		}
		return d
	}
	got = p.Decision(f, 0.5)
	wantFault(t, got.Fault, "supervisor: error of type *supervisor_test.nilErr: panic: ")
	if !strings.Contains(got.Fault.Error(), "\nsupervisor: decider: panic: ") {
		t.Errorf("Fault = %v, want the decider's panic too", got.Fault)
	}
	if got.Fault = nil; got != want {
		t.Errorf("Decision = %+v, want %+v", got, want)
	}
}

func wantFault(t *testing.T, fault error, prefix string) {
	t.Helper()
	if fault == nil || !strings.HasPrefix(fault.Error(), prefix) {
		t.Fatalf("Fault = %v, want %q...", fault, prefix)
	}
	var p *supervisor.PanicError
	if !errors.As(fault, &p) || !strings.Contains(p.Stack, "policy_test.go") && !strings.Contains(p.Stack, "failure_test.go") {
		t.Errorf("Fault has no stack of the user's code: %+v", p)
	}
}

func TestPolicyValidateReportsBothHalves(t *testing.T) {
	p := supervisor.Policy{Retry: supervisor.Retry{Jitter: 2}, Restart: supervisor.Restart{Window: -1, OnExceed: 3}}
	wantFaults(t, p.Validate(),
		"Retry.Jitter 2: must be between 0 and 1, or NoJitter",
		"Restart.Window -1ns: must be positive",
		"Restart.OnExceed OnExceed(3): must be ExceedPause, ExceedStop or ExceedEscalate")
}

// Whatever the failure and whatever a decider returns, the runtime can carry the
// decision out: nothing unknown, nothing contradictory, no spin.
func TestDecisionIsAlwaysPossible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		causes := rapid.SampledFrom([]supervisor.Cause{0, 1, 2, 3, 4, 5, 200})
		errs := rapid.SampledFrom([]error{
			nil, io.EOF, supervisor.Permanent(io.EOF), supervisor.Skip(io.EOF), supervisor.ErrFinished,
			supervisor.RetryAfter(io.EOF, time.Hour), supervisor.Postpone(io.EOF, 1), supervisor.ErrTimeout, (*nilErr)(nil),
		})
		p := supervisor.Policy{
			Retry:   supervisor.Retry{MaxAttempts: rapid.IntRange(-1, 4).Draw(t, "max")},
			Restart: supervisor.Restart{Type: rapid.SampledFrom([]supervisor.RestartType{0, 1, 2}).Draw(t, "type")},
		}
		f := supervisor.Failure{Cause: causes.Draw(t, "cause"), Err: errs.Draw(t, "err"), Attempt: rapid.IntRange(-1, 6).Draw(t, "attempt")}
		said := supervisor.Decision{
			Fate:      supervisor.Fate(rapid.Uint8Range(0, 5).Draw(t, "fate")),
			Delay:     time.Duration(rapid.SampledFrom([]int64{-1 << 40, -1, 0, 1, 1 << 40}).Draw(t, "delay")),
			Reason:    rapid.SampledFrom([]string{"", "own", supervisor.ReasonExhausted}).Draw(t, "reason"),
			Directive: supervisor.Directive(rapid.Uint8Range(0, 5).Draw(t, "directive")),
			Uncharged: rapid.Bool().Draw(t, "uncharged"),
		}
		switch rapid.IntRange(0, 2).Draw(t, "decider") {
		case 0: // none
		case 1:
			p.Decide = func(supervisor.Failure, supervisor.Decision) supervisor.Decision { return said }
		case 2:
			p.Decide = func(supervisor.Failure, supervisor.Decision) supervisor.Decision { panic(said) }
		}
		rnd := rapid.Float64Range(0, 1).Draw(t, "rnd")
		d := p.Decision(f, rnd)

		if d.Fate > supervisor.FateDone || d.Directive > supervisor.DirectiveEscalate {
			t.Fatalf("unknown: %+v", d)
		}
		ends := d.Fate == supervisor.FateDeadLetter || d.Fate == supervisor.FateDrop
		if ends != (d.Reason != "") {
			t.Fatalf("reason and fate disagree: %+v", d)
		}
		if d.Delay < 0 || d.Delay > 0 && d.Fate != supervisor.FateRetry {
			t.Fatalf("delay and fate disagree: %+v", d)
		}
		if d.Uncharged && (d.Fate != supervisor.FateRetry || d.Delay < ms) {
			t.Fatalf("uncharged and an end, or spins: %+v", d)
		}
		if d.Fate == supervisor.FateRetry && d.Directive == supervisor.DirectiveStop {
			t.Fatalf("nobody to retry: %+v", d)
		}
		if d.Directive == supervisor.DirectiveRestart && p.Restart.Type == supervisor.RestartNever {
			t.Fatalf("restarts what never restarts: %+v", d)
		}
		if d.Directive == supervisor.DirectiveResume && (f.Cause == supervisor.CauseHung || f.Cause == supervisor.CauseStart) {
			t.Fatalf("resumes what is gone: %+v", d)
		}
		if d.Fate == supervisor.FateRetry && d.Delay == 0 && f.Cause != supervisor.CauseStart && (p.Decide == nil || said.Delay >= 0) {
			t.Fatalf("retries at once unasked: %+v", d)
		}
		if again := p.Decision(f, rnd); again.Fate != d.Fate || again.Delay != d.Delay || again.Reason != d.Reason || again.Directive != d.Directive {
			t.Fatalf("not a function of its arguments: %+v, then %+v", d, again)
		}
	})
}

func TestDecisionDoesNotAllocate(t *testing.T) {
	p := supervisor.Policy{}.WithDefaults()
	f := supervisor.Failure{Err: fmt.Errorf("a: %w", supervisor.RetryAfter(io.EOF, time.Second)), Attempt: 1}
	if n := testing.AllocsPerRun(100, func() { p.Decision(f, 0.5) }); n != 0 {
		t.Errorf("Decision allocates %v times, want 0", n)
	}
}

func BenchmarkDecision(b *testing.B) {
	decide := func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision { return d }
	plain := fmt.Errorf("a: %w", fmt.Errorf("b: %w", io.EOF))
	for _, bc := range []struct {
		name   string
		policy supervisor.Policy
		f      supervisor.Failure
	}{
		{"error", supervisor.Policy{}, supervisor.Failure{Err: plain, Attempt: 1}},
		{"permanent", supervisor.Policy{}, supervisor.Failure{Err: supervisor.Permanent(plain), Attempt: 1}},
		{"panic", supervisor.Policy{}, supervisor.Failure{Cause: supervisor.CausePanic, Err: &supervisor.PanicError{Value: 1}, Attempt: 1}},
		{"decider", supervisor.Policy{Decide: decide}, supervisor.Failure{Err: plain, Attempt: 1}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			want := bc.policy.Decision(bc.f, 0.5)
			n, same := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if bc.policy.Decision(bc.f, 0.5) == want {
					same++
				}
				n++
			}
			if same != n {
				b.Fatalf("%d of %d decisions as expected", same, n)
			}
		})
	}
}
