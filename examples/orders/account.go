package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// account prints what became of every delivery. It returns an error if something
// does not add up.
func (s *shop) account(out io.Writer, snap runtime.Snapshot) error {
	fmt.Fprintf(out, "\n%-16s %-10s %10s %6s %9s %8s %13s\n",
		"topic", "subscriber", "deliveries", "= done", "+ filtered", "+ dropped", "+ dead letters")
	row := func(topic, subscriber string, c actors.Counts) {
		fmt.Fprintf(out, "%-16s %-10s %10d %6d %10d %9d %14d\n",
			topic, subscriber, c.Deliveries, c.Done, c.Filtered, c.TotalDropped(), c.DeadLettered)
	}
	for _, t := range snap.Topics {
		for _, sub := range t.Subscribers {
			row(t.Name, sub.Name, sub.Counts)
		}
	}
	row("all", "", snap.Total)

	fmt.Fprintln(out)
	charged, earned := 0, 0
	for _, p := range s.gateway.charges() {
		charged += p.Cents
	}
	sales := s.revenue.byItem()
	for _, item := range slices.Sorted(maps.Keys(sales)) {
		fmt.Fprintf(out, "%-8s %9s\n", item, euros(sales[item]))
		earned += sales[item]
	}
	fmt.Fprintf(out, "%-8s %9s, as the gateway says\n", "revenue", euros(earned))

	var faults []error
	if n := snap.Total.Balance(); n != 0 {
		faults = append(faults, fmt.Errorf("deliveries without an outcome: %d", n))
	}
	if charged != earned {
		faults = append(faults, fmt.Errorf("charged %s, revenue %s", euros(charged), euros(earned)))
	}
	return errors.Join(faults...)
}

func euros(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
