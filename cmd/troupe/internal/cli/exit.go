package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/console/client"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// The exit codes, and what they mean.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitPartly      = 3
	ExitNotFound    = 4
	ExitRefused     = 5
	ExitUnreachable = 6
	ExitInterrupted = 130
)

// exits is the one place where the codes are documented.
var exits = []struct {
	Code  int
	About string
}{
	{ExitOK, "done"},
	{ExitFailed, "failed"},
	{ExitUsage, "wrong usage: a flag, an argument or a query; nothing was done"},
	{ExitPartly, "partly done: a redrive stopped by itself, or letters failed, were left or are in doubt"},
	{ExitNotFound, "there is no such letter, group, operation, topic or subscriber"},
	{ExitRefused, "refused: not confirmed, no right to do it, or it has changed meanwhile"},
	{ExitUnreachable, "the server or the store file cannot be reached"},
	{ExitInterrupted, "interrupted by Ctrl-C; an operation that was begun goes on at the server"},
}

func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exits {
		fmt.Fprintf(&b, "  %3d  %s\n", e.Code, e.About)
	}
	return strings.TrimRight(b.String(), "\n")
}

// exitError is an error with its code, and what to do about it.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{code: ExitUsage, err: fmt.Errorf(format, args...)}
}

func refused(hint, format string, args ...any) error {
	return &exitError{code: ExitRefused, err: fmt.Errorf(format, args...), hint: hint}
}

func partly(format string, args ...any) error {
	return &exitError{code: ExitPartly, err: fmt.Errorf(format, args...)}
}

func notFound(hint, format string, args ...any) error {
	return &exitError{code: ExitNotFound, err: fmt.Errorf(format, args...), hint: hint}
}

// exitOf returns the code of an error and a hint.
func exitOf(err error) (code int, hint string) {
	var own *exitError
	var remote *client.Error
	var network *net.OpError
	switch {
	case errors.As(err, &own):
		return own.code, own.hint
	case errors.Is(err, deadletter.ErrNotFound):
		return ExitNotFound, ""
	case errors.Is(err, runtime.ErrUnknownTopic), errors.Is(err, runtime.ErrUnknownSubscriber):
		return ExitNotFound, "see troupe subs"
	case errors.As(err, &remote):
		return exitOfStatus(remote)
	case errors.Is(err, ops.ErrReadOnly):
		return ExitRefused, "this needs a running server: name it with --server"
	case errors.Is(err, ops.ErrConflict), errors.Is(err, deadletter.ErrNotOpen):
		return ExitRefused, ""
	case errors.Is(err, ops.ErrInvalid), errors.Is(err, deadletter.ErrInvalidQuery):
		return ExitUsage, ""
	case errors.As(err, &network), errors.Is(err, syscall.ECONNREFUSED):
		return ExitUnreachable, "is the program running, and --server right? --store FILE reads the store of one that is down"
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "timeout awaiting response headers"):
		return ExitUnreachable, "the server does not answer; --timeout gives it more time"
	}
	return ExitFailed, ""
}

func exitOfStatus(e *client.Error) (code int, hint string) {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ExitRefused, "--token or TROUPE_TOKEN says who you are"
	case http.StatusConflict:
		return ExitRefused, ""
	case http.StatusNotFound:
		if e.Code == "" || e.Code == "no_such_call" {
			return ExitUnreachable, "is the console mounted at that address? --server takes its whole prefix"
		}
		return ExitNotFound, ""
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return ExitUsage, ""
	case http.StatusMisdirectedRequest, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ExitUnreachable, ""
	}
	return ExitFailed, ""
}

// storeErrors are those of a store file that cannot be opened.
func storeExit(err error) error {
	code := ExitUnreachable
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, sqlite.ErrMissing) {
		code = ExitNotFound
	}
	return &exitError{code: code, err: err}
}

// end says what went wrong and returns the exit code.
func (a *app) end(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return ExitOK
	}
	code, hint := exitOf(err)
	var own *exitError
	switch {
	case ctx.Err() != nil && !errors.As(err, &own):
		code, hint = ExitInterrupted, ""
		err = errors.New("interrupted")
	case !a.began && code == ExitFailed: // what cobra says of commands and arguments
		code = ExitUsage
	}
	if !errors.Is(err, errNothing) {
		fmt.Fprintf(a.Err, "troupe: %s\n", clean(err.Error()))
	}
	var syntax *search.SyntaxError
	var remote *client.Error
	if errors.As(err, &remote) && remote.Column > 0 && remote.Field == "query" && a.asked != "" {
		syntax = &search.SyntaxError{Text: a.asked, Column: remote.Column}
	}
	if syntax != nil || errors.As(err, &syntax) {
		fmt.Fprintln(a.Err, indent(syntax.Pointer(), "  "))
		hint = "see troupe help search for the query language"
	}
	if hint != "" {
		fmt.Fprintf(a.Err, "  %s\n", hint)
	}
	if code == ExitUsage && syntax == nil && cmd != nil {
		fmt.Fprintf(a.Err, "  see %s --help\n", cmd.CommandPath())
	}
	return code
}
