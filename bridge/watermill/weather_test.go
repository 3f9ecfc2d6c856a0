package watermill_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupe-go/troupe/bridge/watermill"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/memory"
)

// flood is a Pub/Sub that always has another message.
type flood struct{ done chan struct{} }

func (f *flood) Publish(string, ...*message.Message) error { return nil }

func (f *flood) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(f.done)
		defer close(out)
		for {
			select {
			case out <- message.NewMessage("1", nil):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (f *flood) Close() error {
	if f.done != nil {
		<-f.done
	}
	return nil
}

// A message that comes as the subscription is closed goes back.
func TestCloseWhileMessagesCome(t *testing.T) {
	for range 500 {
		e, err := watermill.Open(watermill.Config{
			Name: "flood", Publisher: &flood{}, Subscriber: func(string, engine.Start) (message.Subscriber, error) {
				return &flood{make(chan struct{})}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		top, err := e.Open(within(t), "t")
		if err != nil {
			t.Fatal(err)
		}
		s, err := top.Subscribe(within(t), engine.SubscribeConfig{Group: "g", MaxInFlight: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		var fetching sync.WaitGroup
		begun := make(chan struct{})
		fetching.Go(func() {
			for n := 0; ; n++ {
				if _, err := s.Fetch(context.Background(), 3); errors.Is(err, engine.ErrClosed) {
					return
				} else if err != nil {
					t.Errorf("Fetch = %v", err)
				}
				if n == 0 {
					close(begun)
				}
			}
		})
		<-begun
		if err := s.Close(within(t)); err != nil {
			t.Error(err)
		}
		fetching.Wait()
		if err := e.Close(within(t)); err != nil {
			t.Error(err)
		}
	}
}

// removed is an engine whose topics are gone until they are opened again.
type removed struct{ *memory.Engine }

func (e removed) Open(ctx context.Context, name string) (engine.Topic, error) {
	t, err := e.Engine.Open(ctx, name)
	return &once{Topic: t}, err
}

type once struct {
	engine.Topic
	used bool
}

func (t *once) Publish(ctx context.Context, records []engine.Record) []error {
	if t.used {
		return []error{engine.ErrNoTopic}
	}
	t.used = true
	return t.Topic.Publish(ctx, records)
}

// A topic that somebody has removed is made again, one publication later.
func TestATopicThatWasRemoved(t *testing.T) {
	p := watermill.NewPublisher(removed{memory.New()}, watermill.PublisherConfig{})
	for i, want := range []error{nil, engine.ErrNoTopic, nil} {
		if err := p.Publish("t", message.NewMessage("1", nil)); !errors.Is(err, want) {
			t.Errorf("Publish %d = %v, want %v", i, err, want)
		}
	}
}
