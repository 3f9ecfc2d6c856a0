package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMain lets the binary of the tests be the process that is killed.
func TestMain(m *testing.M) {
	if os.Getenv("BANK") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// places are where the bank can be: what leads it there.
func places(t *testing.T) map[string]func(t *testing.T) []string {
	all := map[string]func(t *testing.T) []string{
		"jetstream": func(t *testing.T) []string { return []string{"-data", t.TempDir()} },
	}
	switch url := os.Getenv("TROUPE_POSTGRES"); {
	case url != "":
		all["postgres"] = func(*testing.T) []string { return []string{"-postgres", url} }
	case os.Getenv("CI") != "":
		t.Error("TROUPE_POSTGRES is not set: scripts/services start")
	default:
		t.Log("not on PostgreSQL: scripts/services start postgres, and set what it prints")
	}
	return all
}

func TestDemo(t *testing.T) {
	for name, where := range places(t) {
		t.Run(name, func(t *testing.T) { testDemo(t, where(t)) })
	}
}

func testDemo(t *testing.T, where []string) {
	var out strings.Builder
	if err := run(t.Context(), where, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"jane main.Deposit{Cents:10000}: version 2", "refused: the account is open already", "refused: there is no such account",
		"withdraw €100.00 of €74.50", "conflict: account/joe is at version 3, not 2",
		"joe  version 4, repeated: false\n  joe  version 4, repeated: true",
		"jane €79.50\n  joe  €26.00\n  all  €105.50",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not say %q:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "all  €105.50"); n != 3 {
		t.Errorf("the balance is the same %d times, want 3: as it is, after a rebuild, and in another process\n%s", n, out.String())
	}
}

func TestCrash(t *testing.T) {
	for name, where := range places(t) {
		t.Run(name, func(t *testing.T) { testCrash(t, where(t)) })
	}
}

func testCrash(t *testing.T, where []string) {
	var out strings.Builder
	if err := run(t.Context(), append([]string{"-crash", "-kills", "3"}, where...), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(out.String(), "lost 0, twice 0"); n != 3 {
		t.Errorf("%d kills were survived, want 3:\n%s", n, out.String())
	}
	t.Log("\n" + out.String())
}

func TestArguments(t *testing.T) {
	if err := run(t.Context(), []string{"-data", t.TempDir(), "money"}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "money") {
		t.Errorf("run with an unknown argument = %v", err)
	}
}

// TestGuideQuotesTheBank holds that the code in docs/event-sourcing.md is that of this
// program.
func TestGuideQuotesTheBank(t *testing.T) {
	guide, err := os.ReadFile("../../docs/event-sourcing.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(source)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	if len(blocks) == 0 {
		t.Error("the guide has no code")
	}
	for _, b := range blocks {
		if !strings.Contains(code.String(), b[1]) {
			t.Errorf("this is not in the bank:\n%s", b[1])
		}
	}
}
