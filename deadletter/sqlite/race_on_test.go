//go:build race

package sqlite_test

// The race detector makes the engine, which is Go, ten times slower.
const raceEnabled = true
