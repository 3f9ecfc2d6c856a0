package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/troupe-go/troupe/bench"
	"github.com/troupe-go/troupe/bench/internal/paper"
)

// environment is what a figure depends on beside the code.
type environment struct {
	machine  string
	commit   string
	command  string
	date     string
	versions map[string]string // by library name
}

func describe() environment {
	command := strings.Join(append([]string{"go run ./cmd/report"}, os.Args[1:]...), " ")
	return environment{
		machine:  paper.Machine(),
		commit:   paper.Commit(),
		command:  command,
		date:     paper.Date(),
		versions: versions(),
	}
}

func versions() map[string]string {
	byModule := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			byModule[dep.Path] = dep.Version
			if dep.Replace != nil {
				byModule[dep.Path] = "this tree"
			}
		}
	}
	byLibrary := make(map[string]string)
	for _, l := range bench.Libraries() {
		byLibrary[l.Name] = runtime.Version()
		if l.Module != "" {
			byLibrary[l.Name] = byModule[l.Module]
		}
	}
	return byLibrary
}
