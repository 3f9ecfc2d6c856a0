package main

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// count is what is in a tree, counted in one plain loop, without Troupe and
// without anything of the program.
type count struct {
	found        int
	parsed       int
	broken       map[string]string // file to the parser's message
	declarations map[string]int
	imports      map[string][]string // directory to import paths
	importers    map[string]int      // import path to number of directories
	notes        []string            // file:line mark text
}

func countTree(root string) (count, error) {
	c := count{broken: map[string]string{}, declarations: map[string]int{}, imports: map[string][]string{}, importers: map[string]int{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() || filepath.Ext(path) != ".go" {
			return nil
		}
		c.found++
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c.file(filepath.ToSlash(rel), source)
		return nil
	})
	for dir, paths := range c.imports {
		slices.Sort(paths)
		c.imports[dir] = slices.Compact(paths)
		for _, p := range c.imports[dir] {
			c.importers[p]++
		}
	}
	slices.Sort(c.notes)
	return c, err
}

func (c *count) file(name string, source []byte) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		c.broken[name] = err.Error()
		return
	}
	c.parsed++
	dir := name[:max(0, strings.LastIndexByte(name, '/'))]
	if dir == "" {
		dir = "."
	}
	var kind string
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil {
				c.declarations["methods"]++
			} else {
				c.declarations["functions"]++
			}
			return false
		case *ast.GenDecl:
			kind = map[token.Token]string{token.CONST: "constants", token.VAR: "variables", token.TYPE: "types"}[n.Tok]
		case *ast.ImportSpec:
			p, err := strconv.Unquote(n.Path.Value)
			if err != nil {
				panic(err)
			}
			c.imports[dir] = append(c.imports[dir], p)
		case *ast.TypeSpec:
			c.declarations[kind]++
			return false
		case *ast.ValueSpec:
			c.declarations[kind] += len(n.Names)
			return false
		}
		return true
	})
	if strings.Contains(string(source), "TODO") || strings.Contains(string(source), "BUG") || strings.Contains(string(source), "Deprecated") {
		c.comments(name, source)
	}
}

// comments finds the notes with the scanner alone.
func (c *count) comments(name string, source []byte) {
	file := token.NewFileSet().AddFile(name, -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return
		}
		if tok != token.COMMENT {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			line = strings.TrimLeft(line, "/* \t")
			line = strings.TrimSpace(strings.TrimSuffix(line, "*/"))
			if mark, text, ok := note(line); ok {
				at := file.PositionFor(pos, false).Line + i
				c.notes = append(c.notes, noteLine(name, at, mark, text))
			}
		}
	}
}

func note(line string) (mark, text string, ok bool) {
	for _, mark := range []string{"TODO", "BUG", "Deprecated"} {
		rest, ok := strings.CutPrefix(line, mark)
		if !ok || rest == "" {
			continue
		}
		if rest[0] == ':' {
			return mark, strings.TrimSpace(rest[1:]), true
		}
		if end := strings.IndexAny(rest[1:], "()"); rest[0] == '(' && end >= 0 && rest[1+end] == ')' {
			return mark, strings.TrimSpace(strings.TrimPrefix(rest[2+end:], ":")), true
		}
	}
	return "", "", false
}

func noteLine(file string, line int, mark, text string) string {
	return file + ":" + strconv.Itoa(line) + " " + mark + " " + text
}

// agrees compares everything that a summary and a count both say.
func agrees(t *testing.T, s *Summary, want count) {
	t.Helper()
	equal(t, "files found", s.Files.Found, want.found)
	equal(t, "files parsed", s.Files.Parsed, want.parsed)
	equal(t, "files dead-lettered", s.Files.DeadLettered, len(want.broken))
	equal(t, "found", s.Files.Found, s.Files.Parsed+s.Files.DeadLettered+s.Files.Dropped)
	equalMaps(t, "declarations", s.Declarations, want.declarations)

	importers := map[string]int{}
	for _, i := range s.Imports.Imported {
		importers[i.Path] = i.Packages
	}
	equalMaps(t, "importers of", importers, want.importers)
	equal(t, "packages that import", len(s.Imports.Graph), len(want.imports))
	for dir, paths := range want.imports {
		if !slices.Equal(s.Imports.Graph[dir], paths) {
			t.Errorf("imports of %s = %v, want %v", dir, s.Imports.Graph[dir], paths)
		}
	}

	var notes []string
	marks := map[string]int{}
	for _, n := range s.Notes.List {
		notes = append(notes, noteLine(n.File, n.Line, n.Mark, n.Text))
		marks[n.Mark]++
	}
	slices.Sort(notes)
	equal(t, "notes", len(notes), len(want.notes))
	for i := range min(len(notes), len(want.notes)) {
		if notes[i] != want.notes[i] {
			t.Errorf("note %d = %q, want %q", i, notes[i], want.notes[i])
			break
		}
	}
	equalMaps(t, "marks", s.Notes.Marks, marks)

	broken := map[string]string{}
	for _, g := range s.DeadLetters {
		for _, l := range g.Letters {
			broken[l.File] = l.Error
			if g.Reason != "permanent" || l.Subscriber != "parser" {
				t.Errorf("dead letter %+v: reason %s, want permanent, of parser", l, g.Reason)
			}
		}
	}
	equalMaps(t, "dead letter", broken, want.broken)
}

func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func equalMaps[V comparable](t *testing.T, what string, got, want map[string]V) {
	t.Helper()
	equal(t, "number of "+what, len(got), len(want))
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s %s = %v, want %v", what, k, got[k], v)
		}
	}
}
