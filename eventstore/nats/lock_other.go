//go:build !unix

package nats

import (
	"errors"
	"os"
)

var errHeld = errors.New("held")

// lock can tell nobody here: that one process only has the folder is for its user to see
// to.
func lock(name string) (*os.File, error) { return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) }
