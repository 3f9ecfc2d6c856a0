package main

import (
	"context"
	"fmt"
)

// way is a system of bench/engines.
type way struct {
	title, name, server string
	rate, events        int
	note                string
}

var ways = []way{
	{"NATS JetStream", "nats", "", 1000, 2000, "by loopback, as every client of a server"},
	{"Kafka (kfake in the process)", "kafka", "", 1000, 2000, ""},
	{"Redis Streams", "redis", "TROUPE_REDIS", 1000, 2000, ""},
	{"RabbitMQ, quorum queue", "rabbitmq", "TROUPE_RABBITMQ", 200, 400, ""},
	{"PostgreSQL", "postgres", "TROUPE_POSTGRES", 100, 200, "bare: a queue of one group, written by hand, that LISTEN wakes"},
}

func (r *run) latency(ctx context.Context) error {
	const module, p50, p99, late = "bench/engines", "p50-ns", "p99-ns", "late-%"
	s := &r.section
	s.line("## Latency on engines\n\nFrom just before Publish to the handler, at a steady rate, 8 publishers that wait for their acknowledgments. Ours is a topic on the engine with a subscriber, " +
		"`topics.Open` with `Config{Engine: e}`; bare is the client alone. The target is a p50 within 50 µs of the bare client's. " +
		"\"late\" is how many publications began 10 ms or more behind their schedule: above a few per cent the machine was too busy for the row to say anything.")
	s.table("engine", "events/s", "bare p50", "ours p50", "ours more", "bare p99", "ours p99", "late, bare and ours", "p50 within 50 µs")
	var notes []string
	for _, w := range ways {
		if ctx.Err() != nil {
			s.end()
			return context.Cause(ctx)
		}
		if !r.have(w.server, "latency of "+w.title) {
			continue
		}
		r.say("latency of %s", w.title)
		bare, ours := "BenchmarkLatency/"+w.name+"/bare", "BenchmarkLatency/"+w.name+"/topic"
		got := r.interleave(ctx, []benchmark{{module, bare, r.few(w.events)}, {module, ours, r.few(w.events)}})
		more := difference(got.of(ours, p50), got.of(bare, p50))
		met := "not measured"
		if len(more) > 0 {
			met = "**NOT met**"
			if more.median() <= 50e3 {
				met = "met"
			}
		}
		s.row(w.title, fmt.Sprint(w.rate), values(got.of(bare, p50)).show(micros), values(got.of(ours, p50)).show(micros), more.show(micros),
			values(got.of(bare, p99)).show(micros), values(got.of(ours, p99)).show(micros), late2(got.of(bare, late), got.of(ours, late)), met)
		if w.note != "" {
			notes = append(notes, w.title+": "+w.note+".")
		}
	}
	s.end()
	for _, n := range notes {
		s.line("%s", n)
	}
	return nil
}

func late2(bare, ours map[int]float64) string {
	percent := func(v float64) string { return fmt.Sprintf("%.1f %%", v) }
	one := func(s spread) string {
		if len(s) == 0 {
			return "–"
		}
		return percent(s.median())
	}
	return one(values(bare)) + ", " + one(values(ours))
}

// difference is of the runs that both have.
func difference(ours, theirs map[int]float64) (s spread) {
	for rep, v := range ours {
		if other, ok := theirs[rep]; ok {
			s = append(s, v-other)
		}
	}
	return s
}
