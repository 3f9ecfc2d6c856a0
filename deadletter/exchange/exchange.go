// Package exchange writes dead letters to files and reads them back: to move a
// letter from production to a laptop, to keep a copy outside of the store, or to
// give it to another system.
//
// There are two formats, both with one JSON document per line, so that files can be
// cut, joined and searched with the usual tools:
//
//   - [JSONLines]: a deadletter.Letter as package encoding/json writes it.
//   - [CloudEvents]: a CloudEvents 1.0 event in structured mode, with the payload as
//     its data and what the letter says in extensions that begin with dl.
//
// What was written is read back exactly, to the byte and the nanosecond, in both.
package exchange

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/troupe-go/troupe/deadletter"
)

// The formats.
const (
	JSONLines   = "jsonl"
	CloudEvents = "cloudevents"
)

// MaxLine is the length in bytes of the longest line that is read.
const MaxLine = 64 << 20

// ErrFormat is returned for a format that is not known.
var ErrFormat = errors.New("exchange: unknown format")

// codec turns a letter into a line without its end, and back.
type codec struct {
	encode func(deadletter.Letter) ([]byte, error)
	decode func([]byte) (deadletter.Letter, error)
}

func codecOf(format string) (codec, error) {
	switch format {
	case JSONLines:
		return codec{encodeJSON, decodeJSON}, nil
	case CloudEvents:
		return codec{encodeEvent, decodeEvent}, nil
	}
	return codec{}, fmt.Errorf("%w: %q: must be %q or %q", ErrFormat, format, JSONLines, CloudEvents)
}

// Writer writes letters. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	codec codec
}

// NewWriter returns a writer of the format, or ErrFormat.
func NewWriter(w io.Writer, format string) (*Writer, error) {
	c, err := codecOf(format)
	if err != nil {
		return nil, err
	}
	return &Writer{w, c}, nil
}

// Write writes one letter, in the form in which stores keep it, as one line in one
// call of the underlying writer.
func (w *Writer) Write(l deadletter.Letter) error {
	line, err := w.codec.encode(l.Normalize())
	if err != nil {
		return fmt.Errorf("exchange: letter %q: %w", l.ID, err)
	}
	if _, err := w.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("exchange: letter %q: %w", l.ID, err)
	}
	return nil
}

// LineError is a line that is no letter. Reading goes on behind it.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error names the line and the fault.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// Line is a letter with the number of its line, from 1.
type Line struct {
	Number int
	Letter deadletter.Letter
}

// Read returns the letters of r, one line after the other. For a line that is no
// valid letter the error is a *LineError, and reading goes on; any other error is
// r's or ErrFormat, and the last. Empty lines are left out. Only one line is in
// memory.
func Read(r io.Reader, format string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		c, err := codecOf(format)
		if err != nil {
			yield(Line{}, err)
			return
		}
		b := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			text, long, err := readLine(b)
			if err != nil && err != io.EOF {
				yield(Line{Number: n}, fmt.Errorf("exchange: line %d: %w", n, err))
				return
			}
			text = bytes.TrimSpace(text)
			if n == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff"))
			}
			switch {
			case long:
				if !yield(Line{Number: n}, &LineError{n, fmt.Errorf("longer than %d bytes", MaxLine)}) {
					return
				}
			case len(text) > 0:
				l, lerr := c.decode(text)
				if lerr == nil {
					lerr = l.Validate()
				}
				line := Line{Number: n}
				if lerr != nil {
					lerr = &LineError{n, lerr}
				} else {
					line.Letter = l.Normalize()
				}
				if !yield(line, lerr) {
					return
				}
			}
			if err == io.EOF {
				return
			}
		}
	}
}

// readLine reads up to the end of the line. Of one that is longer than MaxLine
// nothing is kept.
func readLine(r *bufio.Reader) (line []byte, long bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if long = long || len(line)+len(part) > MaxLine; long {
			line = nil
		} else {
			line = append(line, part...)
		}
		if err != bufio.ErrBufferFull {
			return line, long, err
		}
	}
}

// decodeStrict decodes one JSON document. A field that is not known is an error: to
// leave it out would be to lose what it says.
func decodeStrict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind the JSON document")
	}
	return nil
}
