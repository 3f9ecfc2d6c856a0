package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/troupe-go/troupe/console"
)

// staff are those who may look at the console, by name.
type staff map[string]person

type person struct {
	password [sha256.Size]byte
	operator bool
}

// parseStaff reads name:password:role, separated by spaces. A real application asks
// its identity provider instead, and never has passwords in its environment.
func parseStaff(text string) (staff, error) {
	who := staff{}
	for i, entry := range strings.Fields(text) {
		parts := strings.Split(entry, ":")
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
			return nil, fmt.Errorf("entry %d: must be name:password:role", i+1) // without the password
		}
		if parts[2] != "operator" && parts[2] != "viewer" {
			return nil, fmt.Errorf("entry %d, %s: role %q: must be operator or viewer", i+1, parts[0], parts[2])
		}
		if _, twice := who[parts[0]]; twice {
			return nil, fmt.Errorf("entry %d, %s: is there twice", i+1, parts[0])
		}
		who[parts[0]] = person{sha256.Sum256([]byte(parts[1])), parts[2] == "operator"}
	}
	if len(who) == 0 {
		return nil, errors.New("must name who may look at the console, as in ada:secret:operator")
	}
	return who, nil
}

// of returns who sends the request.
func (who staff) of(r *http.Request) (name string, p person, ok bool) {
	name, password, given := r.BasicAuth()
	p, known := who[name]
	sum := sha256.Sum256([]byte(password))
	// The same work whether the name is known or not.
	same := subtle.ConstantTimeCompare(sum[:], p.password[:]) == 1
	return name, p, given && known && same
}

// login asks for name and password.
func (who staff) login(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := who.of(r); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="operations", charset="UTF-8"`)
			http.Error(w, "name and password, please", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authorize is the console's question for every action.
func (who staff) authorize(r *http.Request, a console.Action) error {
	name, p, ok := who.of(r)
	switch {
	case !ok:
		return errors.New("log in")
	case p.operator || a.Right == console.Metadata:
		return nil
	}
	return fmt.Errorf("%s is a viewer: %s is for operators", name, a.Name)
}

// name is who is written into the audit trail.
func (who staff) name(r *http.Request) string {
	name, _, _ := who.of(r)
	return name
}
