package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// openTree returns the files below dir, or below the standard library's directory
// if dir is empty. That one it asks the go command for: a program does not know
// where the Go that built it is now.
func openTree(ctx context.Context, dir string) (string, fs.FS, error) {
	if dir == "" {
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return "", nil, fmt.Errorf("no directory given, and \"go env GOROOT\" does not say where the standard library is (%w): install Go, or name a directory", err)
		}
		dir = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("%s: no such directory: check the path", dir)
	case err != nil:
		return "", nil, fmt.Errorf("%w: choose a directory that you may read", err)
	case !info.IsDir():
		return "", nil, fmt.Errorf("%s: is a file: name the directory that it is in, %s", dir, filepath.Dir(dir))
	}
	return dir, os.DirFS(dir), nil
}

// File is the event on files.found. Its path is slash-separated, from the root of
// the tree.
type File struct {
	Path string `json:"path"`
}

// walk is one way through a tree, and what it met.
type walk struct {
	found      int
	skipped    int      // symbolic links, and special files that are named like Go files
	unreadable []string // directories, with the reason
}

// run gives every regular Go file to publish, in lexical order, until ctx ends. A
// directory that cannot be read is noted, unless it is the root itself.
func (w *walk) run(ctx context.Context, files fs.FS, publish func(context.Context, File) error) error {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return fs.SkipAll
		case err != nil && path == ".":
			return fmt.Errorf("%w: choose a directory that you may read", err)
		case err != nil:
			w.unreadable = append(w.unreadable, err.Error())
			return nil
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			if d.Type()&fs.ModeSymlink != 0 || strings.HasSuffix(path, ".go") {
				w.skipped++
			}
			return nil
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		// This waits while the parser is busy, so memory is bounded.
		if err := publish(ctx, File{Path: path}); err != nil {
			if ctx.Err() != nil {
				return fs.SkipAll
			}
			return err
		}
		w.found++
		return nil
	})
}
