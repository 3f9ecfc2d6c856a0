package supervisor_test

import (
	"math"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestRetryZeroValueIsTheDefault(t *testing.T) {
	want := supervisor.Retry{MaxAttempts: 5, BaseDelay: 100 * ms, MaxDelay: 30 * time.Second, Jitter: 0.5}
	var zero supervisor.Retry
	if got := zero.WithDefaults(); got != want {
		t.Errorf("WithDefaults() = %+v, want %+v", got, want)
	}
	if zero != (supervisor.Retry{}) {
		t.Error("WithDefaults wrote into its receiver")
	}
	if got := want.WithDefaults(); got != want {
		t.Errorf("WithDefaults() twice = %+v, want %+v", got, want)
	}
	wantFaults(t, zero.Validate())
}

func TestRetryDefaultsFollowWhatIsSet(t *testing.T) {
	r := supervisor.Retry{BaseDelay: time.Minute}
	if got := r.WithDefaults().MaxDelay; got != time.Minute {
		t.Errorf("MaxDelay = %v, want 1m0s", got)
	}
	wantFaults(t, r.Validate())
	set := supervisor.Retry{MaxAttempts: -7, BaseDelay: -5, MaxDelay: -6, Jitter: 3}
	if got := set.WithDefaults(); got != set {
		t.Errorf("WithDefaults() = %+v, want what was set: %+v", got, set)
	}
}

func TestRetryValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		in   supervisor.Retry
		want []string
	}{
		"named nones": {supervisor.Retry{MaxAttempts: supervisor.NoRetry, BaseDelay: supervisor.NoDelay, Jitter: supervisor.NoJitter}, nil},
		"unlimited":   {supervisor.Retry{MaxAttempts: supervisor.Unlimited}, nil},
		"equal":       {supervisor.Retry{BaseDelay: 5 * ms, MaxDelay: 5 * ms}, nil},
		"full jitter": {supervisor.Retry{Jitter: 1}, nil},
		"attempts":    {supervisor.Retry{MaxAttempts: -2}, []string{"Retry.MaxAttempts -2: must be positive or Unlimited"}},
		"base":        {supervisor.Retry{BaseDelay: -5 * ms}, []string{"Retry.BaseDelay -5ms: must be positive or NoDelay"}},
		"max":         {supervisor.Retry{MaxDelay: -1}, []string{"Retry.MaxDelay -1ns: must be positive"}},
		"max below the default base": {supervisor.Retry{MaxDelay: 5 * ms},
			[]string{"Retry.MaxDelay 5ms: must be at least BaseDelay (100ms)"}},
		"jitter":     {supervisor.Retry{Jitter: 1.5}, []string{"Retry.Jitter 1.5: must be between 0 and 1, or NoJitter"}},
		"jitter NaN": {supervisor.Retry{Jitter: math.NaN()}, []string{"Retry.Jitter NaN: must be between 0 and 1, or NoJitter"}},
		"all at once": {supervisor.Retry{MaxAttempts: -2, BaseDelay: -2, MaxDelay: -3, Jitter: -0.5}, []string{
			"Retry.MaxAttempts -2: must be positive or Unlimited",
			"Retry.BaseDelay -2ns: must be positive or NoDelay",
			"Retry.MaxDelay -3ns: must be positive",
			"Retry.Jitter -0.5: must be between 0 and 1, or NoJitter",
		}},
	} {
		t.Run(name, func(t *testing.T) { wantFaults(t, tc.in.Validate(), tc.want...) })
	}
}

