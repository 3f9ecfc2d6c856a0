package watermill_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/troupe-go/troupe/bridge/watermill"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/memory"
	"go.uber.org/goleak"

	wm "github.com/ThreeDotsLabs/watermill"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pubSub(t *testing.T, e engine.Engine, cfg watermill.SubscriberConfig) (message.Publisher, message.Subscriber) {
	t.Helper()
	sub, err := watermill.NewSubscriber(e, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() }) // the suite leaves some open
	return watermill.NewPublisher(e, watermill.PublisherConfig{}), sub
}

// TestWatermillSuite is Watermill's own suite on an engine, with one message in flight,
// which is the order that it asks of those that have any, and with many.
//
// NewSubscriberReceivesOldMessages is off: a group that has a position goes on from
// there. Reconnect needs a server to restart, and the engine here has none.
func TestWatermillSuite(t *testing.T) {
	for _, row := range []struct {
		name     string
		inFlight int
	}{{"one in flight", 1}, {"64 in flight", 64}} {
		t.Run(row.name, func(t *testing.T) {
			e := memory.New()
			features := tests.Features{
				ConsumerGroups: true, Persistent: true,
				GuaranteedOrder: row.inFlight == 1, GuaranteedOrderWithSingleSubscriber: true,
			}
			tests.TestPubSub(t, features,
				func(t *testing.T) (message.Publisher, message.Subscriber) {
					return pubSub(t, e, watermill.SubscriberConfig{Group: "suite", InFlight: row.inFlight})
				},
				func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
					return pubSub(t, e, watermill.SubscriberConfig{Group: group, InFlight: row.inFlight})
				})
		})
	}
}

// TestEngineSuite is the suite of engines on a Pub/Sub, which is one of ours, on an
// engine: so what it finds is in either way of the bridge.
func TestEngineSuite(t *testing.T) {
	mem := memory.New()
	enginetest.Run(t, enginetest.Harness{
		Open: func() (engine.Engine, error) {
			return watermill.Open(watermill.Config{
				Publisher: watermill.NewPublisher(mem, watermill.PublisherConfig{}),
				Subscriber: func(group string, from engine.Start) (message.Subscriber, error) {
					return watermill.NewSubscriber(mem, watermill.SubscriberConfig{Group: group, From: from, InFlight: 1000})
				},
				Caps: engine.Caps{AtLeastOnce: true, Groups: true, Ordered: true, FromOldest: true, Dedup: engine.Forever},
			})
		},
	})
}

// TestEngineSuiteOnGoChannel is the suite on Watermill's own Pub/Sub in memory, which
// is a fan-out.
func TestEngineSuiteOnGoChannel(t *testing.T) {
	shared := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1000}, wm.NopLogger{})
	enginetest.Run(t, enginetest.Harness{
		Variant: "Watermill, GoChannel",
		Open: func() (engine.Engine, error) {
			return watermill.Open(watermill.Config{
				Publisher: unclosed{shared},
				Subscriber: func(string, engine.Start) (message.Subscriber, error) {
					return unclosed{shared}, nil
				},
			})
		},
	})
	if err := shared.Close(); err != nil {
		t.Error(err)
	}
}

// unclosed is a GoChannel that others use, too.
type unclosed struct{ *gochannel.GoChannel }

func (unclosed) Close() error { return nil }

const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
