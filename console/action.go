package console

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// Right is a kind of thing that a caller may do.
type Right string

// The rights. Without [Config.Authorize] a caller has the first two.
const (
	// Metadata is names, counts, states, times and who did what.
	Metadata Right = "metadata"
	// Payload is what events and handlers say: payloads, headers, errors, panic
	// values, stacks, and searching in them.
	Payload Right = "payload"
	// Control is pausing, resuming and restarting subscribers.
	Control Right = "control"
	// Mutate is whatever changes letters and groups or sends events, and
	// controls operations that do.
	Mutate Right = "mutate"
)

// AllTopics is the Topic of an action on letters of whatever topic, such as a
// redrive of what a query selects.
const AllTopics = "*"

// Action is what a caller wants to do.
type Action struct {
	Right Right
	// Name is the call, such as "redrive" or "pause_subscriber".
	Name string
	// Topic is what it is about: a topic, or the pattern of a subscriber;
	// AllTopics for letters that are not named one by one; empty if it concerns
	// no topic in particular, such as to look at the overview. Of lists, each
	// entry's topic is asked for as well, and what is refused is left out.
	Topic string
}

// errReadOnly is what there is without Config.Authorize.
var errReadOnly = errors.New("console: read-only: nobody may change anything here")

// Token returns an Authorize function that allows everything to requests with
// the header "Authorization: Bearer <token>", and nothing to others. It is for
// programs such as the command line; browsers do not send it. An empty token
// allows nothing.
func Token(token string) func(*http.Request, Action) error {
	return func(r *http.Request, _ Action) error {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			return errors.New("console: the token is missing or wrong")
		}
		return nil
	}
}
