package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// emit writes a value as JSON, indented for -o json and as one line for -o jsonl.
func (a *app) emit(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if a.output == "json" {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(a.Out, escape(b.String()))
	return err
}

// escape writes what a terminal may act on, and JSON leaves as it is, as \u escapes:
// such characters are in strings only, so the value stays the same.
func escape(text string) string {
	hostile := func(r rune) bool { return r > '~' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }
	if strings.IndexFunc(text, hostile) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !hostile(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// emitAll writes a page as one value for -o json, and its entries one by one for
// -o jsonl. It reports whether it did.
func emitAll[T any](a *app, page any, entries []T) (bool, error) {
	switch a.output {
	case "json":
		return true, a.emit(page)
	case "jsonl":
		for _, e := range entries {
			if err := a.emit(e); err != nil {
				return true, err
			}
		}
		return true, nil
	}
	return false, nil
}

// plain says whether people read the output.
func (a *app) plain() bool { return a.output == "table" }

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.Out, format, args...) }

// notef tells people something that is no result.
func (a *app) notef(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }

// table writes rows under a head. The last column is cut at the edge of a terminal.
func (a *app) table(head []string, rows [][]string) {
	width := 0
	if a.OutTerminal && a.Size != nil {
		width, _ = a.Size()
	}
	writeTable(a.Out, width, head, rows)
}

func writeTable(w io.Writer, width int, head []string, rows [][]string) {
	if head != nil {
		rows = append([][]string{head}, rows...)
	}
	var widths []int
	for r := range rows {
		for i := range rows[r] {
			rows[r][i] = oneLine(rows[r][i])
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(rows[r][i]))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if width > 0 {
			line = cut(line, width)
		}
		fmt.Fprintln(w, line)
	}
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, n-1)]) + "…"
}

// clean leaves out what would make a terminal do something: events, errors and
// payloads may come from anybody.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError:
			return '\uFFFD'
		}
		return r
	}, s)
}

// oneLine is clean for a cell of a table.
func oneLine(s string) string {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = strings.TrimRight(s[:i], " ") + " …"
	}
	return strings.ReplaceAll(clean(s), "\t", " ")
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(s, "\n", "\n"+by)
}

// ago says how long ago something was.
func (a *app) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := a.Now().Sub(t)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span writes a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// at writes a time in full.
func (a *app) at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if a.utc {
		t = t.UTC()
	} else {
		t = t.Local()
	}
	return t.Format("2006-01-02 15:04:05.000 MST")
}

// spark draws counts.
func spark(counts []int) string {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	marks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, n := range counts {
		if n == 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(marks[(n*len(marks)-1)/most])
	}
	return b.String()
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

// letters counts them in words.
func letters(n int) string {
	if n == 1 {
		return "1 letter"
	}
	return fmt.Sprintf("%d letters", n)
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
