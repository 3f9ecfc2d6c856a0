package eventstore

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Stream names the history of one thing.
type Stream struct {
	// Category is its kind: account. It has letters, digits, '-' and '_'.
	Category string
	// ID is any text in UTF-8 of 1 to 200 bytes.
	ID string
}

// String returns both with a slash between them: account/4711.
func (s Stream) String() string { return s.Category + "/" + s.ID }

const (
	maxName = 100
	maxID   = 200
)

// Validate reports every fault. Errors: [ErrInvalid].
func (s Stream) Validate() error {
	var faults []error
	if err := CheckCategory(s.Category); err != nil {
		faults = append(faults, err)
	}
	if s.ID == "" || len(s.ID) > maxID || !utf8.ValidString(s.ID) || strings.ContainsRune(s.ID, 0) {
		faults = append(faults, fmt.Errorf("Stream.ID %.40q: must be 1 to %d bytes of UTF-8 without a zero", s.ID, maxID))
	}
	return invalid(faults)
}

// CheckCategory returns what is wrong with the name of a category. Errors:
// [ErrInvalid].
func CheckCategory(name string) error {
	if !named(name, "-_") {
		return fmt.Errorf("%w: Stream.Category %.40q: must be 1 to %d letters, digits, '-' and '_'", ErrInvalid, name, maxName)
	}
	return nil
}

// CheckName returns what is wrong with the name of a projection. Errors: [ErrInvalid].
func CheckName(name string) error {
	if !named(name, "-_.") || strings.Trim(name, ".") != name || strings.Contains(name, "..") {
		return fmt.Errorf("%w: name %.40q: must be 1 to %d letters, digits, '-' and '_', in parts joined by dots", ErrInvalid, name, maxName)
	}
	return nil
}

// named reports whether name is of ASCII letters, digits and the marks.
func named(name, marks string) bool {
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

func invalid(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(faults...))
}
