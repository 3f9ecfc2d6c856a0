package cli_test

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"github.com/troupe-go/troupe/cmd/troupe/internal/demo"
	"github.com/troupe-go/troupe/ops"
)

func guide(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// blocks returns the blocks of the guide in that language.
func blocks(t *testing.T, language string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(guide(t), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("the guide has no block of %s", language)
	}
	return all
}

// TestGuide runs docs/operations.md: its commands in a shell, one after the other, and
// its SQL on the store, against a demo.
func TestGuide(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	for _, tool := range []string{"bash", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	bin := filepath.Join(t.TempDir(), "troupe")
	if out, err := exec.Command("go", "build", "-o", bin, "../..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	type at struct{ url, store string }
	ready := make(chan at, 1)
	ended := make(chan error, 1)
	var out buffer
	go func() {
		ended <- demo.Run(ctx, demo.Config{Addr: "127.0.0.1:0", Seed: 1, Out: &out, Ready: func(url, _, store string) { ready <- at{url, store} }})
	}()
	var where at
	select {
	case where = <-ready:
	case err := <-ended:
		t.Fatalf("the demo: %v\n%s", err, &out)
	}
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the demo ends with %v", err)
		}
	}()

	script := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-x", "-c", strings.Join(blocks(t, "sh"), "\n"))
	script.Dir = t.TempDir()
	script.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"),
		"TROUPE_SERVER="+where.url, "TROUPE_USER=ada", "TROUPE_STORE=", "STORE="+where.store)
	said, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if n := strings.Count(string(said), "exit code 3"); n < 2 {
		t.Errorf("%d commands exit with 3, as the guide says of two:\n%s", n, said)
	}
	for _, want := range []string{"tax service: GET", "slice bounds out of range", "~ address.postcode", "step 1 of 4 failed", "it adds up", "mail-typos", "tax service answers 502"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	for _, file := range []string{"shipment_letter_test.go", "resolved.jsonl", "all.jsonl"} {
		if info, err := os.Stat(filepath.Join(script.Dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	recipes(t, where.store)
}

// recipes runs the SQL of the guide on a store that a program writes to.
func recipes(t *testing.T, store string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+store+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range blocks(t, "sql") {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Errorf("%v:\n%s", err, query)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil || n == 0 {
			t.Errorf("%d rows, %v:\n%s", n, err, query)
		}
		_ = rows.Close()
	}
}

// TestGuideIsComplete holds that its Go compiles, and that it knows every alert and
// exit code.
func TestGuideIsComplete(t *testing.T) {
	code, err := os.ReadFile("example_operations_test.go")
	if err != nil {
		t.Fatal(err)
	}
	compiled := strings.ReplaceAll(string(code), "\n\t\t", "\n")
	for _, block := range blocks(t, "go") {
		if !strings.Contains(compiled, block) {
			t.Errorf("this is not in example_operations_test.go:\n%s", block)
		}
	}
	text := guide(t)
	for _, kind := range []string{ops.AlertNewGroup, ops.AlertRate, ops.AlertRegression, ops.AlertOldest, ops.AlertFilling, ops.AlertRedriveStopped, ops.AlertStoreFailing} {
		if !strings.Contains(text, "| `"+kind+"` |") {
			t.Errorf("the guide does not tell of the alert %s", kind)
		}
	}
	for _, row := range cli.ExitRows() {
		if !strings.Contains(text, row+"\n") {
			t.Errorf("the guide does not have the row %s", row)
		}
	}
}
