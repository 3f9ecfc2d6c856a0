package rabbitmq_test

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func rawChannel(t testing.TB) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(server(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func deleteQueue(t testing.TB, queue string) {
	t.Helper()
	if _, err := rawChannel(t).QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
}
