package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
)

// Mail is what requests bring and the worker sends.
type Mail struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

const (
	workers = 4 // how many mails are sent at the same time
	// capacity is how many may wait. Beyond it, clients are told to come again later.
	capacity = 1000
)

// post is the background work of the server.
type post struct {
	rt    *runtime.Runtime
	mails *topics.Topic[Mail]
}

func newPost(send func(context.Context, Mail) error) (*post, error) {
	rt, err := runtime.New(runtime.Config{Name: "post", Logger: telemetry.Slog(slog.Default().Handler())})
	if err != nil {
		return nil, err
	}
	mails, err := topics.Open[Mail](rt, "mails.accepted")
	if err == nil {
		_, err = mails.Subscribe("sender", send, topics.SubscriberConfig{
			Workers:  workers,
			Timeout:  30 * time.Second,
			Retry:    supervisor.Retry{MaxAttempts: 5, BaseDelay: time.Second},
			Capacity: capacity,
			// A request does not wait for room, it is refused: see accept.
			Overflow: mailbox.Reject,
		})
	}
	if err != nil {
		_, closed := rt.Shutdown(context.Background())
		return nil, errors.Join(err, closed)
	}
	return &post{rt, mails}, nil
}
