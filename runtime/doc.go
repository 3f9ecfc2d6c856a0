// Package runtime is the engine of Troupe: it knows topics and subscribers by
// name, keeps their accounts, writes dead letters and gives them back, and ends
// in order.
//
// A program makes one [Runtime], opens topics on it with package topics, and
// calls [Runtime.Run] or [Runtime.Shutdown]. Several runtimes live side by side
// in one process: there are no globals, no signal handlers, and nothing here
// ever ends the process.
//
// # Accounts
//
// A delivery is one event for one subscriber and has exactly one outcome. For
// every topic, every subscriber and the total of a [Snapshot]
//
//	Attempted  = Accepted + Σ Rejected
//	Deliveries = Done + DeadLettered + Σ Dropped + Filtered + Queued + InFlight + RetryWait + Parked
//
// Use it as rt: the name of the package is that of a standard one, whose
// exported names it does not take.
package runtime
