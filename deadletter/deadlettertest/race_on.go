//go:build race

package deadlettertest

// slow is how much less the longest cases do under the race detector, which makes
// stores that are CPU-bound ten times slower. What one goroutine finds, it finds
// without.
const slow = 4
