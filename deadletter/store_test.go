package deadletter_test

import (
	"errors"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
)

func TestLetterErrorNamesTheLetter(t *testing.T) {
	err := error(&deadletter.LetterError{Index: 3, ID: "x", Err: deadletter.ErrTooLarge})
	if got, want := err.Error(), `deadletter: letter is too large (letter "x" at 3)`; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(err, deadletter.ErrTooLarge) {
		t.Error("a LetterError does not unwrap to its Err")
	}
}
