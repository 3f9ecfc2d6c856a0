package main

import (
	"cmp"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// Notes are the marked notes in comments.
type Notes struct {
	Marks map[string]int `json:"marks"` // how many of each
	List  []Note         `json:"list"`  // by file and line
}

// Note is the first line of a marked note.
type Note struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Mark string `json:"mark"`
	Text string `json:"text"`
}

// marked matches a line of a comment that begins with a mark, followed by a colon,
// a name in parentheses, or both: "TODO: x", "TODO(gri) x", "BUG(rsc): x".
var marked = regexp.MustCompile(`^(TODO|BUG|Deprecated)(?::|\([^()]*\):?)\s*(.*)$`)

func notesOf(positions *token.FileSet, tree *ast.File) []Note {
	var notes []Note
	for _, group := range tree.Comments {
		for _, comment := range group.List {
			start := positions.PositionFor(comment.Pos(), false)
			for i, line := range strings.Split(comment.Text, "\n") {
				line = strings.TrimSpace(strings.TrimSuffix(strings.TrimLeft(line, "/* \t"), "*/"))
				if m := marked.FindStringSubmatch(line); m != nil {
					notes = append(notes, Note{File: start.Filename, Line: start.Line + i, Mark: m[1], Text: m[2]})
				}
			}
		}
	}
	return notes
}

func newNotes(byFile map[string][]Note) Notes {
	result := Notes{Marks: map[string]int{}, List: []Note{}}
	for _, notes := range byFile {
		result.List = append(result.List, notes...)
		for _, n := range notes {
			result.Marks[n.Mark]++
		}
	}
	slices.SortStableFunc(result.List, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return result
}
