package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// top is how many lines of a list the text shows. -json has all of them.
const top = 10

// text prints the summary for people.
func (s *Summary) text() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(printable(fmt.Sprintf(format, args...)) + "\n") }
	list := func(n int, item func(i int) string) {
		for i := range min(n, top) {
			line("    %s", item(i))
		}
		if n > top {
			line("    and %d more", n-top)
		}
	}
	counts := func(of map[string]int) {
		for _, kind := range slices.Sorted(maps.Keys(of)) {
			line("%9d  %s", of[kind], kind)
		}
	}
	f := s.Files
	if s.Interrupted {
		line("INTERRUPTED: what follows is about the files found by then")
	}
	line("%s: %.1f s, %.0f files/s", s.Dir, s.Seconds, float64(f.Parsed+f.DeadLettered)/s.Seconds)
	if f.Redriven == 0 {
		line("files         %d found = %d parsed + %d dead letters", f.Found, f.Parsed, f.DeadLettered)
	} else {
		line("files         %d found + %d redriven = %d parsed + %d dead letters", f.Found, f.Redriven, f.Parsed, f.DeadLettered)
	}
	if f.Skipped > 0 {
		line("    %d symbolic links and special files passed over", f.Skipped)
	}
	line("declarations")
	counts(s.Declarations)
	line("notes         %d", len(s.Notes.List))
	counts(s.Notes.Marks)
	line("imports       %d packages import %d others", len(s.Imports.Graph), len(s.Imports.Imported))
	list(len(s.Imports.Imported), func(i int) string {
		return fmt.Sprintf("%5d  %s", s.Imports.Imported[i].Packages, s.Imports.Imported[i].Path)
	})
	line("supervision   %d retries, %d restarts", s.Retries, s.Restarts)
	for _, g := range s.DeadLetters {
		line("dead letters  %d %s", len(g.Letters), g.Reason)
		list(len(g.Letters), func(i int) string {
			if l := g.Letters[i]; !strings.Contains(l.Error, l.File) {
				return l.File + ": " + l.Error
			}
			return g.Letters[i].Error
		})
	}
	if s.Evicted > 0 {
		line("              %d older ones are counted but were not kept", s.Evicted)
	}
	if len(s.Unreadable) > 0 {
		line("not read      %d directories", len(s.Unreadable))
		list(len(s.Unreadable), func(i int) string { return s.Unreadable[i] })
	}
	return []byte(b.String())
}

// printable replaces what could command a terminal or fake a line: the names of
// files, and messages about them, are those of whoever wrote the tree.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
