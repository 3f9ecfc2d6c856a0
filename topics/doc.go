// Package topics is the typed front of Troupe: a program opens a [Topic],
// subscribes handlers to it and publishes events.
//
//	orders, err := topics.Open[OrderPlaced](rt, "orders.placed")
//	sub, err := orders.Subscribe("billing", bill, topics.SubscriberConfig{
//		Retry: supervisor.Retry{MaxAttempts: 5, BaseDelay: 100 * time.Millisecond},
//	})
//	err = orders.Publish(ctx, OrderPlaced{ID: "o-1"})
//
// Every subscriber is a supervised actor with a mailbox of its own: unless it asks
// for Workers it is never called twice at the same time, and nothing that happens
// to it touches others.
// An event is accepted by every subscriber of its topic or by none, and each
// acceptance ends in exactly one outcome; see package runtime for the account.
//
// # Order
//
// Events that one goroutine publishes on one topic reach each subscriber in that
// order, and all subscribers see the same order, through retries and restarts
// unless the subscriber is configured as [Parked] or with Workers, which keep the
// order of each Key, or with a Priority.
package topics
