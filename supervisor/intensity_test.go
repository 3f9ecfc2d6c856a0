package supervisor_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

func restartNow() supervisor.Verdict { return supervisor.Verdict{} }

func pause(d time.Duration) supervisor.Verdict {
	return supervisor.Verdict{Action: supervisor.ActPause, Delay: d}
}

func wantVerdict(t *testing.T, i *supervisor.Intensity, after time.Duration, cause supervisor.Cause, want supervisor.Verdict) {
	t.Helper()
	if got := i.Failed(at(after), cause); got != want {
		t.Errorf("Failed(%v, %v) = %v %v, want %v %v", after, cause, got.Action, got.Delay, want.Action, want.Delay)
	}
}

func TestIntensityExceedsOnOneMoreThanAllowed(t *testing.T) {
	for _, tc := range []struct {
		onExceed supervisor.OnExceed
		want     supervisor.Verdict
	}{
		{supervisor.ExceedPause, pause(15 * time.Second)},
		{supervisor.ExceedStop, supervisor.Verdict{Action: supervisor.ActStop}},
		{supervisor.ExceedEscalate, supervisor.Verdict{Action: supervisor.ActEscalate}},
	} {
		t.Run(tc.onExceed.String(), func(t *testing.T) {
			i := supervisor.NewIntensity(supervisor.Restart{OnExceed: tc.onExceed})
			for n := range 10 {
				wantVerdict(t, i, time.Duration(n)*time.Second, supervisor.CausePanic, restartNow())
			}
			wantVerdict(t, i, 10*time.Second, supervisor.CausePanic, tc.want)
		})
	}
}

func TestIntensityEveryCauseCounts(t *testing.T) {
	for cause := supervisor.CauseError; cause <= supervisor.CauseHung; cause++ {
		i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: 1})
		wantVerdict(t, i, 0, cause, restartNow())
		wantVerdict(t, i, 0, cause, pause(15*time.Second))
	}
}

// A restart counts until it is Window old: the sustained rate of MaxRestarts per
// Window never exceeds, and one nanosecond less does.
func TestIntensityWindowIsExact(t *testing.T) {
	r := supervisor.Restart{MaxRestarts: 3, Window: 3 * time.Second}
	even := supervisor.NewIntensity(r)
	for n := range 1000 {
		wantVerdict(t, even, time.Duration(n)*time.Second, supervisor.CausePanic, restartNow())
	}
	early := supervisor.NewIntensity(r)
	for n := range 3 {
		wantVerdict(t, early, time.Duration(n)*time.Second, supervisor.CausePanic, restartNow())
	}
	wantVerdict(t, early, 3*time.Second-1, supervisor.CausePanic, pause(15*time.Second))
}

// Making room while the oldest restart stands in the middle of the ring keeps
// their order: each still leaves the window at its own time.
func TestIntensityWindowIsExactAcrossGrowth(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: 16, Window: 100})
	fail := func(times ...time.Duration) {
		for _, d := range times {
			wantVerdict(t, i, d, supervisor.CausePanic, restartNow())
		}
	}
	fail(0, 1, 2, 3, 4, 5, 6, 7)
	fail(100, 101, 102, 103)                     // in place of 0 to 3
	fail(103, 103, 103, 103, 103, 103, 103, 103) // grows, and is full
	fail(104, 105, 106, 107)                     // in place of 4 to 7
	wantVerdict(t, i, 108, supervisor.CausePanic, pause(15*time.Second))
}

func TestIntensityPauseEmptiesTheWindow(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: 2, Window: time.Minute, Cooldown: time.Second})
	wantVerdict(t, i, 0, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, 0, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, 0, supervisor.CausePanic, pause(time.Second))
	wantVerdict(t, i, time.Second, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, time.Second, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, time.Second, supervisor.CausePanic, pause(2*time.Second))
}

