package main

import (
	"math"
	"testing"
)

func TestBend(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		name      string
		values    []float64
		at, least int
		ok        bool
	}{
		{"flat", []float64{10, 11, 9, 13}, 0, 0, false},
		{"just not", []float64{10, 15}, 0, 0, false},
		{"step", []float64{10, 10, 16, 100}, 2, 0, true},
		{"falls, then rises", []float64{40, 10, 20}, 2, 1, true},
		{"little by little", []float64{10, 12, 14, 16}, 3, 0, true},
		{"missing points", []float64{nan, 10, nan, 20}, 3, 1, true},
		{"nothing", []float64{nan, nan}, 0, 0, false},
	} {
		if at, least, ok := bend(test.values); at != test.at || ok != test.ok || ok && least != test.least {
			t.Errorf("%s: bend = %d, %d, %v, want %d, %d, %v", test.name, at, least, ok, test.at, test.least, test.ok)
		}
	}
}

func TestCrossing(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		a, b []float64
		want int
	}{
		{[]float64{5, 5, 5}, []float64{1, 6, 9}, 1},
		{[]float64{5, 5, 5}, []float64{9, 1, 9}, 2},
		{[]float64{5, 5}, []float64{9, 5}, -1},
		{[]float64{5, 5, nan}, []float64{9, 9, 9}, 0},
	} {
		if got := crossing(test.a, test.b); got != test.want {
			t.Errorf("crossing(%v, %v) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
