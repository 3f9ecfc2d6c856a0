package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// order has a secret in it, which the handlers of these tests quote.
type order struct {
	ID   int    `json:"id"`
	Card string `json:"card"`
}

const card = "4111-1111"

var cardNumber = regexp.MustCompile(`4111-1111|4222-2222`)

// hideCards is a Config.Redact as a user would write it.
func hideCards(l *deadletter.Letter) {
	hide := func(s string) string { return cardNumber.ReplaceAllString(s, "****") }
	l.Payload = cardNumber.ReplaceAll(l.Payload, []byte("****"))
	for k, v := range l.Headers {
		l.Headers[k] = hide(v)
	}
	l.Error, l.PanicValue, l.Stack = hide(l.Error), hide(l.PanicValue), hide(l.Stack)
	for i := range l.Attempts {
		l.Attempts[i].Error = hide(l.Attempts[i].Error)
	}
	for i := range l.Redrives {
		l.Redrives[i].Error = hide(l.Redrives[i].Error)
	}
}

// dying makes one dead letter of an order whose handler quotes the card: first in a
// panic, and in an error when it comes back.
func dying(t *testing.T, redact func(*deadletter.Letter), cfg ...topics.Config) (*troupetest.Runtime, deadletter.Letter) {
	t.Helper()
	rt := troupetest.New(t, runtime.Config{Redact: redact})
	topic := open[order](t, rt, "orders", cfg...)
	subscribe(t, topic, "billing", func(ctx context.Context, o order) error {
		if d, _ := topics.DeliveryFrom(ctx); d.LetterID != "" {
			return fmt.Errorf("declined again: %s", "4222-2222")
		}
		panic("no account for " + o.Card)
	}, topics.SubscriberConfig{Retry: once})
	if err := topic.PublishWith(t.Context(), order{7, card}, topics.Meta{Headers: map[string]string{"customer": "has " + card}}); err != nil {
		t.Fatal(err)
	}
	rt.Idle()
	letters := rt.Letters()
	if len(letters) != 1 {
		t.Fatalf("%d letters, want 1", len(letters))
	}
	return rt, letters[0]
}

func wantNothingOf(t *testing.T, what string, secret *regexp.Regexp, l deadletter.Letter) {
	t.Helper()
	if text := fmt.Sprintf("%+v %s", l, l.Payload); secret.MatchString(text) {
		t.Errorf("%s has the secret in it: %s", what, text)
	}
}

func TestRedactRemovesSecretsBeforeTheyAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, l := dying(t, hideCards)
		wantNothingOf(t, "the letter", cardNumber, l)
		if string(l.Payload) != `{"id":7,"card":"****"}` || l.Headers["customer"] != "has ****" || !strings.Contains(l.Error, "no account for ****") || l.Attempts[0].Error != l.Error {
			t.Errorf("the letter is %+v, payload %s", l, l.Payload)
		}
		err := rt.Redrive(t.Context(), l.ID)
		wantErr(t, "Redrive of a letter whose payload was redacted", err, runtime.ErrNoPayload)
		if err == nil || !strings.Contains(err.Error(), "redacted by Config.Redact") {
			t.Errorf("Redrive = %v, want it to say why", err)
		}
	})
}

func TestRedactLooksAtWhatARedriveAdds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, l := dying(t, func(l *deadletter.Letter) {
			payload := l.Payload
			hideCards(l)
			l.Payload = payload // so that it can be redriven
		})
		var told []runtime.Redriven
		if err := rt.Redrive(t.Context(), l.ID, runtime.RedriveConfig{Ended: func(r runtime.Redriven) { told = append(told, r) }}); err != nil {
			t.Fatal(err)
		}
		rt.Idle(time.Hour)
		l = rt.Letters()[0]
		l.Payload = nil
		wantNothingOf(t, "the letter", cardNumber, l)
		if l.State != deadletter.StateOpen || l.Error != "declined again: ****" || l.Attempts[1].Error != l.Error || l.PayloadError != "" {
			t.Errorf("the letter is %+v", l)
		}
		if len(told) != 1 || told[0].Outcome != deadletter.OutcomeFailed || told[0].Error != "declined again: ****" {
			t.Errorf("told %+v, want one failure without the secret", told)
		}
	})
}

func TestRedactThatPanicsLosesNoLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, l := dying(t, func(*deadletter.Letter) { panic("a bug") })
		wantNothingOf(t, "the letter", cardNumber, l)
		if l.Payload != nil || l.Headers != nil || l.PayloadError != "withheld: Config.Redact failed: panic: a bug" || !strings.HasPrefix(l.Error, "withheld") || !strings.HasPrefix(l.Attempts[0].Error, "withheld") {
			t.Errorf("the letter is %+v", l)
		}
		if l.Topic != "orders" || l.Subscriber != "billing" || l.Cause != "panic" || len(l.ErrorTypes) == 0 || l.AttemptCount != 1 || l.Fingerprint == "" {
			t.Errorf("the letter does not say what it may: %+v", l)
		}
		wantErr(t, "Redrive of a letter without payload", rt.Redrive(t.Context(), l.ID), runtime.ErrNoPayload)
	})
}

