package runtime

import (
	"errors"
	"fmt"
	"strings"
)

// maxName bounds names, which become metric labels, file names and URLs.
const maxName = 200

// CheckName returns what is wrong with a name that people will refer to something
// by. It is how package topics checks those that are not the runtime's.
func CheckName(name string) error { return validName(name) }

// validName returns what is wrong with the name of a runtime, topic, subscriber
// or group: parts of letters, digits, '-' and '_', joined by single dots.
func validName(name string) error {
	if name == "" {
		return errors.New("must not be empty")
	}
	if len(name) > maxName {
		return fmt.Errorf("must not be longer than %d bytes", maxName)
	}
	if IsPattern(name) {
		return errors.New(`must not contain "*" or ">": these are for patterns, which can be subscribed to only`)
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" {
			return errors.New("must not have an empty part between dots")
		}
		for _, r := range part {
			if !strings.ContainsRune("-_", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return fmt.Errorf("must not contain %q; use letters, digits, '-', '_', and dots between parts", r)
			}
		}
	}
	return nil
}
