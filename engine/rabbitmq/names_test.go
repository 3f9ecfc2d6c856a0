package rabbitmq

import (
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

func TestRungsAreNoShorter(t *testing.T) {
	last := time.Duration(0)
	for d := time.Millisecond; d <= maxDelay; d += d/7 + time.Microsecond {
		rung, err := rungOf(d)
		if err != nil || rung < d || rung < last || rung > 10*time.Millisecond && rung > 5*d/2 {
			t.Fatalf("rungOf(%v) = %v, %v, want no less and at most 2.5 times as much", d, rung, err)
		}
		last = rung
	}
	if _, err := rungOf(maxDelay + 1); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("rungOf(%v) = %v, want ErrUnsupported", maxDelay+1, err)
	}
}

func TestNamesDoNotMeet(t *testing.T) {
	e := &Engine{cfg: Config{}.withDefaults()}
	seen := map[string]string{}
	for _, topic := range []string{"a", "a/b", "a%2Fb", "a/", "/a"} {
		n, err := e.names(topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range []string{"b", "c", "b/c", "/unclaimed", "unclaimed", "b//delay.1s"} {
			queue, err := n.group(group)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{queue, delayQueue(queue, time.Second)} {
				if other, ok := seen[name]; ok {
					t.Errorf("%s of %s is the name of %s", name, topic, other)
				}
				seen[name] = topic
			}
		}
		if _, ok := seen[n.unclaimed]; ok {
			t.Errorf("%s is there twice", n.unclaimed)
		}
	}
}

func TestServersThatCannot(t *testing.T) {
	for _, c := range []struct {
		product, version string
		ok               bool
	}{
		{"RabbitMQ", "3.10.8", true}, {"RabbitMQ", "3.10.0-rc.1", true}, {"RabbitMQ", "4.2.0", true}, {"RabbitMQ", "3.13", true},
		{"RabbitMQ", "3.9.27", false}, {"RabbitMQ", "", false}, {"RabbitMQ", "new", false}, {"LavinMQ", "4.0.0", false},
	} {
		err := checkServer(amqp.Table{"product": c.product, "version": c.version})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, engine.ErrUnsupported) {
			t.Errorf("checkServer(%s %s) = %v, want ok %v", c.product, c.version, err, c.ok)
		}
	}
}

func TestServerLimitIsRead(t *testing.T) {
	for reason, want := range map[string]int{
		"PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000":  1000,
		"PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000.": 1000,
		"PRECONDITION_FAILED - inequivalent arg 'x-max-length'":                            0,
	} {
		if got := serverLimit(&amqp.Error{Code: amqp.PreconditionFailed, Reason: reason}); got != want {
			t.Errorf("serverLimit(%q) = %d, want %d", reason, got, want)
		}
	}
}