// A hundred poison events in a row, and as many more as one likes, never stop a
// subscriber: it pauses, longer and longer up to the cap, and comes back.
func TestIntensityNeverStopsByDefault(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{})
	var now time.Duration
	var pauses []time.Duration
	restarts := 0
	for range 100 {
		switch v := i.Failed(at(now), supervisor.CausePanic); v.Action {
		case supervisor.ActRestart:
			restarts++
		case supervisor.ActPause:
			pauses = append(pauses, v.Delay)
			now += v.Delay
		default:
			t.Fatalf("Failed = %v, want restart or pause", v.Action)
		}
	}
	got := fmt.Sprint(restarts, pauses)
	if want := "91 [15s 30s 1m0s 2m0s 4m0s 5m0s 5m0s 5m0s 5m0s]"; got != want {
		t.Errorf("restarts and pauses = %s, want %s", got, want)
	}
}

func TestIntensityCooldownGrowsUntilAWindowPassesWithout(t *testing.T) {
	// The cooldown outlasts the window: growth must survive that.
	r := supervisor.Restart{MaxRestarts: supervisor.NoRestarts, Window: 10 * time.Second, Cooldown: 20 * time.Second, MaxCooldown: time.Hour}
	i := supervisor.NewIntensity(r)
	wantVerdict(t, i, 0, supervisor.CausePanic, pause(20*time.Second))
	// Over at 20 s; a window later is 30 s.
	wantVerdict(t, i, 30*time.Second-1, supervisor.CausePanic, pause(40*time.Second))
	// Over at 70 s.
	wantVerdict(t, i, 80*time.Second, supervisor.CausePanic, pause(20*time.Second))
	// Over at 100 s. An operator who resumes the actor early gets no reset.
	wantVerdict(t, i, 81*time.Second, supervisor.CausePanic, pause(40*time.Second))
}

func TestIntensityFailedStartsBackOff(t *testing.T) {
	r := supervisor.Restart{MaxRestarts: 100, BaseDelay: 100 * ms, MaxDelay: time.Second}
	i := supervisor.NewIntensity(r)
	delayed := func(d time.Duration) supervisor.Verdict { return supervisor.Verdict{Delay: d} }
	for n, want := range []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second} {
		wantVerdict(t, i, time.Duration(n), supervisor.CauseStart, delayed(want))
	}
	// A panic between failed starts has no start before it that failed.
	wantVerdict(t, i, 10, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, 10, supervisor.CauseStart, delayed(time.Second))
	i.Started(at(11))
	wantVerdict(t, i, 11, supervisor.CauseStart, delayed(100*ms))
}

// With the defaults, a start hook that fails for ever is slowed down to one try in
// 30 s and never runs into the limit.
func TestIntensityFailedStartsNeverSpin(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{})
	var now time.Duration
	tries := 0
	for ; now < time.Hour; tries++ {
		v := i.Failed(at(now), supervisor.CauseStart)
		if v.Action != supervisor.ActRestart || v.Delay <= 0 {
			t.Fatalf("try %d: %+v, want a delayed restart", tries, v)
		}
		now += v.Delay
	}
	if tries > 130 {
		t.Errorf("%d tries in an hour, want about 120", tries)
	}
}

func TestIntensityFailedStartsCount(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: 2, BaseDelay: supervisor.NoDelay, OnExceed: supervisor.ExceedEscalate})
	wantVerdict(t, i, 0, supervisor.CauseStart, restartNow())
	i.Started(at(1))
	wantVerdict(t, i, 2, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, 3, supervisor.CauseStart, supervisor.Verdict{Action: supervisor.ActEscalate})
}

func TestIntensityPauseIsNoShorterThanTheBackoff(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: supervisor.NoRestarts, Cooldown: time.Second, MaxCooldown: time.Second, BaseDelay: time.Minute})
	wantVerdict(t, i, 0, supervisor.CauseStart, pause(time.Minute))
	wantVerdict(t, i, 0, supervisor.CausePanic, pause(time.Second))
}

func TestIntensityNoRestarts(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: supervisor.NoRestarts, OnExceed: supervisor.ExceedStop})
	wantVerdict(t, i, 0, supervisor.CausePanic, supervisor.Verdict{Action: supervisor.ActStop})
}

func TestIntensityUnlimited(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: supervisor.Unlimited, OnExceed: supervisor.ExceedStop})
	for range 100_000 {
		if v := i.Failed(epoch, supervisor.CausePanic); v != restartNow() {
			t.Fatalf("Failed = %+v, want a restart", v)
		}
	}
	if n := i.WindowRoom(); n != 0 {
		t.Errorf("room for %d restarts, want none: there is nothing to count", n)
	}
}

