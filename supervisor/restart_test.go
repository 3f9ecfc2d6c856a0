package supervisor_test

import (
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

func TestRestartZeroValueIsTheDefault(t *testing.T) {
	want := supervisor.Restart{
		Type: supervisor.RestartAlways, MaxRestarts: 10, Window: time.Minute, OnExceed: supervisor.ExceedPause,
		Cooldown: 15 * time.Second, MaxCooldown: 5 * time.Minute, BaseDelay: 100 * ms, MaxDelay: 30 * time.Second,
	}
	var zero supervisor.Restart
	if got := zero.WithDefaults(); got != want {
		t.Errorf("WithDefaults() = %+v, want %+v", got, want)
	}
	if zero != (supervisor.Restart{}) {
		t.Error("WithDefaults wrote into its receiver")
	}
	if got := want.WithDefaults(); got != want {
		t.Errorf("WithDefaults() twice = %+v, want %+v", got, want)
	}
	wantFaults(t, zero.Validate())
}

func TestRestartDefaultsFollowWhatIsSet(t *testing.T) {
	r := supervisor.Restart{Cooldown: time.Hour, BaseDelay: time.Minute}
	got := r.WithDefaults()
	if got.MaxCooldown != time.Hour || got.MaxDelay != time.Minute {
		t.Errorf("MaxCooldown, MaxDelay = %v, %v, want 1h0m0s, 1m0s", got.MaxCooldown, got.MaxDelay)
	}
	wantFaults(t, r.Validate())
}

func TestRestartValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		in   supervisor.Restart
		want []string
	}{
		"named nones": {supervisor.Restart{MaxRestarts: supervisor.NoRestarts, BaseDelay: supervisor.NoDelay}, nil},
		"unlimited":   {supervisor.Restart{MaxRestarts: supervisor.Unlimited}, nil},
		"unlimited without a wait": {supervisor.Restart{MaxRestarts: supervisor.Unlimited, BaseDelay: supervisor.NoDelay},
			[]string{"Restart.BaseDelay NoDelay: needs a limit, MaxRestarts is Unlimited"}},
		"max below the default cooldown": {supervisor.Restart{MaxCooldown: time.Second},
			[]string{"Restart.MaxCooldown 1s: must be at least Cooldown (15s)"}},
		"max below the default base": {supervisor.Restart{MaxDelay: 5 * ms},
			[]string{"Restart.MaxDelay 5ms: must be at least BaseDelay (100ms)"}},
		"all at once": {
			supervisor.Restart{Type: 9, MaxRestarts: -3, Window: -1, OnExceed: 8, Cooldown: -2, MaxCooldown: -3, BaseDelay: -4, MaxDelay: -5},
			[]string{
				"Restart.Type RestartType(9): must be RestartAlways, RestartOnFailure or RestartNever",
				"Restart.MaxRestarts -3: must be positive, NoRestarts or Unlimited",
				"Restart.Window -1ns: must be positive",
				"Restart.OnExceed OnExceed(8): must be ExceedPause, ExceedStop or ExceedEscalate",
				"Restart.Cooldown -2ns: must be positive",
				"Restart.MaxCooldown -3ns: must be positive",
				"Restart.BaseDelay -4ns: must be positive or NoDelay",
				"Restart.MaxDelay -5ns: must be positive",
			}},
	} {
		t.Run(name, func(t *testing.T) { wantFaults(t, tc.in.Validate(), tc.want...) })
	}
}

// "None" and "no limit" are different things; a reader of one constant must not
// get the other.
func TestNoRestartsIsNotUnlimited(t *testing.T) {
	if none, unlimited := supervisor.NoRestarts, supervisor.Unlimited; none == unlimited {
		t.Fatalf("NoRestarts = Unlimited = %d", none)
	}
	wantFaults(t, supervisor.Retry{MaxAttempts: supervisor.NoRestarts}.Validate(),
		"Retry.MaxAttempts -2: must be positive or Unlimited")
}
