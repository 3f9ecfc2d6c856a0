package wire

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// Error is the answer of a call that failed.
type Error struct {
	Message string `json:"error"`
	// Code says which error it is, see Codes.
	Code string `json:"code,omitempty"`
	// Field is what is at fault in the request, and Column where in it, from 1.
	Field  string `json:"field,omitempty"`
	Column int    `json:"column,omitempty"`
	// Fix says what to do.
	Fix string `json:"fix,omitempty"`
}

// Code is an error that both sides know by a word.
type Code struct {
	Word   string
	Err    error
	Status int
}

// Codes are the errors that keep their identity on the way.
var Codes = []Code{
	{"not_found", deadletter.ErrNotFound, 404},
	{"not_open", deadletter.ErrNotOpen, 409},
	{"invalid_query", deadletter.ErrInvalidQuery, 400},
	{"too_large", deadletter.ErrTooLarge, 413},
	{"invalid_letter", deadletter.ErrInvalidLetter, 400},
	{"store_closed", deadletter.ErrClosed, 503},
	{"closed", runtime.ErrClosed, 503},
	{"read_only", ops.ErrReadOnly, 403},
	{"desk_closed", ops.ErrClosed, 503},
	{"conflict", ops.ErrConflict, 409},
	{"no_payload", runtime.ErrNoPayload, 409},
	{"unknown_topic", runtime.ErrUnknownTopic, 404},
	{"unknown_subscriber", runtime.ErrUnknownSubscriber, 404},
	{"invalid", ops.ErrInvalid, 400}, // last of the faults of requests: others say more
	{"deadline", context.DeadlineExceeded, 504},
}

// CodeOf returns the code of an error.
func CodeOf(err error) (Code, bool) {
	for _, c := range Codes {
		if errors.Is(err, c.Err) {
			return c, true
		}
	}
	return Code{}, false
}

// ErrorOf returns the error with that code, nil if there is none.
func ErrorOf(word string) error {
	for _, c := range Codes {
		if c.Word == word {
			return c.Err
		}
	}
	return nil
}
