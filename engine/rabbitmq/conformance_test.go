package rabbitmq_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

// suiteURL tells the processes that the suite kills which server it is.
const suiteURL = "TROUPE_TEST_SUITE_RABBITMQ"

func openSuite() (engine.Engine, error) {
	ctx, cancel := timeout()
	defer cancel()
	return rabbitmq.Open(ctx, rabbitmq.Config{URL: os.Getenv(suiteURL)})
}

// TestConformsElsewhere runs the suite of all engines on the server that others share, or
// one of another version: TROUPE_RABBITMQ=amqp://... go test -run Elsewhere.
func TestConformsElsewhere(t *testing.T) {
	if f := flag.Lookup("test.run").Value.String(); !strings.Contains(f, "Elsewhere") {
		t.Skip("the suite runs on a server of its own; -run Elsewhere runs it on TROUPE_RABBITMQ")
	}
	t.Setenv(suiteURL, server(t))
	enginetest.Run(t, enginetest.Harness{Variant: "RabbitMQ", Open: openSuite, Kills: 3})
}

// conformance runs the suite of all engines, on a server that it may restart.
func conformance(t *testing.T, p *private) {
	enginetest.Run(t, enginetest.Harness{
		Variant: "RabbitMQ",
		Open:    openSuite,
		Restart: func(t *testing.T) {
			p.queuesAreSafe(t, strings.Fields(p.ctl(t, "list_queues", "name", "--no-table-headers"))...)
			p.must(t, "kill")
			p.must(t, "start")
		},
		Foreign: func(t *testing.T, topic string, body []byte) {
			conn, err := amqp.Dial(p.url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ch, err := conn.Channel()
			if err != nil {
				t.Fatal(err)
			}
			if err := ch.Publish("troupe."+topic, "", false, false, amqp.Publishing{Body: body}); err != nil {
				t.Fatal(err)
			}
		},
	})
}
