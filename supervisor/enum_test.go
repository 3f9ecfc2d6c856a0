package supervisor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/supervisor"
)

func TestEnumsPrintTheirWord(t *testing.T) {
	for _, tc := range []struct {
		value fmt.Stringer
		want  string
	}{
		{supervisor.CauseError, "error"},
		{supervisor.CausePanic, "panic"},
		{supervisor.CauseGoexit, "goexit"},
		{supervisor.CauseTimeout, "timeout"},
		{supervisor.CauseHung, "hung"},
		{supervisor.CauseStart, "start"},
		{supervisor.Cause(6), "Cause(6)"},
		{supervisor.FateRetry, "retry"},
		{supervisor.FateDeadLetter, "dead_letter"},
		{supervisor.FateDrop, "drop"},
		{supervisor.FateDone, "done"},
		{supervisor.Fate(4), "Fate(4)"},
		{supervisor.DirectiveResume, "resume"},
		{supervisor.DirectiveRestart, "restart"},
		{supervisor.DirectiveStop, "stop"},
		{supervisor.DirectiveEscalate, "escalate"},
		{supervisor.Directive(255), "Directive(255)"},
		{supervisor.RestartAlways, "always"},
		{supervisor.RestartOnFailure, "on_failure"},
		{supervisor.RestartNever, "never"},
		{supervisor.RestartType(3), "RestartType(3)"},
		{supervisor.ExceedPause, "pause"},
		{supervisor.ExceedStop, "stop"},
		{supervisor.ExceedEscalate, "escalate"},
		{supervisor.OnExceed(3), "OnExceed(3)"},
		{supervisor.ActRestart, "restart"},
		{supervisor.ActPause, "pause"},
		{supervisor.ActStop, "stop"},
		{supervisor.ActEscalate, "escalate"},
		{supervisor.Action(4), "Action(4)"},
		{supervisor.OneForOne, "one_for_one"},
		{supervisor.AllForOne, "all_for_one"},
		{supervisor.RestForOne, "rest_for_one"},
		{supervisor.Strategy(3), "Strategy(3)"},
	} {
		if got := tc.value.String(); got != tc.want {
			t.Errorf("%T String() = %q, want %q", tc.value, got, tc.want)
		}
	}
}

// The defaults of the architecture are the zero values, so that a field left out
// means them.
func TestZeroValuesAreTheDefaults(t *testing.T) {
	var (
		cause     supervisor.Cause
		fate      supervisor.Fate
		directive supervisor.Directive
		typ       supervisor.RestartType
		exceed    supervisor.OnExceed
		action    supervisor.Action
		strategy  supervisor.Strategy
	)
	got := fmt.Sprint(cause, fate, directive, typ, exceed, action, strategy)
	if want := "error retry resume always pause restart one_for_one"; got != want {
		t.Errorf("zero values = %q, want %q", got, want)
	}
}

// wantFaults checks a joined error line by line.
func wantFaults(t *testing.T, err error, want ...string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("faults =\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
