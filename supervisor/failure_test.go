package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/supervisor"
)

type (
	code    int
	plain   struct{ Code, Sub int }
	cyclic  map[string]any
	holder  struct{ Table map[string]int }
	shouter struct{}
	broken  struct{}
	nilErr  struct{ err error }
)

func (shouter) String() string  { return "loud" }
func (broken) Error() string    { panic("no message") }
func (e *nilErr) Error() string { return e.err.Error() }
func (e *nilErr) Unwrap() error { return e.err }

func TestPanicErrorPrintsItsValue(t *testing.T) {
	loop := cyclic{}
	loop["self"] = loop
	var nilPointer *nilErr
	for name, tc := range map[string]struct {
		value any
		want  string
	}{
		"string":         {"boom", "panic: boom"},
		"empty string":   {"", "panic: "},
		"number":         {42, "panic: 42"},
		"named number":   {code(7), "panic: 7"},
		"bool":           {false, "panic: false"},
		"error":          {io.ErrUnexpectedEOF, "panic: unexpected EOF"},
		"stringer":       {shouter{}, "panic: loud"},
		"nil":            {nil, "panic: nil"},
		"panic(nil)":     {new(runtime.PanicNilError), "panic: " + new(runtime.PanicNilError).Error()},
		"plain struct":   {plain{1, 2}, "panic: {Code:1 Sub:2}"},
		"plain array":    {[2]int{3, 4}, "panic: [3 4]"},
		"huge array":     {[1 << 12]byte{}, "panic: ([4096]uint8)"},
		"slice":          {[]int{1}, "panic: ([]int)"},
		"pointer":        {new(int), "panic: (*int)"},
		"cyclic map":     {loop, "panic: (supervisor_test.cyclic)"},
		"map in struct":  {holder{}, "panic: (supervisor_test.holder)"},
		"broken method":  {broken{}, "panic: %!v(PANIC=Error method: no message)"},
		"nil in pointer": {nilPointer, "panic: <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&supervisor.PanicError{Value: tc.value}).Error(); got != tc.want {
				t.Errorf("Error() = %q, want %q", got, tc.want)
			}
		})
	}
}

// A map that the panic left behind may still be written to by another goroutine of
// the user's. Reading it would be a data race here and the end of the process in
// production.
func TestPanicErrorDoesNotReadSharedMemory(t *testing.T) {
	shared := map[string]int{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				shared["k"] = i
			}
		}
	}()
	err := &supervisor.PanicError{Value: shared}
	for range 1000 {
		if got, want := err.Error(), "panic: (map[string]int)"; got != want {
			t.Fatalf("Error() = %q, want %q", got, want)
		}
	}
	close(stop)
	<-stopped
}

func TestPanicErrorUnwrapsAnError(t *testing.T) {
	err := fmt.Errorf("handler: %w", &supervisor.PanicError{Value: fmt.Errorf("read: %w", io.EOF), Stack: "stack"})
	if !errors.Is(err, io.EOF) {
		t.Errorf("errors.Is(%v, io.EOF) = false, want true", err)
	}
	var p *supervisor.PanicError
	if !errors.As(err, &p) || p.Stack != "stack" {
		t.Errorf("errors.As found %+v, want the panic with its stack", p)
	}
	for _, value := range []any{nil, "text", 1, []int{1}} {
		if got := errors.Unwrap(&supervisor.PanicError{Value: value}); got != nil {
			t.Errorf("Unwrap() of panic(%v) = %v, want nil", value, got)
		}
	}
}

// A PanicError is used with errors.Is like any error, whatever it holds.
func TestPanicErrorComparesWithAnyValue(t *testing.T) {
	a := &supervisor.PanicError{Value: []int{1}}
	b := &supervisor.PanicError{Value: []int{1}}
	if !errors.Is(a, a) || errors.Is(a, b) {
		t.Error("errors.Is compares panics by their values, want by identity")
	}
}

func TestErrTimeoutIsADeadline(t *testing.T) {
	if !errors.Is(supervisor.ErrTimeout, context.DeadlineExceeded) {
		t.Error("errors.Is(ErrTimeout, context.DeadlineExceeded) = false, want true")
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 0, supervisor.ErrTimeout)
	defer cancel()
	<-ctx.Done()
	if got := context.Cause(ctx); got != supervisor.ErrTimeout {
		t.Errorf("context.Cause = %v, want ErrTimeout", got)
	}
}

func TestErrorsAreDistinctAndNamed(t *testing.T) {
	all := []error{supervisor.ErrTimeout, supervisor.ErrHung, supervisor.ErrGoexit, supervisor.ErrFinished}
	for i, a := range all {
		if !strings.HasPrefix(a.Error(), "supervisor: ") {
			t.Errorf("%q does not name its package", a)
		}
		for j, b := range all {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("errors.Is(%v, %v) = %v", a, b, i != j)
			}
		}
	}
}

func TestCauseOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want supervisor.Cause
	}{
		{io.EOF, supervisor.CauseError},
		{context.DeadlineExceeded, supervisor.CauseError},
		{supervisor.ErrTimeout, supervisor.CauseTimeout},
		{fmt.Errorf("a: %w", errors.Join(io.EOF, supervisor.ErrTimeout)), supervisor.CauseTimeout},
		{(*nilErr)(nil), supervisor.CauseError}, // its methods panic
		{nil, supervisor.CauseError},
	} {
		if got := supervisor.CauseOf(c.err); got != c.want {
			t.Errorf("CauseOf(%T) = %v, want %v", c.err, got, c.want)
		}
	}
}
