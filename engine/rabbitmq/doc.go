// Package rabbitmq keeps topics in RabbitMQ, 3.10 or later, over AMQP 0.9.1. It is a
// module of its own.
//
//	e, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: "amqp://user:password@host:5672/"})
//	orders, err := topics.Open[OrderPlaced](rt, "orders.placed", topics.Config{Engine: e})
//
// A topic is an exchange, troupe.orders.placed, and a group is a quorum queue bound to
// it, troupe.orders.placed/mail. Both stay until somebody deletes them on the server: a
// group that nobody consumes any more keeps its records, and its queue has to be
// deleted when the subscriber is gone for good. A queue that is deleted under its
// consumer is made again; what is published until then is with the unclaimed, see below.
// An exchange that is deleted is made again by who publishes, but the queues of groups
// are bound to it again only when a consumer of theirs connects.
//
// # What is kept
//
// Publish returns when the server has confirmed: the record is on the disks of most
// nodes of every group's queue. RabbitMQ copies a record into the queues that are there
// when it comes. A topic without any group would lose it; here it is kept in
// troupe.orders.placed//unclaimed, up to Config.MaxUnclaimed, and [Engine.Claim] gives
// it to a group. A group begins with what is published after it was made, and cannot
// begin with the oldest.
//
// Nothing leaves a queue silently: there is no limit of deliveries, which RabbitMQ 4
// has by itself, 20, and drops what goes beyond it, a full queue refuses
// (engine.ErrFull), and what a policy of the operator's lets expire goes to the
// unclaimed.
//
// A queue's name is written down by RabbitMQ (3.10.8 was seen to) up to 3 s after it was
// made. A server that is killed before comes up with a queue that has forgotten its
// records and takes no new ones: Publish and Subscribe are then engine.ErrUnavailable
// until the queue is deleted. See https://github.com/rabbitmq/rabbitmq-server/issues/15725.
//
// # Crashes
//
// A record that was in hand when its process died comes again, and a subscription is an
// engine.Marker: the second time it is noted in a stream, troupe.//marks, which all topics
// of a prefix share, and the third time it is known. The broker's own count of deliveries
// does not tell that, as it counts all that the process had been sent. A user who may not
// make the stream, and for whom nobody has, has subscriptions that are none, and an event
// that kills its process comes again for ever.
//
// # Order
//
// The records of one process are in a group's queue in the order in which Publish was
// called. What is given back at once, or was in the hands of a consumer that is gone,
// returns to the head in its old order. What is given back for later passes through a
// queue of its own, troupe.orders.placed/mail//delay.5s, and returns behind what is
// there by then; delays are rounded up to the next of 1, 2, 5, 10 and so on. With
// SubscribeConfig.KeyOrder the queue has one active consumer at a time; others wait to
// take over. A group is made with it or without, and cannot change.
//
// # Limits of the server
//
// A record that is unsettled for longer than the server's consumer_timeout, 30 minutes,
// comes again, since the server closes the consumer's channel, or from 4.3 on cancels the
// consumer; nothing extends that but its configuration. A server that is short of memory or disk takes no records:
// Publish returns engine.ErrFull as soon as the server has said so, and settling goes
// on, since it has a connection of its own. There is no de-duplication, no batch is
// atomic, and a settlement is not confirmed: one that is lost with its connection
// brings its record again.
//
// # Messages
//
// Messages are in the binding of CloudEvents for AMQP: attributes are headers with the
// prefix "cloudEvents:", the content type is the property. Those that others write need
// none of this: what has no envelope is an event of the topic's codec.
package rabbitmq
