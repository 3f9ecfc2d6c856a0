// Package paper keeps RESULTS.md, which several commands write: each has a section of
// its own between two marks, and leaves the others as they are.
package paper

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Sections of the paper, in their order.
const (
	InProcess = "in-process" // cmd/report
	Letters   = "letters"    // cmd/letters
	Engines   = "engines"    // cmd/engines
)

var sections = []string{InProcess, Letters, Engines}

// Write puts body in place of a section of the paper at path, which it makes if there
// is none. A section that is not there yet comes at its place in the order of the constants. All other
// bytes stay as they are, and a reader finds the old paper or the new one.
//
// Errors: the section is not known; the marks of one are not a pair, which is for a
// person to repair; those of the file system.
func Write(path, section string, body []byte) error {
	if !slices.Contains(sections, section) {
		return fmt.Errorf("paper: section %q: must be of %v", section, sections)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("paper: %w", err)
	}
	text, err := replace(old, section, body)
	if err != nil {
		return fmt.Errorf("paper: %s: %w", path, err)
	}
	return store(path, text)
}

// Section returns what the paper has between the marks of a section.
func Section(text []byte, section string) ([]byte, error) {
	from, to, found, err := find(text, section)
	if err != nil || !found {
		return nil, err
	}
	from, to = from+len(begin(section)), to-len(end(section))
	return bytes.TrimSpace(text[from:to]), nil
}

func begin(section string) string { return "<!-- begin " + section + " -->\n" }
func end(section string) string   { return "<!-- end " + section + " -->\n" }

// find returns where the section is, with its marks.
func find(text []byte, section string) (from, to int, found bool, err error) {
	first, last := []byte(begin(section)), []byte(end(section))
	n, m := bytes.Count(text, first), bytes.Count(text, last)
	from, to = bytes.Index(text, first), bytes.Index(text, last)
	switch {
	case n == 0 && m == 0:
		return 0, 0, false, nil
	case n != 1 || m != 1 || to < from:
		return 0, 0, false, fmt.Errorf("section %s: its marks %q and %q must be there once each, in this order", section, first[:len(first)-1], last[:len(last)-1])
	}
	return from, to + len(last), true, nil
}

func replace(old []byte, section string, body []byte) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(begin(section))
	b.WriteByte('\n')
	b.Write(bytes.TrimSpace(body))
	b.WriteString("\n\n")
	b.WriteString(end(section))
	if inside, err := nested(b.Bytes()); err != nil || inside != 1 {
		return nil, fmt.Errorf("section %s: its text has marks of sections", section)
	}
	from, to, found, err := find(old, section)
	if err != nil {
		return nil, err
	}
	if found {
		return slices.Concat(old[:from], b.Bytes(), old[to:]), nil
	}
	// Before the next section that is there, or at the end.
	at := len(old)
	for _, other := range sections[slices.Index(sections, section)+1:] {
		from, _, found, err := find(old, other)
		if err != nil {
			return nil, err
		}
		if found {
			at = from
			break
		}
	}
	head, tail := old[:at], old[at:]
	if len(head) > 0 {
		head = slices.Concat(bytes.TrimRight(head, "\n"), []byte("\n\n"))
	}
	if len(tail) > 0 {
		b.WriteByte('\n')
	}
	return slices.Concat(head, b.Bytes(), tail), nil
}

// nested counts the sections of a text.
func nested(text []byte) (n int, err error) {
	for _, s := range sections {
		_, _, found, failed := find(text, s)
		if found {
			n++
		}
		err = errors.Join(err, failed)
	}
	return n, err
}

// store replaces a file by renaming another over it.
func store(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".paper-*")
	if err != nil {
		return fmt.Errorf("paper: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("paper: %w", err), os.Remove(f.Name()))
	}
	return nil
}
