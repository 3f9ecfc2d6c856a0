package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// mailer sends mails by a server that is down in the morning: for as many calls as
// outage says.
type mailer struct {
	calls, sent, opened atomic.Int32
}

const outage = 6

// config: after three failures the circuit opens and mails wait, without using up
// their attempts, until the server answers again. It takes 2000 mails a second.
func (m *mailer) config() topics.SubscriberConfig {
	return topics.SubscriberConfig{
		Retry: supervisor.Retry{MaxAttempts: 4, BaseDelay: time.Millisecond},
		Middleware: []topics.Middleware{
			middleware.CircuitBreaker(middleware.CircuitConfig{
				Failures: 3, OpenFor: 20 * time.Millisecond,
				OnChange: func(c middleware.CircuitChange) {
					if c.From == middleware.CircuitClosed {
						m.opened.Add(1)
					}
				},
			}),
			middleware.Throttle(middleware.ThrottleConfig{Rate: 2000, Burst: 10}),
		},
	}
}

func (m *mailer) handle(context.Context, Mail) error {
	if m.calls.Add(1) <= outage {
		return errors.New("mail server: connection refused")
	}
	m.sent.Add(1)
	return nil
}
