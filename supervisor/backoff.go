package supervisor

import "time"

// backoff returns base doubled n-1 times, at most limit, without overflow. It is
// the capped exponential of retries, start failures and cooldowns; n below 1
// counts as 1. A base of [NoDelay] (or zero) is no wait.
func backoff(base, limit time.Duration, n int) time.Duration {
	if base <= 0 || limit <= 0 {
		return 0
	}
	shift := max(n, 1) - 1 // in this order, the smallest int does not wrap around
	// base<<shift > limit exactly when base > limit>>shift; shifting limit down
	// cannot overflow, and a shift beyond its width gives zero.
	if base > limit>>shift {
		return limit
	}
	return base << shift
}