func TestIntensityRestartNeverStops(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{Type: supervisor.RestartNever, OnExceed: supervisor.ExceedEscalate})
	for cause := supervisor.CauseError; cause <= supervisor.CauseStart; cause++ {
		wantVerdict(t, i, 0, cause, supervisor.Verdict{Action: supervisor.ActStop})
	}
}

func TestIntensityZeroValueIsTheDefault(t *testing.T) {
	var zero supervisor.Intensity
	zero.Started(at(0))
	def := supervisor.NewIntensity(supervisor.Restart{})
	def.Started(at(0))
	for n := range 50 {
		wantVerdict(t, &zero, time.Duration(n), supervisor.CauseStart, def.Failed(at(time.Duration(n)), supervisor.CauseStart))
	}
}

func TestIntensityTimeDoesNotRunBackward(t *testing.T) {
	i := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: 1, Window: time.Minute})
	wantVerdict(t, i, 0, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, time.Hour, supervisor.CausePanic, restartNow())
	wantVerdict(t, i, -time.Hour, supervisor.CausePanic, pause(15*time.Second))
}

// plainModel is the rule of the Intensity comment written down with no regard to
// cost: it keeps every restart for ever.
type plainModel struct {
	r            supervisor.Restart
	restarts     []time.Duration
	now          time.Duration
	failedStarts int
	pauses       int
	pausedUntil  time.Duration
}

func (m *plainModel) failed(now time.Duration, cause supervisor.Cause) supervisor.Verdict {
	m.now = max(m.now, now)
	if m.r.Type == supervisor.RestartNever {
		return supervisor.Verdict{Action: supervisor.ActStop}
	}
	double := func(base, limit time.Duration, n int) time.Duration {
		if base < 0 {
			return 0
		}
		for ; n > 1 && base < limit; n-- {
			base *= 2
		}
		return min(base, limit)
	}
	var delay time.Duration
	if cause == supervisor.CauseStart {
		m.failedStarts++
		delay = double(m.r.BaseDelay, m.r.MaxDelay, m.failedStarts)
	}
	m.restarts = append(m.restarts, m.now)
	within := 0
	for _, t := range m.restarts {
		if t > m.now-m.r.Window {
			within++
		}
	}
	allowed := max(m.r.MaxRestarts, 0)
	if m.r.MaxRestarts == supervisor.Unlimited {
		allowed = math.MaxInt
	}
	if within <= allowed {
		return supervisor.Verdict{Action: supervisor.ActRestart, Delay: delay}
	}
	m.restarts = nil
	switch m.r.OnExceed {
	case supervisor.ExceedStop:
		return supervisor.Verdict{Action: supervisor.ActStop}
	case supervisor.ExceedEscalate:
		return supervisor.Verdict{Action: supervisor.ActEscalate}
	}
	if m.pauses > 0 && m.now >= m.pausedUntil+m.r.Window {
		m.pauses = 0
	}
	m.pauses++
	delay = max(delay, double(m.r.Cooldown, m.r.MaxCooldown, m.pauses))
	m.pausedUntil = m.now + delay
	return supervisor.Verdict{Action: supervisor.ActPause, Delay: delay}
}

func genRestart(t *rapid.T) supervisor.Restart {
	r := supervisor.Restart{
		Type:        rapid.SampledFrom([]supervisor.RestartType{0, 0, 0, 0, 0, 1, 2}).Draw(t, "type"),
		MaxRestarts: rapid.SampledFrom([]int{supervisor.NoRestarts, supervisor.Unlimited, 0, 1, 2, 3, 7, 8, 9, 17}).Draw(t, "max"),
		Window:      time.Duration(rapid.Int64Range(1, 100).Draw(t, "window")),
		OnExceed:    rapid.SampledFrom([]supervisor.OnExceed{0, 0, 0, 1, 2}).Draw(t, "exceed"),
		Cooldown:    time.Duration(rapid.Int64Range(1, 50).Draw(t, "cooldown")),
		BaseDelay:   time.Duration(rapid.Int64Range(1, 20).Draw(t, "base")),
	}
	r.MaxCooldown = r.Cooldown * time.Duration(rapid.Int64Range(1, 20).Draw(t, "maxCooldown"))
	r.MaxDelay = r.BaseDelay * time.Duration(rapid.Int64Range(1, 20).Draw(t, "maxDelay"))
	return r
}

