package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const minute = time.Minute

// killTests are of engine/nats.
var killTests = []struct {
	title, test string
	share       int // of the kills, as one of these takes that many times as long
}{
	{"process with publishers, consumers and embedded server", "TestNothingAcknowledgedIsLostByKillingTheServer/process", 1},
	{"the same, PowerSafe", "TestNothingAcknowledgedIsLostByKillingTheServer/power", 1},
	{"consumer, of a server", "TestNothingAcknowledgedIsLostByKillingConsumers", 1},
	{"node of three, in processes of their own", "TestNothingIsLostByKillingNodes", 5},
	{"node of three in one process, closed", "TestThreeNodesInOneProcess", 0},
}

var (
	account = regexp.MustCompile(`(\d+) acknowledged, (\d+) lost, (\d+) handled again`)
	pause   = regexp.MustCompile(`longest pause of acknowledgments was (\S+)`)
)

func (r *run) killed(ctx context.Context) error {
	const module = "engine/nats"
	path, err := r.binary(ctx, module)
	if err != nil {
		return err
	}
	s := &r.section
	s.line("## Killed processes\n\nkill -9 under load, at any moment. What was acknowledged to its publisher has to be handled; at least once allows it to be handled again: " +
		"each fetch in hand, and what was settled just before. The pause is the longest between two acknowledgments around the death of a node: the time to recover.")
	s.table("what", "kills", "acknowledged", "lost", "handled again", "longest pause")
	for _, k := range killTests {
		kills := 1
		if k.share > 0 {
			kills = max(1, r.kills/k.share)
		}
		r.say("%d kills: %s", kills, k.title)
		out, _, failed := r.command(ctx, filepath.Join(r.root, module), []string{fmt.Sprintf("TROUPE_NATS_KILLS=%d", kills)},
			path, "-test.run="+pattern(k.test), "-test.v", "-test.timeout=3m")
		if failed != nil {
			r.fault("%s: %v", k.test, failed)
		}
		got := account.FindStringSubmatch(string(out))
		if got == nil {
			s.row(k.title, fmt.Sprint(kills), "not measured", "–", "–", "–")
			if failed == nil {
				r.fault("%s told nothing: %s", k.test, tail(string(out)))
			}
			continue
		}
		s.row(k.title, fmt.Sprint(kills), got[1], got[2], got[3], longest(string(out)))
	}
	s.end()
	return context.Cause(ctx)
}

// longest is the median and the longest of the pauses that were told.
func longest(out string) string {
	var all spread
	for _, m := range pause.FindAllStringSubmatch(out, -1) {
		all = append(all, duration(strings.TrimSuffix(m[1], ",")).Seconds())
	}
	return all.show(func(v float64) string { return fmt.Sprintf("%.2f s", v) })
}
