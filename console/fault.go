package console

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/troupe-go/troupe/console/internal/wire"
	"github.com/troupe-go/troupe/deadletter/search"
)

// fault is an error of ours with all that its answer says.
type fault struct {
	status  int
	code    string
	message string
	field   string
	column  int
	fix     string
}

func (f *fault) Error() string { return f.message }

// bad is a parameter that cannot be used.
func bad(field, message, fix string) error {
	return &fault{status: http.StatusBadRequest, code: "invalid", message: message, field: field, fix: fix}
}

func quote(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strconv.Quote(s)
}

// named finds the field in the message of a Config-like error, "Redrive.Rate -1:
// must not be negative".
var named = regexp.MustCompile(`\b([A-Z]\w*)\.([A-Z]\w*(?:\.[A-Z]\w*)*)(?: .*?)?: `)

// answerOf says how an error is answered.
func answerOf(err error) (status int, e wire.Error) {
	e.Message = err.Error()
	var f *fault
	if errors.As(err, &f) {
		return f.status, wire.Error{Message: f.message, Code: f.code, Field: f.field, Column: f.column, Fix: f.fix}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return http.StatusRequestEntityTooLarge, wire.Error{
			Message: "console: the body is larger than " + strconv.FormatInt(large.Limit, 10) + " bytes", Code: "body_too_large",
			Fix: "send less, or raise MaxBody or MaxImport of console.Config",
		}
	}
	status = http.StatusInternalServerError
	if code, ok := wire.CodeOf(err); ok {
		status, e.Code = code.Status, code.Word
	}
	var syntax *search.SyntaxError
	if errors.As(err, &syntax) {
		e.Code, e.Field, e.Column, e.Message = "invalid_query", "query", syntax.Column, syntax.Message
		switch {
		case syntax.Suggestion != "":
			e.Fix = "did you mean " + syntax.Suggestion + "?"
		case len(syntax.Expected) > 0:
			e.Fix = "expected " + strings.Join(syntax.Expected, ", ")
		}
		return http.StatusBadRequest, e
	}
	if m := named.FindStringSubmatch(e.Message); m != nil {
		e.Field = snake(m[2])
		if status == http.StatusInternalServerError {
			status, e.Code = http.StatusBadRequest, "invalid"
		}
	}
	return status, e
}

// snake turns a Go field into its JSON name.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		if 'A' <= r && r <= 'Z' {
			if i > 0 && s[i-1] != '.' && !('A' <= s[i-1] && s[i-1] <= 'Z') {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// bodyFault says what is wrong with a JSON body.
func bodyFault(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ):
		return bad(typ.Field, "console: "+typ.Field+" is a JSON "+typ.Value, "send "+kindOf(typ.Type))
	case errors.As(err, &syntax):
		return &fault{status: http.StatusBadRequest, code: "invalid", column: int(syntax.Offset), message: "console: the body is not JSON: " + syntax.Error(), fix: "send one JSON object"}
	case errors.Is(err, io.EOF):
		return bad("", "console: the body is empty", "send one JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bad("", "console: the body ends in the middle", "send one whole JSON object")
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		field = strings.Trim(field, `"`)
		return bad(field, "console: there is no field "+quote(field), "see api/v1/openapi.json for the fields")
	}
	return bad("", "console: the body cannot be read: "+err.Error(), "send one JSON object")
}
