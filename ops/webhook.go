package ops

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sourcegraph/conc/panics"
)

const (
	// SignatureHeader is the header of a webhook's request that says when it was sent
	// and proves by whom: t=<Unix seconds>,v1=<hex>, where v1 is the HMAC-SHA256, with
	// the secret as key, of the seconds, a dot and the body.
	SignatureHeader = "Troupe-Signature"
	// SignatureAge is how old a request may be for [VerifyWebhook], and how far ahead
	// of the receiver's clock.
	SignatureAge = 5 * time.Minute
)

// ErrSignature is returned by VerifyWebhook for a request that is not to be trusted.
var ErrSignature = errors.New("ops: webhook signature")

// SignWebhook returns the SignatureHeader of a body that is sent at that time.
func SignWebhook(secret, body []byte, at time.Time) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac(secret, seconds, body))
}

func mac(secret []byte, seconds string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(seconds + "."))
	h.Write(body)
	return h.Sum(nil)
}

// VerifyWebhook returns nil if the body was signed, with the secret, within
// SignatureAge of now. It compares in constant time. Errors wrap [ErrSignature].
func VerifyWebhook(secret []byte, header string, body []byte, now time.Time) error {
	var seconds string
	var sums [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			seconds = value
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil {
				sums = append(sums, sum)
			}
		}
	}
	at, err := strconv.ParseInt(seconds, 10, 64)
	switch {
	case len(secret) == 0:
		return fmt.Errorf("%w: there is no secret", ErrSignature)
	case err != nil || len(sums) == 0:
		return fmt.Errorf("%w: header %s is not t=…,v1=…", ErrSignature, SignatureHeader)
	}
	want := mac(secret, seconds, body)
	genuine := false
	for _, sum := range sums { // several while a secret is replaced
		genuine = hmac.Equal(sum, want) || genuine
	}
	if !genuine {
		return fmt.Errorf("%w: it is of another secret or body", ErrSignature)
	}
	if age := now.Sub(time.Unix(at, 0)); age > SignatureAge || age < -SignatureAge {
		return fmt.Errorf("%w: sent %v ago, by its clock", ErrSignature, age.Round(time.Second))
	}
	return nil
}

// callHook calls the Go hook and survives it.
func (a *alerter) callHook(ctx context.Context, alert Alert) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("the hook has ended its goroutine")
		defer func() { result <- err }()
		var e error
		if r := panics.Try(func() { e = a.cfg.Hook(ctx, alert) }); r != nil {
			e = r.AsError()
		}
		err = e
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx) // one that does not look at ctx goes on by itself
	}
}

// post sends the alert to the webhook.
func (a *alerter) post(ctx context.Context, alert Alert) error {
	body, err := json.Marshal(alert)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.cfg.Webhook.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(SignatureHeader, SignWebhook(a.cfg.Webhook.Secret, body, time.Now()))
	res, err := a.cfg.Webhook.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("status %s", res.Status)
	}
	return nil
}
