package rabbitmq

import (
	"fmt"
	"math"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// What a topic is on the server. The names of topics and groups are escaped, so that a
// slash is ours:
//
//	troupe.orders                     the exchange, a fanout
//	troupe.orders//unclaimed          exchange and quorum queue of what no group takes
//	troupe.orders/mail                the quorum queue of the group mail
//	troupe.orders/mail//delay.5s      the quorum queue of what comes back after 5 s
type names struct {
	exchange  string
	unclaimed string
}

func (e *Engine) names(topic string) (names, error) {
	n := names{exchange: e.cfg.Prefix + escapeName(topic)}
	n.unclaimed = n.exchange + "//unclaimed"
	return n, checkName("topic", topic, n.unclaimed)
}

func (n names) group(group string) (string, error) {
	queue := n.exchange + "/" + escapeName(group)
	return queue, checkName("group", group, delayQueue(queue, maxDelay))
}

func delayQueue(group string, rung time.Duration) string {
	return group + "//delay." + strings.ReplaceAll(rung.String(), "m0s", "m")
}

// checkName refuses what AMQP has no room for.
func checkName(what, name, longest string) error {
	switch {
	case name == "":
		return fmt.Errorf("rabbitmq: %s: the name is empty", what)
	case len(longest) > 255:
		return fmt.Errorf("rabbitmq: %s %q: %q is longer than the 255 bytes of AMQP: choose a shorter name", what, name, longest)
	}
	return nil
}

var nameEscape = strings.NewReplacer("%", "%25", "/", "%2F")

func escapeName(s string) string { return nameEscape.Replace(s) }

// unlimited is a delivery limit that nothing reaches. RabbitMQ drops what goes beyond
// it, and 4.x has one of 20 by itself; Troupe counts attempts and has dead letters.
// With a limit, what is given back goes to the head of the queue, in its old order;
// without, to its end (rabbit_fifo, 3.10).
const unlimited = math.MaxInt32

// quorum is the arguments that every queue of ours has: several nodes keep it, each
// record is on their disks before it is confirmed, and nothing leaves it silently.
func (e *Engine) quorum() amqp.Table {
	args := amqp.Table{
		"x-queue-type": "quorum",
		"x-overflow":   "reject-publish",
	}
	if e.cfg.Replicas > 0 {
		args["x-quorum-initial-group-size"] = int32(e.cfg.Replicas)
	}
	return args
}

// deadTo sends what a policy of the server's operator takes out of a queue to an
// exchange, and keeps it until that has it.
func deadTo(args amqp.Table, exchange, key string) {
	args["x-dead-letter-exchange"] = exchange
	args["x-dead-letter-strategy"] = "at-least-once"
	if key != "" {
		args["x-dead-letter-routing-key"] = key
	}
}

// declareTopic makes the exchange and where it puts what no group takes.
func (e *Engine) declareTopic(ch *amqp.Channel, n names) error {
	if e.cfg.Passive {
		return ch.ExchangeDeclarePassive(n.exchange, amqp.ExchangeFanout, true, false, false, false, nil)
	}
	var args amqp.Table
	if e.cfg.MaxUnclaimed != NoUnclaimed {
		if err := ch.ExchangeDeclare(n.unclaimed, amqp.ExchangeFanout, true, false, true, false, nil); err != nil {
			return err
		}
		kept := e.quorum()
		kept["x-max-length"] = int64(e.cfg.MaxUnclaimed)
		kept["x-delivery-limit"] = int64(unlimited)
		if _, err := ch.QueueDeclare(n.unclaimed, true, false, false, false, kept); err != nil {
			return err
		}
		if err := ch.QueueBind(n.unclaimed, "", n.unclaimed, false, nil); err != nil {
			return err
		}
		args = amqp.Table{"alternate-exchange": n.unclaimed}
	}
	return ch.ExchangeDeclare(n.exchange, amqp.ExchangeFanout, true, false, false, false, args)
}

// declareGroup makes the queue of a group and binds it: what is published from then on
// is the group's.
func (e *Engine) declareGroup(ch *amqp.Channel, n names, queue string, keyOrder bool) error {
	if e.cfg.Passive {
		_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err
	}
	args := e.quorum()
	args["x-delivery-limit"] = int64(unlimited)
	if keyOrder {
		args["x-single-active-consumer"] = true
	}
	if e.cfg.MaxBacklog > 0 {
		args["x-max-length"] = int64(e.cfg.MaxBacklog)
	}
	if e.cfg.MaxUnclaimed != NoUnclaimed {
		deadTo(args, n.unclaimed, "")
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, args); err != nil {
		return err
	}
	return ch.QueueBind(queue, "", n.exchange, false, nil)
}

// maxDelay is the longest that a record can be put off: a TTL has 32 bits of
// milliseconds.
const maxDelay = 48 * 24 * time.Hour

// rungOf returns the queue's delay for a delay that is asked for: the next of 1, 2, 5,
// 10, ... of a unit, and whole days above one. A queue keeps one delay, since a queue
// with several would hand out none before the longest at its head.
func rungOf(d time.Duration) (time.Duration, error) {
	const day = 24 * time.Hour
	switch {
	case d > maxDelay:
		return 0, fmt.Errorf("rabbitmq: delay %v: must be at most %v: %w", d, maxDelay, engine.ErrUnsupported)
	case d > day:
		return (d + day - 1) / day * day, nil
	}
	for _, rung := range rungs {
		if d <= rung {
			return rung, nil
		}
	}
	return day, nil
}

var rungs = []time.Duration{
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// declareDelay makes the queue that gives records back to the group's after rung.
func (e *Engine) declareDelay(ch *amqp.Channel, queue string, rung time.Duration) error {
	name := delayQueue(queue, rung)
	if e.cfg.Passive {
		_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	}
	args := e.quorum()
	args["x-message-ttl"] = rung.Milliseconds()
	args["x-delivery-limit"] = int64(unlimited)
	deadTo(args, "", queue)
	_, err := ch.QueueDeclare(name, true, false, false, false, args)
	return err
}
