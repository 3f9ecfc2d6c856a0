// Package engines measures what a topic on an engine costs beside the client alone, what
// event stores do, and what publishers see of an outage. It is a module of its own, since
// nothing else needs all engines at once.
//
//	go test -run '^$' -bench Latency/nats -benchtime 3000x
//	TROUPE_OUTAGE=1m go test -run Outage -v
//
// Kafka is kfake in this process and NATS a server in it; the others are at
// TROUPE_REDIS, TROUPE_RABBITMQ and TROUPE_POSTGRES, as scripts/services gives them.
// "cd bench && go run ./cmd/engines" runs everything and writes it down.
package engines
