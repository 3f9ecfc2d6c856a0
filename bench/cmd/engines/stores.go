package main

import (
	"context"
	"fmt"
)

// storeFigures are the benchmarks of event stores, with how many events each store gets:
// so many that it takes about a second at most.
var storeFigures = []struct {
	title, name            string
	memory, nats, postgres int
}{
	{"append, one a call", "BenchmarkStoreAppend/size=1/", 50_000, 5_000, 500},
	{"append, ten a call", "BenchmarkStoreAppend/size=10/", 50_000, 500, 2_000},
	{"read a stream", "BenchmarkStoreRead/", 50_000, 10_000, 10_000},
	{"follow all from the start", "BenchmarkStoreCatchUp/", 50_000, 10_000, 10_000},
	{"project all from the start", "BenchmarkStoreProject/", 50_000, 10_000, 10_000},
}

func (r *run) stores(ctx context.Context) error {
	const module = "bench/engines"
	s := &r.section
	postgres := r.have("TROUPE_POSTGRES", "event stores on PostgreSQL")
	of := func(name string, memory, nats, sql int) (all []benchmark) {
		all = []benchmark{{module, name + "memory", r.few(memory)}, {module, name + "nats", r.few(nats)}}
		if postgres {
			all = append(all, benchmark{module, name + "postgres", r.few(sql)})
		}
		return all
	}
	s.line("## Event stores\n\nEvents a second, one caller that waits for each call. JetStream is embedded, `ProcessSafe`. A projection counts, with its checkpoint in the store.")
	s.table("", "memory", "JetStream", "PostgreSQL")
	for _, f := range storeFigures {
		if ctx.Err() != nil {
			s.end()
			return context.Cause(ctx)
		}
		r.say("event stores: %s", f.title)
		got := r.interleave(ctx, of(f.name, f.memory, f.nats, f.postgres))
		s.row(f.title, values(got.of(f.name+"memory", rate)).show(whole), values(got.of(f.name+"nats", rate)).show(whole), values(got.of(f.name+"postgres", rate)).show(whole))
	}
	r.say("event stores: live")
	const live = "BenchmarkStoreLive/"
	got := r.interleave(ctx, of(live, 5_000, 2_000, 300))
	for _, p := range []string{"p50", "p99"} {
		s.row(fmt.Sprintf("from Append to a follower that waits, %s", p), values(got.of(live+"memory", p+"-ns")).show(micros),
			values(got.of(live+"nats", p+"-ns")).show(micros), values(got.of(live+"postgres", p+"-ns")).show(micros))
	}
	s.end()
	r.say("aggregates")
	const one, eight = "BenchmarkExecute/parallelism=1", "BenchmarkExecute/parallelism=8"
	commands := r.interleave(ctx, []benchmark{{"eventstore/aggregate", one, r.few(50_000)}, {"eventstore/aggregate", eight, r.few(50_000)}})
	s.line("Commands of aggregates a second (load, decide, append) on the store in memory: %s by one caller a processor, %s by eight.",
		values(commands.of(one, rate)).show(whole), values(commands.of(eight, rate)).show(whole))
	return context.Cause(ctx)
}
