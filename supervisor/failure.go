package supervisor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// Cause says how a call of the user's code failed.
type Cause uint8

const (
	// CauseError is an error that the handler returned. It is the zero value.
	CauseError Cause = iota
	// CausePanic is a panic with any value, including nil.
	CausePanic
	// CauseGoexit is a call of runtime.Goexit, as made by testing.T.FailNow.
	CauseGoexit
	// CauseTimeout is a handler that returned after its deadline, within the grace,
	// or with an error that matches [ErrTimeout].
	CauseTimeout
	// CauseHung is a handler that did not return within deadline and grace.
	// Its goroutine may still be running.
	CauseHung
	// CauseStart is a factory or start hook that failed in any way. No handler
	// was called, so no event is to blame.
	CauseStart
)

var causeNames = []string{"error", "panic", "goexit", "timeout", "hung", "start"}

// String returns the word used in logs, metrics and dead letters: error, panic,
// goexit, timeout, hung or start.
func (c Cause) String() string { return enumName("Cause", causeNames, uint8(c)) }

// Failure is one failed call of the user's code.
type Failure struct {
	// Cause says how the call failed.
	Cause Cause
	// Err is what the handler returned, a [*PanicError], [ErrGoexit], [ErrHung],
	// or [ErrTimeout] joined with what the handler returned late. It may be nil.
	Err error
	// Attempt is the number of the attempt that failed; the first is 1, and
	// anything below counts as 1. A [CauseStart] failure does not look at it.
	Attempt int
}

var (
	// ErrTimeout is the failure of a handler that returned after its deadline,
	// and the cause of the context that ended for it. It wraps
	// [context.DeadlineExceeded].
	ErrTimeout = fmt.Errorf("supervisor: handler deadline: %w", context.DeadlineExceeded)
	// ErrHung is the failure of a handler that did not return within its deadline
	// and the grace after it, and was abandoned.
	ErrHung = errors.New("supervisor: handler hung: abandoned after deadline and grace")
	// ErrGoexit is the failure of a handler that ended its goroutine with
	// runtime.Goexit.
	ErrGoexit = errors.New("supervisor: handler called runtime.Goexit")
)

// CauseOf returns the cause of a failure that a handler has returned as err:
// [CauseTimeout] if [ErrTimeout] is in its chain, else [CauseError]. It survives an
// err whose methods panic, and one that unwraps to itself.
func CauseOf(err error) (c Cause) {
	defer func() {
		if recover() != nil {
			c = CauseError // Policy.Decision reports what is wrong with err
		}
	}()
	walk(err, func(err error) (bool, bool) {
		late := err == ErrTimeout
		if late {
			c = CauseTimeout
		}
		return late, true
	})
	return c
}

// PanicError is a recovered panic. Use it by pointer, which is how errors.As
// finds it.
type PanicError struct {
	// Value is what panic was called with.
	Value any
	// Stack is the stack of the panicking goroutine, trimmed by whoever recovered it.
	Stack string
}

// Error returns "panic: " and the value.
//
// The value is printed as the Go runtime prints it when it dies of a panic:
// errors and Stringers by their method, plain data as it is, anything that holds
// pointers, maps or slices only as its type. Another goroutine may be writing to
// such a value right now, and reading a map that is being written to ends the
// process, which no supervisor could undo.
func (e *PanicError) Error() string {
	switch e.Value.(type) {
	case nil:
		return "panic: nil"
	case error, fmt.Stringer:
		// fmt survives a method that panics.
		return fmt.Sprintf("panic: %v", e.Value)
	}
	if t := reflect.TypeOf(e.Value); !isPlain(t) || t.Size() > maxPlainSize {
		return fmt.Sprintf("panic: (%v)", t)
	}
	return fmt.Sprintf("panic: %+v", e.Value)
}

// Unwrap returns the value when it is an error, so that errors.Is and errors.As
// see the error a handler panicked with.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// maxPlainSize bounds the arrays and structs that are printed in full.
const maxPlainSize = 1 << 10

// isPlain reports whether a value of type t is copied whole into an interface,
// so that printing it reads no memory that someone else can write to. A type
// that contains itself needs a pointer, so the recursion ends.
func isPlain(t reflect.Type) bool {
	switch k := t.Kind(); k {
	case reflect.String:
		return true
	case reflect.Array:
		return isPlain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
		return true
	default:
		return k >= reflect.Bool && k <= reflect.Complex128
	}
}