func TestRetryDelay(t *testing.T) {
	exact := supervisor.Retry{BaseDelay: 100 * ms, MaxDelay: time.Second, Jitter: supervisor.NoJitter}
	half := supervisor.Retry{BaseDelay: 100 * ms, MaxDelay: time.Second, Jitter: 0.5}
	full := supervisor.Retry{BaseDelay: 100 * ms, MaxDelay: time.Second, Jitter: 1}
	none := supervisor.Retry{BaseDelay: supervisor.NoDelay}
	vast := supervisor.Retry{BaseDelay: 3, MaxDelay: math.MaxInt64, Jitter: supervisor.NoJitter}
	vastJitter := supervisor.Retry{BaseDelay: math.MaxInt64, Jitter: 1}
	for _, tc := range []struct {
		name    string
		retry   supervisor.Retry
		attempt int
		rnd     float64
		want    time.Duration
	}{
		{"first", exact, 1, 0.3, 100 * ms},
		{"second", exact, 2, 0.3, 200 * ms},
		{"fourth", exact, 4, 0.3, 800 * ms},
		{"at the cap", exact, 5, 0.3, time.Second},
		{"shift of the word", exact, 65, 0.3, time.Second},
		{"last int", exact, math.MaxInt, 0.3, time.Second},
		{"attempt 0", exact, 0, 0.3, 100 * ms},
		{"first int", exact, math.MinInt, 0.3, 100 * ms},
		{"jitter, lowest", half, 1, 0, 50 * ms},
		{"jitter, middle", half, 1, 0.5, 75 * ms},
		{"jitter, highest", half, 1, 1, 100 * ms},
		{"jitter at the cap, lowest", half, 9, 0, 500 * ms},
		{"jitter at the cap, highest", half, 9, 1, time.Second},
		{"full jitter, lowest", full, 1, 0, 0},
		{"full jitter, middle", full, 2, 0.5, 100 * ms},
		{"rnd above", half, 1, 99, 100 * ms},
		{"rnd below", half, 1, -99, 50 * ms},
		{"rnd infinite", half, 1, math.Inf(1), 100 * ms},
		{"rnd not a number", half, 1, math.NaN(), 50 * ms},
		{"no delay", none, 3, 0.5, 0},
		{"largest power", vast, 62, 0, 3 << 61},
		{"just over", vast, 63, 0, math.MaxInt64},
		{"full jitter of the largest, lowest", vastJitter, 1, 0, 0},
		{"full jitter of the largest, highest", vastJitter, 1, 1, math.MaxInt64},
		{"zero value", supervisor.Retry{}, 1, 0.5, 75 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.retry.Delay(tc.attempt, tc.rnd); got != tc.want {
				t.Errorf("%+v.Delay(%d, %v) = %v, want %v", tc.retry, tc.attempt, tc.rnd, got, tc.want)
			}
		})
	}
}

func genRetry(t *rapid.T) supervisor.Retry {
	base := rapid.Int64Range(1, math.MaxInt64).Draw(t, "base")
	limit := rapid.Int64Range(base, math.MaxInt64).Draw(t, "limit")
	jitter := rapid.OneOf(rapid.Float64Range(0, 1), rapid.Just(supervisor.NoJitter)).Draw(t, "jitter")
	return supervisor.Retry{BaseDelay: time.Duration(base), MaxDelay: time.Duration(limit), Jitter: jitter}
}

// Never above the cap, never negative, and within the jitter of the exponential,
// for any valid policy, attempt and number.
func TestRetryDelayStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRetry(t)
		if err := r.Validate(); err != nil {
			t.Fatalf("generated policy is invalid: %v", err)
		}
		attempt := rapid.OneOf(rapid.IntRange(1, 70), rapid.Int()).Draw(t, "attempt")
		rnd := rapid.OneOf(rapid.Float64Range(0, 1), rapid.Float64(), rapid.Just(math.NaN())).Draw(t, "rnd")
		got := r.Delay(attempt, rnd)

		// The same in floating point, which cannot overflow.
		d := min(float64(r.MaxDelay), math.Ldexp(float64(r.BaseDelay), min(max(attempt, 1)-1, 70)))
		j := max(r.WithDefaults().Jitter, 0)
		if got < 0 || got > r.MaxDelay {
			t.Fatalf("Delay = %d, want 0..%d", got, r.MaxDelay)
		}
		slack := d*1e-9 + 1
		if f := float64(got); f < d*(1-j)-slack || f > d+slack {
			t.Fatalf("Delay = %v, want within %v..%v", f, d*(1-j), d)
		}
	})
}

func TestRetryDelayGrowsWithAttemptAndNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRetry(t)
		attempt := rapid.IntRange(1, 100).Draw(t, "attempt")
		rnd := rapid.Float64Range(0, 1).Draw(t, "rnd")
		more := rapid.Float64Range(rnd, 1).Draw(t, "more")
		d := r.Delay(attempt, rnd)
		// Floating point may round a jittered delay of centuries by some nanoseconds.
		slack := d>>50 + 1
		if next := r.Delay(attempt+1, rnd); next < d-slack {
			t.Fatalf("Delay(%d) = %v, Delay(%d) = %v: shrank", attempt, d, attempt+1, next)
		}
		if next := r.Delay(attempt, more); next < d-slack {
			t.Fatalf("Delay with %v = %v, with %v = %v: shrank", rnd, d, more, next)
		}
	})
}

func BenchmarkRetryDelay(b *testing.B) {
	r := supervisor.Retry{}.WithDefaults()
	b.ReportAllocs()
	var sum time.Duration
	n := 0
	for b.Loop() {
		sum += r.Delay(n&7, 0.5)
		n++
	}
	if n > 0 && sum == 0 {
		b.Fatal("no delay")
	}
}
