package supervisor_test

import (
	"testing"

	"github.com/troupe-go/troupe/supervisor"
)

func TestStrategyAffected(t *testing.T) {
	const one, all, rest = supervisor.OneForOne, supervisor.AllForOne, supervisor.RestForOne
	for _, tc := range []struct {
		strategy  supervisor.Strategy
		n, failed int
		from, to  int
	}{
		{one, 4, 0, 0, 1}, {one, 4, 2, 2, 3}, {one, 4, 3, 3, 4}, {one, 1, 0, 0, 1},
		{all, 4, 0, 0, 4}, {all, 4, 2, 0, 4}, {all, 4, 3, 0, 4}, {all, 1, 0, 0, 1},
		{rest, 4, 0, 0, 4}, {rest, 4, 2, 2, 4}, {rest, 4, 3, 3, 4}, {rest, 1, 0, 0, 1},
		{supervisor.Strategy(9), 4, 2, 2, 3},
		{one, 4, 4, 0, 0}, {all, 4, 4, 0, 0}, {rest, 4, 4, 0, 0},
		{one, 4, -1, 0, 0}, {all, 4, -1, 0, 0}, {rest, 4, -1, 0, 0},
		{one, 0, 0, 0, 0}, {all, 0, 0, 0, 0}, {rest, -1, 0, 0, 0},
	} {
		if from, to := tc.strategy.Affected(tc.n, tc.failed); from != tc.from || to != tc.to {
			t.Errorf("%v.Affected(%d, %d) = %d, %d, want %d, %d", tc.strategy, tc.n, tc.failed, from, to, tc.from, tc.to)
		}
	}
}
