package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/troupe-go/troupe/console/internal/wire"
)

// Error is what the console answered to a request that did not succeed.
type Error struct {
	Status  int    // of HTTP
	Message string //
	Code    string // one word, such as read_only or not_found
	Field   string // of the request, that is at fault
	Column  int    // in the field, from 1; 0 is not known
	Fix     string // what to do
}

// Error returns the message, and what to do.
func (e *Error) Error() string {
	if e.Fix == "" {
		return e.Message
	}
	return e.Message + " (" + e.Fix + ")"
}

// Unwrap returns the error that Code stands for, nil if it stands for none.
func (e *Error) Unwrap() error { return wire.ErrorOf(e.Code) }

func readError(resp *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var w wire.Error
	if json.Unmarshal(data, &w) != nil || w.Message == "" {
		return &Error{
			Status: resp.StatusCode, Message: fmt.Sprintf("client: %s answered %s", resp.Request.URL.Redacted(), resp.Status),
			Fix: "see whether a console is there",
		}
	}
	return &Error{Status: resp.StatusCode, Message: w.Message, Code: w.Code, Field: w.Field, Column: w.Column, Fix: w.Fix}
}
