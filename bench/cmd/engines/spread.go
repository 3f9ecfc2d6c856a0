package main

import (
	"fmt"
	"slices"
	"time"
)

// spread is what several runs have given.
type spread []float64

func (s spread) median() float64 {
	s = slices.Sorted(slices.Values(s))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func (s spread) show(f func(float64) string) string {
	switch len(s) {
	case 0:
		return "–"
	case 1:
		return f(s[0])
	}
	return fmt.Sprintf("%s (%s–%s)", f(s.median()), f(slices.Min(s)), f(slices.Max(s)))
}

// ratio is of the runs that both have, neighbor by neighbor.
func ratio(ours, theirs map[int]float64) (s spread) {
	for rep, v := range ours {
		if other, ok := theirs[rep]; ok && other > 0 {
			s = append(s, v/other)
		}
	}
	return s
}

func values(of map[int]float64) (s spread) {
	for _, v := range of {
		s = append(s, v)
	}
	return s
}

// whole has three digits that count, with separators of thousands.
func whole(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	unit := 1.0
	for v/unit >= 1000 {
		unit *= 10
	}
	n := int(v/unit+0.5) * int(unit)
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func times(v float64) string { return fmt.Sprintf("%.2f", v) }

func micros(ns float64) string {
	if ns >= 10e6 {
		return fmt.Sprintf("%.1f ms", ns/1e6)
	}
	return fmt.Sprintf("%.0f µs", ns/1e3)
}

func mib(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// micros2 is for what takes a few microseconds.
func micros2(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1e3) }
