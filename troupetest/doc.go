// Package troupetest helps to test programs that use Troupe.
//
// [New] makes a runtime that belongs to a test: its log goes to the test's, it
// is shut down when the test ends, and the test fails if an event is then
// unaccounted for or a handler still runs. [NewHandler] makes a handler that
// records what it is given and fails on command.
//
//	rt := troupetest.New(t)
//	orders, _ := topics.Open[Order](rt.Runtime, "orders.placed")
//	bill := troupetest.NewHandler[Order](t).On(2, troupetest.Panic("boom"))
//	orders.Subscribe("billing", bill.Handle)
//	…
//	rt.Idle()
//	bill.WantEvents(first, second)
//	rt.WantLetters()
//
// Everything works inside and outside of a testing/synctest bubble. Prefer a
// bubble, where backoffs and deadlines take no time. What is made in a bubble
// must be used in it only.
package troupetest
