package main

import (
	"go/ast"
	"go/token"
)

// Declarations counts the names declared at the top level, by kind.
type Declarations map[string]int

func declarationsOf(tree *ast.File) Declarations {
	n := Declarations{}
	for _, decl := range tree.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				n["functions"]++
			} else {
				n["methods"]++
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					n["types"]++
				case *ast.ValueSpec:
					if decl.Tok == token.CONST {
						n["constants"] += len(spec.Names)
					} else {
						n["variables"] += len(spec.Names)
					}
				}
			}
		}
	}
	return n
}

func sumDeclarations(byFile map[string]Declarations) Declarations {
	sum := Declarations{}
	for _, declarations := range byFile {
		for kind, n := range declarations {
			sum[kind] += n
		}
	}
	return sum
}
