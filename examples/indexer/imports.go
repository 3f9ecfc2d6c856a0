package main

import (
	"cmp"
	"go/ast"
	"path"
	"slices"
	"strconv"
)

// Imports is the import graph. A package is a directory here, tests included.
type Imports struct {
	Imported []Imported          `json:"imported"` // by the most packages first
	Graph    map[string][]string `json:"graph"`    // from directory to import paths
}

// Imported says how many packages import a path.
type Imported struct {
	Path     string `json:"path"`
	Packages int    `json:"packages"`
}

func importsOf(tree *ast.File) []string {
	var paths []string
	for _, spec := range tree.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

func newImports(byFile map[string][]string) Imports {
	result := Imports{Imported: []Imported{}, Graph: map[string][]string{}}
	for file, paths := range byFile {
		if len(paths) > 0 {
			dir := path.Dir(file)
			result.Graph[dir] = append(result.Graph[dir], paths...)
		}
	}
	packages := map[string]int{}
	for dir, paths := range result.Graph {
		slices.Sort(paths)
		result.Graph[dir] = slices.Compact(paths)
		for _, p := range result.Graph[dir] {
			packages[p]++
		}
	}
	for p, n := range packages {
		result.Imported = append(result.Imported, Imported{p, n})
	}
	slices.SortFunc(result.Imported, func(a, b Imported) int {
		return cmp.Or(cmp.Compare(b.Packages, a.Packages), cmp.Compare(a.Path, b.Path))
	})
	return result
}
