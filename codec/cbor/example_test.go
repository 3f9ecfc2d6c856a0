package cbor_test

import (
	"context"
	"fmt"

	"github.com/troupe-go/troupe/codec/cbor"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

func Example() {
	type Reading struct {
		Sensor string
		Raw    []byte
	}
	ctx := context.Background()
	rt, _ := runtime.New(runtime.Config{Name: "plant"})
	readings, _ := topics.Open[Reading](rt, "sensor.reading", topics.Config{Codec: cbor.Codec{}})
	_, _ = readings.Subscribe("store", func(_ context.Context, r Reading) error {
		return supervisor.Permanent(fmt.Errorf("no such sensor"))
	})
	_ = readings.Publish(ctx, Reading{Sensor: "t-1", Raw: []byte{1, 2, 3}})
	_, _ = rt.Shutdown(ctx)

	page, _ := rt.DeadLetters().List(ctx, deadletter.Query{})
	l := page.Letters[0]
	r, err := readings.Decode(l)
	fmt.Println(l.ContentType, len(l.Payload), "bytes", r, err)
	// Output: application/cbor 20 bytes {t-1 [1 2 3]} <nil>
}
