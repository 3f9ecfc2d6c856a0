package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/console/client"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// screen is what the program has written to standard error so far.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// A broken file is found in the console, repaired, its letter sent back, and the
// result has the file.
func TestServeUntilRepaired(t *testing.T) {
	dir := tree(t, map[string]string{"good.go": goodFile, "broken.go": "package p\nfunc {"})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var errs screen
	var out strings.Builder
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"-json", "-serve", "localhost:0", dir}, &out, &errs) }()

	indexed := regexp.MustCompile(`(?s)console: (http://\S+)/.*indexed: `)
	var found []string
	for began := time.Now(); found == nil; time.Sleep(10 * time.Millisecond) {
		if found = indexed.FindStringSubmatch(errs.String()); found == nil && time.Since(began) > 30*time.Second {
			t.Fatalf("standard error = %q, want the address and that it has been indexed", errs.String())
		}
	}
	page, err := http.Get(found[1])
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	equal(t, "status of the page", page.StatusCode, http.StatusOK)

	desk, err := client.New(client.Config{URL: found[1]})
	if err != nil {
		t.Fatal(err)
	}
	letters, err := desk.Letters(ctx, "sub:parser state:open", "", 10)
	if err != nil || len(letters.Letters) != 1 {
		t.Fatalf("%+v, %v, want the letter of broken.go", letters, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.go"), []byte(goodFile), 0o644); err != nil {
		t.Fatal(err)
	}
	op, err := desk.Redrive(ctx, ops.By{Why: "repaired"}, ops.Redrive{Scope: ops.Scope{IDs: []string{letters.Letters[0].ID}}})
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); op.State != deadletter.OperationDone; time.Sleep(10 * time.Millisecond) {
		if op, err = desk.Operation(ctx, op.ID); err != nil || time.Since(began) > 30*time.Second {
			t.Fatalf("%+v, %v, want the redrive done", op, err)
		}
	}
	interrupt()
	equal(t, "exit code", <-code, exitOK)
	var s Summary
	if err := json.Unmarshal([]byte(out.String()), &s); err != nil {
		t.Fatal(err)
	}
	equal(t, "files", s.Files, Files{Found: 2, Parsed: 2, DeadLettered: 1, Redriven: 1})
	if len(s.Notes.List) != 2 {
		t.Errorf("notes = %+v, want those of both files", s.Notes.List)
	}
}
