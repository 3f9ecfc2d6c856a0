package main

import (
	"context"
	"fmt"
	"path/filepath"
)

func (r *run) outage(ctx context.Context) error {
	const module = "bench/engines"
	path, err := r.binary(ctx, module)
	if err != nil {
		return err
	}
	out, _, err := r.command(ctx, filepath.Join(r.root, module), []string{"TROUPE_OUTAGE=" + r.away.String()},
		path, "-test.run=^TestOutage$", "-test.v", "-test.timeout="+(4*r.away+2*minute).String())
	s := &r.section
	s.line("## An outage of the server\n\nA NATS server in a process of its own is killed with kill -9 and started again after %v. Until then, and afterwards, four publishers of each policy "+
		"publish 250 events a second each, unless they are held back; a refused one pauses for 10 ms. The spool is an embedded JetStream. All three policies are in one process.", r.away)
	s.table("policy", "accepted before", "accepted meanwhile", "accepted after", "refused", "longest Publish", "in the spool at most", "everything had arrived", "lost", "handled again", "out of order")
	arrived := map[string]string{}
	for _, f := range logged(string(out), "arrived") {
		arrived[f["policy"]] = seconds(duration(f["after"])) + " after its return"
	}
	policies := logged(string(out), "policy")
	for _, f := range policies {
		s.row(f["name"], f["before"], f["during"], f["after"], f["refused"], seconds(duration(f["longest"])), f["backlog"], arrived[f["name"]], f["lost"], f["again"], f["disorder"])
	}
	s.end()
	s.line("What was accepted meanwhile by *block* are the publications that waited for the server: one of each publisher.")
	s.table("memory of the process", "live heap", "resident", "goroutines")
	for _, f := range logged(string(out), "memory") {
		s.row(f["when"], mib(number(f["heap"])), mib(number(f["rss"])), f["goroutines"])
	}
	s.end()
	if err == nil && len(policies) != 3 {
		err = fmt.Errorf("the test told of %d policies, want 3: %s", len(policies), tail(string(out)))
	}
	return err
}
