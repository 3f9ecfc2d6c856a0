package main

import "context"

// contest is ours beside theirs, of one module.
type contest struct {
	title   string
	note    string
	module  string
	server  string // the variable that has to name one
	events  int
	ours    string
	theirs  []rival
	targets []target
}

type rival struct {
	label, name string
	part        int // of the events, the how manyth, where a rival is so slow; 0 is all
}

// target is what was set as a goal against a rival.
type target struct {
	rival string
	least float64
}

var contests = []contest{
	{
		title: "NATS JetStream, end to end", module: "engine/nats/bench", events: 50_000,
		note: "The server is in the process, so its work is in the processor time. Published by four, handled by one, at once. " +
			"\"with IDs\" stores an ID once, as ours does. Watermill's adapters publish one at a time and wait for each, as their API does, and get a fifth of the events.",
		ours: "BenchmarkOurs",
		theirs: []rival{{"bare client, with IDs", "BenchmarkBareDedup", 0}, {"bare client", "BenchmarkBare", 0},
			{"Watermill's adapter", "BenchmarkWatermill", 5}, {"Watermill's adapter, beta", "BenchmarkWatermillBeta", 5}},
		targets: []target{{"BenchmarkWatermill", 2}, {"BenchmarkWatermillBeta", 2}, {"BenchmarkBareDedup", 0.8}},
	},
	{
		title: "NATS JetStream, publish", module: "engine/nats/bench", events: 50_000,
		note: "Both with IDs that are stored once; the bare client has up to 4096 on their way, ours four batches of 256.",
		ours: "BenchmarkPublish/ours", theirs: []rival{{"bare client, with IDs", "BenchmarkPublish/bare", 0}},
		targets: []target{{"BenchmarkPublish/bare", 0.8}},
	},
	{
		title: "NATS JetStream, consume", module: "engine/nats/bench", events: 50_000,
		note: "The bare client acknowledges each and waits for no answer; ours waits for one with each batch.",
		ours: "BenchmarkConsume/ours", theirs: []rival{{"bare client", "BenchmarkConsume/bare", 0}},
		targets: []target{{"BenchmarkConsume/bare", 0.8}},
	},
	{
		title: "Redis Streams, end to end", module: "engine/redis", server: "TROUPE_REDIS", events: 50_000,
		note: "Pipelines of 100, fetches of 256. \"same bytes\" are entries as large as ours with their headers. The processor time is the server's, too.",
		ours: "BenchmarkEndToEnd/ours", theirs: []rival{{"bare client, same bytes", "BenchmarkEndToEnd/bare,_bytes", 0}, {"bare client, 128 B", "BenchmarkEndToEnd/bare", 0}},
		targets: []target{{"BenchmarkEndToEnd/bare,_bytes", 0.8}},
	},
	{
		title: "Redis Streams, publish", module: "engine/redis", server: "TROUPE_REDIS", events: 50_000,
		ours: "BenchmarkPublish/ours", theirs: []rival{{"bare client, same bytes", "BenchmarkPublish/bare,_bytes", 0}, {"bare client, 128 B", "BenchmarkPublish/bare", 0}},
		targets: []target{{"BenchmarkPublish/bare,_bytes", 0.8}},
	},
	{
		title: "Redis Streams, consume", module: "engine/redis", server: "TROUPE_REDIS", events: 50_000,
		ours: "BenchmarkConsume/ours", theirs: []rival{{"bare client, same bytes", "BenchmarkConsume/bare,_bytes", 0}, {"bare client, 128 B", "BenchmarkConsume/bare", 0}},
		targets: []target{{"BenchmarkConsume/bare,_bytes", 0.8}},
	},
	{
		title: "Kafka (kfake in the process), publish", module: "engine/kafka", events: 200_000,
		note: "No figure of Kafka itself: the fake broker's work is in the processor time. Four publishers, 256 a call.",
		ours: "BenchmarkPublish/ours", theirs: []rival{{"bare client, with our headers", "BenchmarkPublish/bare,_headers", 0}, {"bare client", "BenchmarkPublish/bare", 0}},
		targets: []target{{"BenchmarkPublish/bare,_headers", 0.8}},
	},
	{
		title: "Kafka (kfake in the process), consume", module: "engine/kafka", events: 500_000,
		note: "The bare client commits every 100 ms, as ours does. So many events that what is fetched ahead of the clock is a small part.",
		ours: "BenchmarkConsume/ours", theirs: []rival{{"bare client, reads the headers", "BenchmarkConsume/bare,_headers", 0}, {"bare client", "BenchmarkConsume/bare", 0}},
		targets: []target{{"BenchmarkConsume/bare,_headers", 0.8}},
	},
	{
		title: "RabbitMQ, quorum queue, end to end", module: "engine/rabbitmq", server: "TROUPE_RABBITMQ", events: 10_000,
		note: "1024 unconfirmed and 1024 unsettled at most. The processor time is the client's process with its start; the server's is not in it.",
		ours: "BenchmarkEngine", theirs: []rival{{"bare client, with our headers", "BenchmarkBare/headers=6", 0}, {"bare client", "BenchmarkBare/headers=0", 0}},
		targets: []target{{"BenchmarkBare/headers=6", 0.8}},
	},
	{
		title: "PostgreSQL, end to end", module: "engine/postgres", server: "TROUPE_POSTGRES", events: 10_000,
		note: "Batches of 500. The bare clients are queues of one group, written by hand: \"lease\" takes rows for a time, as an engine must whose handlers take theirs; " +
			"\"transaction\" holds one while it handles. The processor time is the client's process with its start; the server's is not in it.",
		ours: "BenchmarkEngine/plain", theirs: []rival{{"by hand, lease", "BenchmarkBare/lease", 0}, {"by hand, transaction", "BenchmarkBare/tx", 0}},
		targets: []target{{"BenchmarkBare/lease", 0.8}},
	},
}

func (r *run) throughput(ctx context.Context) error {
	s := &r.section
	s.line("## Throughput on engines\n\nBy the engine's own port, so what a topic adds (a mailbox, a codec) is not in it. Ratios are ours to theirs: of events/s more is better, of processor time less.")
	for _, c := range contests {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !r.have(c.server, "throughput of "+c.title) {
			continue
		}
		r.say("throughput of %s", c.title)
		all := []benchmark{{c.module, c.ours, r.few(c.events)}}
		for _, t := range c.theirs {
			all = append(all, benchmark{c.module, t.name, r.few(c.events / max(1, t.part))})
		}
		got := r.interleave(ctx, all)
		s.line("### %s", c.title)
		if c.note != "" {
			s.line("%s", c.note)
		}
		s.table("", "events/s", "processor time/event", "ours: events/s ×", "ours: processor time ×", "target")
		s.row("Troupe", values(got.of(c.ours, rate)).show(whole), values(got.of(c.ours, cpu)).show(micros2), "", "", "")
		for _, t := range c.theirs {
			fast := ratio(got.of(c.ours, rate), got.of(t.name, rate))
			s.row(t.label, values(got.of(t.name, rate)).show(whole), values(got.of(t.name, cpu)).show(micros2),
				fast.show(times), ratio(got.of(c.ours, cpu), got.of(t.name, cpu)).show(times), verdict(c.targets, t.name, fast))
		}
		s.end()
	}
	return nil
}

func verdict(targets []target, rival string, got spread) string {
	for _, t := range targets {
		if t.rival != rival {
			continue
		}
		switch {
		case len(got) == 0:
			return times(t.least) + ": not measured"
		case got.median() >= t.least:
			return times(t.least) + ": met"
		}
		return times(t.least) + ": **NOT met**"
	}
	return ""
}
