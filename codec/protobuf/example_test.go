package protobuf_test

import (
	"context"
	"fmt"

	"github.com/troupe-go/troupe/codec/protobuf"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func Example() {
	ctx := context.Background()
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	orders, _ := topics.Open[*wrapperspb.StringValue](rt, "orders", topics.Config{Codec: protobuf.Codec{}})
	_, _ = orders.Subscribe("billing", func(_ context.Context, id *wrapperspb.StringValue) error {
		return supervisor.Permanent(fmt.Errorf("no such customer"))
	})
	_ = orders.Publish(ctx, wrapperspb.String("o-1"))
	_, _ = rt.Shutdown(ctx)

	page, _ := rt.DeadLetters().List(ctx, deadletter.Query{})
	l := page.Letters[0]
	id, err := orders.Decode(l)
	fmt.Println(l.ContentType, id.GetValue(), err)
	// Output: application/protobuf o-1 <nil>
}