// The ring gives the answers of a list that forgets nothing, and never has room
// for more restarts than were within one window, rounded up to a doubling.
func TestIntensityAgreesWithThePlainModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRestart(t)
		if err := r.Validate(); err != nil {
			t.Fatalf("generated config is invalid: %v", err)
		}
		i := supervisor.NewIntensity(r)
		m := &plainModel{r: r.WithDefaults()}
		var now time.Duration
		gaps := rapid.OneOf(
			rapid.Int64Range(0, 3),
			rapid.SampledFrom([]int64{-5, 0, int64(r.Window) - 1, int64(r.Window), int64(r.Window) + 1}),
			rapid.Int64Range(0, 200),
		)
		first := true
		for n := range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += time.Duration(gaps.Draw(t, "gap"))
			if first { // the model's clock starts where the first call is
				m.now, m.pausedUntil, first = now, now, false
			}
			if rapid.IntRange(0, 4).Draw(t, "step") == 0 {
				i.Started(at(now))
				m.now, m.failedStarts = max(m.now, now), 0
				continue
			}
			cause := rapid.SampledFrom([]supervisor.Cause{supervisor.CausePanic, supervisor.CauseStart}).Draw(t, "cause")
			got, want := i.Failed(at(now), cause), m.failed(now, cause)
			if got != want {
				t.Fatalf("step %d: Failed(%v, %v) = %+v, want %+v", n, now, cause, got, want)
			}
			if got.Action == supervisor.ActPause && rapid.Bool().Draw(t, "sitsOut") {
				now += got.Delay
			}
			if room := i.WindowRoom(); room > max(m.r.MaxRestarts, 0) {
				t.Fatalf("step %d: room for %d restarts, want at most %d", n, room, m.r.MaxRestarts)
			}
		}
	})
}

// No allocation before the first failure, none once the ring has the room it
// needs, and that room follows what happens, not what is allowed.
func TestIntensityMemory(t *testing.T) {
	r := supervisor.Restart{MaxRestarts: 1_000_000, Window: time.Minute}
	i := supervisor.NewIntensity(r)
	if n := i.WindowRoom(); n != 0 {
		t.Errorf("room for %d restarts before the first, want 0", n)
	}
	var now time.Duration
	fail := func() {
		now += 10 * time.Second
		i.Failed(at(now), supervisor.CausePanic)
	}
	for range 100 {
		fail()
	}
	if n := testing.AllocsPerRun(10_000, fail); n != 0 {
		t.Errorf("Failed allocates %v times per call, want 0", n)
	}
	if n := i.WindowRoom(); n > 8 {
		t.Errorf("room for %d restarts at six within a window, want 8", n)
	}
}

// The cost of a failure is the same for every MaxRestarts: within the limit, and
// over it again and again.
func BenchmarkIntensity(b *testing.B) {
	for _, allowed := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("full/max=%d", allowed), func(b *testing.B) {
			// One restart leaves the window as the next one comes.
			r := supervisor.Restart{MaxRestarts: allowed, Window: time.Duration(allowed) * time.Second}
			i := supervisor.NewIntensity(r)
			var now time.Time
			n, restarts := 0, 0
			fail := func() {
				now = now.Add(time.Second)
				n++
				if i.Failed(now, supervisor.CausePanic).Action == supervisor.ActRestart {
					restarts++
				}
			}
			for range allowed {
				fail()
			}
			b.ReportAllocs()
			for b.Loop() {
				fail()
			}
			if restarts != n {
				b.Fatalf("%d restarts of %d", restarts, n)
			}
		})
	}
	b.Run("storm", func(b *testing.B) {
		i := supervisor.NewIntensity(supervisor.Restart{})
		n, pauses := 0, 0
		b.ReportAllocs()
		for b.Loop() {
			if i.Failed(epoch, supervisor.CausePanic).Action == supervisor.ActPause {
				pauses++
			}
			n++
		}
		if pauses != n/11 {
			b.Fatalf("%d pauses of %d failures, want one in 11", pauses, n)
		}
	})
}
