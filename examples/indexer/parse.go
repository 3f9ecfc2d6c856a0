package main

import (
	"go/parser"
	"go/token"
	"io/fs"

	"github.com/troupe-go/troupe/supervisor"
)

// Parsed is the event on files.parsed: what the collectors need of a file, and not
// its syntax tree. So events that wait take little memory, and one that becomes a
// dead letter can be stored, read and sent back.
type Parsed struct {
	Path         string       `json:"path"`
	Imports      []string     `json:"imports"`
	Declarations Declarations `json:"declarations"`
	Notes        []Note       `json:"notes"`
}

// parse reads and parses a file. What cannot be read may be readable in a moment,
// so that error is retried. What cannot be parsed now never can.
func parse(files fs.FS, f File) (Parsed, error) {
	source, err := fs.ReadFile(files, f.Path)
	if err != nil {
		return Parsed{}, err
	}
	positions := token.NewFileSet()
	tree, err := parser.ParseFile(positions, f.Path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return Parsed{}, supervisor.Permanent(err)
	}
	return Parsed{f.Path, importsOf(tree), declarationsOf(tree), notesOf(positions, tree)}, nil
}
