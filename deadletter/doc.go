// Package deadletter keeps the events that no attempt could handle, with the
// evidence an operator needs to understand them, repair them and send them
// back.
//
// A [Letter] is one delivery that failed for good: one event, one subscriber.
// A [Store] keeps letters; [Memory] is the bounded one that needs nothing
// outside the process. A [Ledger] is a store with what operations need: groups,
// changes of many letters, operations that survive the process, the audit trail.
// A store of your own runs the conformance suite of package deadlettertest.
//
// Three rules hold in every store:
//
//   - Looking never consumes. Get and List change nothing.
//   - Evidence is never overwritten. Adding a letter that is already there
//     does nothing, a redrive adds to the history, and the first attempt is
//     kept for as long as the letter.
//   - Nothing leaves silently. What a bounded store gives up is counted and
//     reported.
//
// A letter begins [StateOpen]. A redrive moves it to [StateRedriving] and ends
// it as [StateResolved], or open again when the event failed once more. People
// close letters, too, and may take it back:
//
//	open ──BeginRedrive──→ redriving ──EndRedrive(done, skipped)──→ resolved
//	  ↑                        │
//	  └─EndRedrive(failed, aborted, in_doubt)
//
//	open ───────────────────Resolve──→ resolved
//	open, resolved ─────────Archive──→ archived
//	open, resolved, archived ─Delete─→ deleted ──Closing.PurgeAt──→ gone
//	resolved, archived, deleted ─Restore─→ the state before
//
// [Letter.Closed] says who closed it, when and why. A deleted letter is hidden from
// queries that do not ask for it. Snoozing an open letter changes no state.
package deadletter
