package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// What the letters have in common: few groups have most of them, as it is.
const (
	groupCount      = 2000
	topicCount      = 200
	subscriberCount = 600
)

// rareEvery is one of how many letters has what is rare: a node, many attempts, many redrives,
// a large total, an error that no other has.
const rareEvery = 50_000

// spread is a number from 0 to below 1 that looks random and is the same for each n.
func spread(n, salt int) float64 {
	x := uint64(n)*0x9E3779B97F4A7C15 + uint64(salt)*0xD1B54A32D192ED03
	x ^= x >> 31
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 29
	return float64(x>>11) / (1 << 53)
}

var causes = []string{"connection refused", "i/o timeout", "no such host", "unexpected EOF", "429 too many requests", "context deadline exceeded"}

// typical returns the nth ordinary letter: half a KiB of payload, 4 KiB in 1 of 20 and 32 KiB in
// 1 of 500; 1 of 40 panicked, 1 of 20 was closed, 1 of 50 redriven.
func typical(n int, at time.Time) deadletter.Letter {
	u := spread(n, 1)
	group := int(groupCount * u * u * u)
	err := fmt.Sprintf("charge order %d: post https://cards-%d.example.com/v1/charges: %s after %d ms", n, group%17, causes[group%len(causes)], n%5000)
	node, total, attempts := fmt.Sprintf("host-%d", n%8), n%1000, 1+int(4*spread(n, 2))
	rare := n%rareEvery == rareEvery/2
	if rare {
		node, total, attempts = "host-canary", 1_000_000+n, 12
		err = fmt.Sprintf("charge order %d: write /var/spool/charges: disk quota exceeded", n)
	}
	l := deadletter.Letter{
		ID: deadletter.NewID(at), Node: node,
		Topic: fmt.Sprintf("orders.region-%03d", group%topicCount), Subscriber: fmt.Sprintf("billing-%03d", group%subscriberCount),
		Sequence: uint64(n),
		Payload: fmt.Appendf(nil, `{"order":{"id":%d,"customer":{"id":%d,"name":"Customer %d","email":"customer-%[3]d@example.com"},"currency":"EUR","total":%d.%02d,`+
			`"lines":[{"sku":"SKU-%05d","quantity":%d,"price":1999},{"sku":"SKU-%05d","quantity":2,"price":499},{"sku":"SKU-%05d","quantity":1,"price":12900}]},`+
			`"shipping":{"street":"Long Street %d","city":"Springfield","zip":"%05d","country":"DE"},"note":"%s","trace":"%032x","created_at":"2026-11-21T03:%02d:%02dZ"}`,
			n, n%50000, n%50000, total, n%100, n%99991, n%7, n%9973, n%997, n%300, n%99999, note(n), uint64(n)*0x9E3779B97F4A7C15, n/60%60, n%60),
		ContentType: "application/json", GoType: "shop.OrderPlaced", SchemaVersion: 1,
		Headers: map[string]string{"traceparent": fmt.Sprintf("00-%032x-%016x-01", n, n), "tenant": fmt.Sprintf("tenant-%d", n%20)},
		Reason:  []string{"attempts_exhausted", "attempts_exhausted", "attempts_exhausted", "rejected"}[group%4],
		Cause:   "error", Error: err, ErrorTypes: []string{"*fmt.wrapError", "*url.Error", "*net.OpError"},
		PublishedAt: at.Add(-time.Minute), EventID: fmt.Sprintf("event-%09d", n), CorrelationID: fmt.Sprintf("flow-%09d", n/3),
		Fingerprint: fingerprint(group),
	}
	if group%40 == 39 {
		l.Cause, l.PanicValue = "panic", fmt.Sprintf("runtime error: index out of range [%d] with length %d", n%9, n%5)
		l.Stack = stack
	}
	for i := range attempts {
		l.AddAttempt(deadletter.Attempt{Number: i + 1, Started: at.Add(time.Duration(i-attempts) * time.Second), Duration: 50 * time.Millisecond, Cause: l.Cause, Error: err})
	}
	finish(&l, n, rare)
	return l
}

// finish is what operators did with the letter.
func finish(l *deadletter.Letter, n int, rare bool) {
	at := l.LastFailedAt
	redrives := 0
	switch {
	case rare:
		redrives = 4
	case spread(n, 3) < 0.02:
		redrives = 1
	}
	for i := range redrives {
		at = at.Add(time.Minute)
		outcome := deadletter.OutcomeFailed
		if i == redrives-1 && n/(rareEvery/2)%4 == 1 {
			outcome = deadletter.OutcomeDone
		}
		_, _ = l.BeginRedrive("dana", 1, at)               // it is open
		_ = l.EndRedrive(outcome, "", at.Add(time.Second)) // and was begun
	}
	by := deadletter.Closing{By: "dana", At: at, Why: "dealt with"}
	switch closed := spread(n, 4); {
	case l.State == deadletter.StateResolved:
	case closed < 0.02:
		_ = l.Resolve(by)
	case closed < 0.04:
		_ = l.Archive(by)
	case closed < 0.041:
		_ = l.Snooze(at.AddDate(1, 0, 0))
	}
}

// note is a part of a payload that makes some of them large.
func note(n int) string {
	switch u := spread(n, 5); {
	case u < 0.002:
		return strings.Repeat("deliver to the back door, ", 1300)
	case u < 0.05:
		return strings.Repeat("deliver to the back door, ", 150)
	}
	return ""
}

var stack = "goroutine 91 [running]:\n" + strings.Repeat("example.com/shop/billing.(*Charger).charge(0xc0001a4000, {0x1045f2e60, 0xc0000b8000})\n\t/srv/shop/billing/charge.go:87 +0x1c4\n", 12)

func fingerprint(group int) string { return fmt.Sprintf("%016x", uint64(group+1)*0x9E3779B97F4A7C15) }

func batch(from, size int, at func(n int) time.Time) []deadletter.Letter {
	letters := make([]deadletter.Letter, size)
	for i := range letters {
		letters[i] = typical(from+i, at(from+i))
	}
	return letters
}
