//go:build !troupe

package bench

var ours []Library
