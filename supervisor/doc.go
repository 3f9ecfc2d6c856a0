// Package supervisor decides what a failure means: what becomes of the event
// and, apart from that, what becomes of the actor that held it.
//
//	cause                            the event              the actor
//	error returned                   retry with backoff     resume
//	[Permanent] returned             dead letter            resume
//	[Skip] returned                  drop, counted          resume
//	[RetryAfter] returned            retry after its delay  resume
//	[Postpone] returned              retry, not charged     resume
//	[ErrFinished] returned           done                   ends, see [RestartType]
//	panic, any value                 retry with backoff     restart
//	runtime.Goexit                   retry with backoff     restart
//	deadline passed, returned late   retry with backoff     resume
//	deadline and grace passed        dead letter            restart (the old call is abandoned)
//	start hook failed                kept, not charged      restart after a pause
//
// A retry that has no attempt left is a dead letter. [Policy.Decision] is this
// table; [Policy.Decide] lets a user overrule any row of it. [Intensity] then
// says whether the actor may restart once more, and [Strategy] which of its
// siblings restart with it.
//
// Everything here is a pure decision: no goroutine, no timer, no clock and no
// source of randomness. Time and random numbers are arguments, so the same
// input always gives the same answer and every rule is a row in a table test.
// Decisions are made on failures only; nothing here runs when a handler succeeds.
package supervisor
