package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: "amqp://user:password@127.0.0.1:1/"})
	fmt.Println(errors.Is(err, engine.ErrUnavailable), engine.Temporary(err))
	// Output: true true
}
