package ops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// The kinds of alerts.
const (
	AlertNewGroup       = "new_group"       // letters fail in a way that has not been seen
	AlertRate           = "rate"            // a group has more than Alerts.Rate letters a minute
	AlertRegression     = "regression"      // a group has failed again after a redrive
	AlertOldest         = "oldest"          // an open letter is older than Alerts.Oldest
	AlertFilling        = "filling"         // the store is fuller than Alerts.Fill
	AlertRedriveStopped = "redrive_stopped" // too many letters of a redrive have failed
	AlertStoreFailing   = "store_failing"   // the store does not take letters
)

// Alert is what somebody is told.
type Alert struct {
	// ID is the same in every try to deliver it.
	ID   string    `json:"id"`
	Kind string    `json:"kind"` // one of the Alert constants
	At   time.Time `json:"at"`
	// Runtime and Node say where.
	Runtime string `json:"runtime"`
	Node    string `json:"node,omitempty"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// What it is about, as far as it applies.
	Group      string `json:"group,omitempty"`
	Topic      string `json:"topic,omitempty"`
	Subscriber string `json:"subscriber,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Letter     string `json:"letter,omitempty"` // one of them
	Operation  string `json:"operation,omitempty"`
	Count      int    `json:"count,omitempty"`
}

// NoAlert is the Rate, Oldest or Fill of an alert that nobody wants.
const NoAlert = -1

// Alerts says who is told of what. Without Hook and Webhook nobody is.
//
// An alert of one kind about one group, or about the store, is told once in Cooldown.
// What cannot be delivered at once is tried again, up to Attempts times; of more than
// Queue that wait, the new ones are dropped, and counted in the log.
type Alerts struct {
	// Hook is called with each alert, one at a time. An error has it called again. ctx
	// ends after Timeout, and when the desk closes; a call that goes on all the same is
	// not waited for.
	Hook func(ctx context.Context, a Alert) error
	// Webhook gets each alert as JSON by POST.
	Webhook Webhook

	// Rate is how many letters of one group a minute are too many. Zero is 60.
	Rate int
	// Oldest is how old an open letter may become. Zero is 24 h.
	Oldest time.Duration
	// Fill is how full the store may become, from 0 to 1. Zero is 0.8.
	Fill float64
	// Cooldown is the least time between two alerts about the same thing. Zero is 1 h.
	Cooldown time.Duration
	// Period is how often the age and the store are looked at. Zero is 30 s.
	Period time.Duration
	// Attempts is how often a delivery is tried. Zero is 8, which with pauses that
	// grow from 1 s to 1 min takes about four minutes.
	Attempts int
	// Timeout bounds one try. Zero is 10 s.
	Timeout time.Duration
	// Queue is how many alerts may wait for delivery. Zero is 256.
	Queue int
}

// Webhook is an HTTP endpoint that alerts are sent to.
type Webhook struct {
	// URL is http or https. Empty is no webhook.
	URL string
	// Secret signs each request, see [VerifyWebhook]. It is required: a receiver must
	// be able to tell who sends.
	Secret []byte
	// Client sends. Nil is one that follows no redirects.
	Client *http.Client
}

func (a Alerts) withDefaults() Alerts {
	if a.Rate == 0 {
		a.Rate = 60
	}
	if a.Oldest == 0 {
		a.Oldest = 24 * time.Hour
	}
	if a.Fill == 0 {
		a.Fill = 0.8
	}
	if a.Cooldown == 0 {
		a.Cooldown = time.Hour
	}
	if a.Period == 0 {
		a.Period = 30 * time.Second
	}
	if a.Attempts == 0 {
		a.Attempts = 8
	}
	if a.Timeout == 0 {
		a.Timeout = 10 * time.Second
	}
	if a.Queue == 0 {
		a.Queue = 256
	}
	if a.Webhook.Client == nil {
		// Where a redirect leads, the signature must not.
		a.Webhook.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return a
}

// set reports whether somebody wants to be told.
func (a Alerts) set() bool { return a.Hook != nil || a.Webhook.URL != "" }

func (a Alerts) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if a.Rate < 1 && a.Rate != NoAlert {
		fault("Alerts.Rate %d: must be letters a minute, or %d for no alert", a.Rate, NoAlert)
	}
	if a.Oldest < 0 && a.Oldest != NoAlert {
		fault("Alerts.Oldest %v: must be positive, or %d for no alert", a.Oldest, NoAlert)
	}
	if !(a.Fill > 0 && a.Fill <= 1) && a.Fill != NoAlert {
		fault("Alerts.Fill %v: must be above 0 and at most 1, or %d for no alert", a.Fill, NoAlert)
	}
	for name, d := range map[string]time.Duration{"Cooldown": a.Cooldown, "Period": a.Period, "Timeout": a.Timeout} {
		if d < 0 {
			fault("Alerts.%s %v: must be positive", name, d)
		}
	}
	if a.Attempts < 1 {
		fault("Alerts.Attempts %d: must be 1 at least", a.Attempts)
	}
	if a.Queue < 1 {
		fault("Alerts.Queue %d: must be 1 at least", a.Queue)
	}
	if a.Webhook.URL != "" {
		u, err := url.Parse(a.Webhook.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			fault("Alerts.Webhook.URL: must be an http or https address with a host")
		}
		if len(a.Webhook.Secret) < 16 {
			fault("Alerts.Webhook.Secret of %d bytes: must be 16 at least", len(a.Webhook.Secret))
		}
	}
	return errors.Join(faults...)
}
