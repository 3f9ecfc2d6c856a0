package watermill_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/bridge/watermill"
	"github.com/troupe-go/troupe/engine/memory"
)

// A Watermill publisher and subscriber on an engine, which is one in memory here.
func ExampleNewSubscriber() {
	e := memory.New()
	sub, err := watermill.NewSubscriber(e, watermill.SubscriberConfig{Group: "mailer"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sub.Close()
	in, err := sub.Subscribe(context.Background(), "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	pub := watermill.NewPublisher(e, watermill.PublisherConfig{})
	if err := pub.Publish("orders", message.NewMessage("1", []byte(`{"item":"tea"}`))); err != nil {
		fmt.Println(err)
		return
	}
	m := <-in
	fmt.Printf("%s %s\n", m.UUID, m.Payload)
	m.Ack()
	// Output: 1 {"item":"tea"}
}