func TestRedactThatPanicsAfterARedriveKeepsThePayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, l := dying(t, func(l *deadletter.Letter) {
			if len(l.Attempts) != 1 {
				panic("a bug")
			}
		})
		if err := rt.Redrive(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
		rt.Idle(time.Hour)
		l = rt.Letters()[0]
		if string(l.Payload) != `{"id":7,"card":"4111-1111"}` || l.PayloadError != "" || l.State != deadletter.StateOpen {
			t.Errorf("the letter is %+v, payload %s", l, l.Payload)
		}
		if !strings.HasPrefix(l.Error, "withheld") || strings.Contains(fmt.Sprint(l.Attempts), "4222") {
			t.Errorf("what the redrive has added is not withheld: %+v", l)
		}
	})
}

func TestRedactThatHangsLosesNoLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		rt := troupetest.New(t, runtime.Config{Redact: func(*deadletter.Letter) { <-release }})
		topic := open[order](t, rt, "orders")
		subscribe(t, topic, "billing", func(context.Context, order) error { return errors.New("declined " + card) }, topics.SubscriberConfig{Retry: once})
		publish(t, topic, order{7, card})
		time.Sleep(time.Minute)
		synctest.Wait()
		letters := rt.Letters()
		if len(letters) != 1 {
			t.Fatalf("%d letters, want 1", len(letters))
		}
		wantNothingOf(t, "the letter", cardNumber, letters[0])
		if letters[0].PayloadError != "withheld: the codec or Config.Redact does not return" {
			t.Errorf("PayloadError = %q", letters[0].PayloadError)
		}
	})
}

func TestRedactChangesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, plain := dying(t, nil)
		_, l := dying(t, func(l *deadletter.Letter) {
			l.ID, l.Topic, l.Subscriber, l.State, l.Fingerprint, l.AttemptCount, l.Reason = "x", "x", "x", "x", "x", 99, "x"
			l.ErrorTypes, l.Attempts = nil, l.Attempts[:0]
		})
		if l.Topic != plain.Topic || l.Subscriber != plain.Subscriber || l.State != plain.State || l.Fingerprint != plain.Fingerprint || l.AttemptCount != 1 ||
			l.Reason != plain.Reason || len(l.ErrorTypes) == 0 || len(l.Attempts) != 1 || l.ID == "x" {
			t.Errorf("the letter is %+v, want %+v", l, plain)
		}
	})
}

func TestPayloadPolicy(t *testing.T) {
	for _, tc := range []struct {
		policy       runtime.PayloadPolicy
		payload, why string
	}{
		{runtime.PayloadPolicy{}, `{"id":7,"card":"4111-1111"}`, ""},
		{runtime.PayloadPolicy{MaxBytes: 27}, `{"id":7,"card":"4111-1111"}`, ""},
		{runtime.PayloadPolicy{MaxBytes: 10}, `{"id":7,"c`, "cut by the topic's policy: the first 10 of 27 bytes"},
		{runtime.PayloadPolicy{Keep: runtime.KeepRedacted}, `{"card":"string","id":"number"}`, "redacted by the topic's policy: 27 bytes"},
		{runtime.PayloadPolicy{Keep: runtime.KeepHashed}, "", "hashed by the topic's policy: 27 bytes"},
		{runtime.PayloadPolicy{Keep: runtime.KeepNothing}, "", "left out by the topic's policy: 27 bytes"},
		{runtime.PayloadPolicy{Keep: runtime.KeepRedacted, MaxBytes: 5}, `{"car`, "redacted by the topic's policy: 27 bytes; cut by the topic's policy: the first 5 of 31 bytes"},
	} {
		t.Run(fmt.Sprint(tc.policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt, l := dying(t, nil, topics.Config{Payload: tc.policy})
				if tc.policy.Keep == runtime.KeepHashed {
					if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).Match(l.Payload) {
						t.Errorf("Payload = %q", l.Payload)
					}
				} else if string(l.Payload) != tc.payload {
					t.Errorf("Payload = %q, want %q", l.Payload, tc.payload)
				}
				if l.PayloadError != tc.why {
					t.Errorf("PayloadError = %q, want %q", l.PayloadError, tc.why)
				}
				want := runtime.ErrNoPayload
				if tc.why == "" {
					want = nil
				}
				err := rt.Redrive(t.Context(), l.ID)
				wantErr(t, "Redrive", err, want)
				if err != nil && !strings.Contains(err.Error(), tc.why) {
					t.Errorf("Redrive = %v, want it to say %q", err, tc.why)
				}
				rt.Idle(time.Hour)
			})
		})
	}
	_, err := topics.Open[order](troupetest.New(t).Runtime, "t", topics.Config{Payload: runtime.PayloadPolicy{Keep: 9, MaxBytes: -1}})
	for _, want := range []string{"Payload: ", "Keep 9: must be", "MaxBytes -1: must not be negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want it to say %q", err, want)
		}
	}
}
