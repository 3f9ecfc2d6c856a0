package main

import (
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// typical returns the nth ordinary letter.
func typical(n int, at time.Time) deadletter.Letter {
	group := n * 7919 % 480
	causes := []string{"connection refused", "i/o timeout", "no such host", "unexpected EOF"}
	err := fmt.Sprintf("charge order %d: post https://cards-%d.example.com/v1/charges: %s after %d ms", n, group%17, causes[group%4], n%5000)
	l := deadletter.Letter{
		ID: deadletter.NewID(at), Node: fmt.Sprintf("host-%d", n%8),
		Topic: fmt.Sprintf("orders.region-%02d", group%40), Subscriber: fmt.Sprintf("billing-%03d", group%120),
		Sequence: uint64(n),
		Payload: fmt.Appendf(nil, `{"order":{"id":%d,"customer":{"id":%d,"name":"Customer %d","email":"customer-%[3]d@example.com"},"currency":"EUR","total":%d.%02d,`+
			`"lines":[{"sku":"SKU-%05d","quantity":%d,"price":1999},{"sku":"SKU-%05d","quantity":2,"price":499},{"sku":"SKU-%05d","quantity":1,"price":12900}]},`+
			`"shipping":{"street":"Long Street %d","city":"Springfield","zip":"%05d","country":"DE"},"trace":"%032x","created_at":"2026-11-21T03:%02d:%02dZ"}`,
			n, n%50000, n%50000, n%1000, n%100, n%99991, n%7, n%9973, n%997, n%300, n%99999, uint64(n)*0x9E3779B97F4A7C15, n/60%60, n%60),
		ContentType: "application/json", GoType: "shop.OrderPlaced", SchemaVersion: 1,
		Headers: map[string]string{"traceparent": fmt.Sprintf("00-%032x-%016x-01", n, n), "tenant": fmt.Sprintf("tenant-%d", n%20)},
		Reason:  []string{"attempts_exhausted", "attempts_exhausted", "attempts_exhausted", "rejected"}[group%4],
		Cause:   "error", Error: err, ErrorTypes: []string{"*fmt.wrapError", "*url.Error", "*net.OpError"},
		PublishedAt: at.Add(-time.Minute), EventID: fmt.Sprintf("event-%09d", n), CorrelationID: fmt.Sprintf("flow-%09d", n/3),
		Fingerprint: fingerprint(group),
	}
	for i := range 3 {
		l.AddAttempt(deadletter.Attempt{Number: i + 1, Started: at.Add(time.Duration(i-3) * time.Second), Duration: 50 * time.Millisecond, Cause: "error", Error: err})
	}
	return l
}

func fingerprint(group int) string { return fmt.Sprintf("%016x", uint64(group+1)*0x9E3779B97F4A7C15) }

func batch(from, size int, at func(n int) time.Time) []deadletter.Letter {
	letters := make([]deadletter.Letter, size)
	for i := range letters {
		letters[i] = typical(from+i, at(from+i))
	}
	return letters
}
