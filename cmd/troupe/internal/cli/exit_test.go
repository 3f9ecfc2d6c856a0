package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
)

// TestExitCodes holds the codes that the help promises, and that what went wrong is
// said with what to do about it.
func TestExitCodes(t *testing.T) {
	w := newWorld(t)
	ids := w.fail(3)
	nothing := map[string]string{}
	with := func(kv ...string) map[string]string {
		m := map[string]string{"TROUPE_SERVER": w.url, "TROUPE_TOKEN": token}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, c := range []struct {
		args string
		env  map[string]string
		code int
		says string
	}{
		{"groups", with(), cli.ExitOK, ""},
		{"groups", nothing, cli.ExitUsage, "--server"},
		{"groups --server x --store y", nothing, cli.ExitUsage, "name one of them"},
		{"groups --store " + w.file, nothing, cli.ExitOK, ""},
		{"groups", map[string]string{"TROUPE_STORE": w.file}, cli.ExitOK, ""},
		{"verify --server unix://" + w.socket, with(), cli.ExitOK, ""},
		{"verify --server unix://" + w.socket + "?prefix=/", with(), cli.ExitOK, ""},
		{"verify --server unix:relative.sock", with(), cli.ExitUsage, "three slashes"},
		{"pause payment --store " + w.file, nothing, cli.ExitUsage, "for looking only"},
		{"tree --store " + w.file, nothing, cli.ExitRefused, "running server"},
		{"groups --store " + filepath.Join(t.TempDir(), "no.db"), nothing, cli.ExitNotFound, "no.db"},
		{"groups --server 127.0.0.1:1", nothing, cli.ExitUnreachable, "is the program running"},
		{"groups --server unix:///no/such.sock", nothing, cli.ExitUnreachable, "is the program running"},
		{"groups --server ftp://x", nothing, cli.ExitUsage, "--server"},
		{"groups", with("TROUPE_TOKEN", "wrong"), cli.ExitRefused, "TROUPE_TOKEN"},
		{"groups --server " + strings.TrimSuffix(w.url, "ops/"), with(), cli.ExitUnreachable, "mounted"},
		{"nonsense", with(), cli.ExitUsage, "unknown command"},
		{"ls --nonsense", with(), cli.ExitUsage, "unknown flag"},
		{"ls -o yaml", with(), cli.ExitUsage, "table, json or jsonl"},
		{"show", with(), cli.ExitUsage, "requires at least 1 arg"},
		{"ls topic:(", with(), cli.ExitUsage, "troupe help search"},
		{"ls topic:( --store " + w.file, nothing, cli.ExitUsage, "^"},
		{"ls -l 5000", with(), cli.ExitUsage, "5000"},
		{"show 01NOPE", with(), cli.ExitNotFound, "begins with 01NOPE"},
		{"show 01ZZZZZZZZZZZZZZZZZZZZZZZZ", with(), cli.ExitNotFound, "not found"},
		{"show " + ids[0][:8], with(), cli.ExitUsage, "write more of it"},
		{"groups show zzzz", with(), cli.ExitNotFound, ""},
		{"ops show 01ZZ", with(), cli.ExitNotFound, "troupe ops"},
		{"ops cancel 01ZZZZZZZZZZZZZZZZZZZZZZZZ", with(), cli.ExitNotFound, ""},
		{"pause nobody", with(), cli.ExitNotFound, "troupe subs"},
		{"pause orders.placed/nobody", with(), cli.ExitNotFound, ""},
		{"redrive", with(), cli.ExitUsage, "say which letters"},
		{"redrive --query * " + ids[0], with(), cli.ExitUsage, "in one way only"},
		{"redrive --query * --steps 1,x", with(), cli.ExitUsage, "percentages"},
		{"redrive --query * --steps 5,1 --yes", with(), cli.ExitUsage, "Steps"},
		{"redrive --query * --canary --steps 5,100", with(), cli.ExitUsage, "choose one"},
		{"redrive --query topic:none --yes", with(), cli.ExitNotFound, "no letters"},
		{"redrive --query *", with(), cli.ExitRefused, "--yes"},
		{"redrive --query * --yes", with(), cli.ExitPartly, "3 failed"},
		{"fix no-such --query * --yes", with(), cli.ExitUsage, "leave-ch"},
		{"rm --query *", with(), cli.ExitRefused, "--yes --confirm 3"},
		{"rm --query * --yes", with(), cli.ExitRefused, "--yes --confirm 3"},
		{"rm --query * --yes --confirm 7", with(), cli.ExitRefused, "there are 3 letters"},
		{"archive --query *", with(), cli.ExitRefused, "--yes"},
		{"snooze " + ids[0], with(), cli.ExitUsage, "--for or --until"},
		{"edit " + ids[0], with(), cli.ExitUsage, "--set"},
		{"edit " + ids[0] + " --set id=x --yes", with(), cli.ExitUsage, "id"},
		{"edit " + ids[0] + " --set id.x.y=1 --yes", with(), cli.ExitUsage, "no parts"},
		{"restore " + ids[0], with(), cli.ExitPartly, "left"},
		{"import " + filepath.Join(t.TempDir(), "no.jsonl") + " --yes", with(), cli.ExitFailed, "no.jsonl"},
		{"top --every 1ns", with(), cli.ExitUsage, "--every"},
	} {
		r := run(context.Background(), c.env, "", false, strings.Fields(c.args)...)
		if r.code != c.code {
			t.Errorf("troupe %s: exit code %d, want %d: %s", c.args, r.code, c.code, r.err)
		}
		if !strings.Contains(r.err, c.says) {
			t.Errorf("troupe %s says %q, want %q in it", c.args, r.err, c.says)
		}
		if (c.code == cli.ExitOK) == strings.Contains(r.err, "troupe: ") {
			t.Errorf("troupe %s: exit code %d and says %q", c.args, r.code, r.err)
		}
	}
}

// TestEveryCommandHasHelp holds that each one says what it does, with an example, and
// that the commands of the issue are there.
func TestEveryCommandHasHelp(t *testing.T) {
	names := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" {
			names[c.Name()] = true
			return
		}
		names[c.Name()] = true
		if c.Short == "" {
			t.Errorf("%s: no Short", c.CommandPath())
		}
		if c.Example == "" {
			t.Errorf("%s: no Example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root := cli.Root()
	walk(root)
	root.InitDefaultCompletionCmd("completion")
	for _, name := range strings.Fields(`groups ls show tail search redrive ops edit fix archive restore rm snooze resolve stats export import
		verify tree subs pause resume restart audit top demo gotest version`) {
		if !names[name] {
			t.Errorf("there is no troupe %s", name)
		}
	}
}

// TestExamplesParse holds that the examples of the help name commands and flags that
// exist.
func TestExamplesParse(t *testing.T) {
	line := regexp.MustCompile(`(?m)^\s*(?:.*\| )?troupe (.*)$`)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, m := range line.FindAllStringSubmatch(c.Example, -1) {
			words := shellWords(t, m[1])
			found, rest, err := cli.Root().Find(words)
			if err != nil || found.Name() == "troupe" {
				t.Errorf("%s: example %q names no command: %v", c.CommandPath(), m[1], err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), m[1], err)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cli.Root())
}

// shellWords splits a line as a shell does, until a pipe, a redirection or a comment
// behind several blanks.
func shellWords(t *testing.T, line string) (words []string) {
	t.Helper()
	var word strings.Builder
	in, quote := false, rune(0)
	end := func() {
		if in {
			words = append(words, word.String())
			word.Reset()
			in = false
		}
	}
	if i := strings.Index(line, "    "); i >= 0 {
		line = line[:i]
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ':
			end()
		case r == '|' || r == '>':
			end()
			return words
		default:
			word.WriteRune(r)
			in = true
		}
	}
	end()
	if quote != 0 {
		t.Errorf("%s: a quote is open", line)
	}
	return words
}

// TestCompletionScripts holds that the shells get theirs.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := run(context.Background(), nil, "", false, "completion", shell); r.code != cli.ExitOK || !strings.Contains(r.out, "troupe") {
			t.Errorf("troupe completion %s: exit code %d, %d bytes", shell, r.code, len(r.out))
		}
	}
}

// TestDynamicCompletion holds what a Tab offers.
func TestDynamicCompletion(t *testing.T) {
	w := newWorld(t)
	ids := w.fail(2)
	for _, c := range []struct{ line, want string }{
		{"show ", ids[1]},
		{"redrive " + ids[0] + " ", ids[1]},
		{"pause orders", "orders.placed/payment"},
		{"fix le", "leave-ch\tmoves everybody to LI"},
		{"redrive --group ", firstGroup(w)},
		{"groups show ", firstGroup(w)},
		{"groups -o ", "jsonl"},
		{"archi", "archive"},
		{"ls to", "topic:\t"},
		{"ls topic:", "topic:orders.placed\n"},
		{"ls sub:payment state:o", "state:open\n"},
		{"ls -- sub:payment -stat", "-state:\t"},
		{"ls payl", "payload.\t"},
		{"groups sub:", "sub:payment\n"},
		{"redrive --query sub:", "sub:payment\n"},
		{"export -q state:open|reason:", "state:open reason:attempts_exhausted\n"},
		{"ls payload.country:", ":4\n"}, // nothing, and no names of files
	} {
		words := strings.Split(c.line, " ")
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "|", " ") // the shell had it in quotes
		}
		r := run(context.Background(), w.env, "", false, append([]string{"__complete"}, words...)...)
		if r.code != cli.ExitOK || !strings.Contains(r.out, c.want) {
			t.Errorf("troupe %s: %+v, want %q", c.line, r, c.want)
		}
	}
	if r := run(context.Background(), nil, "", false, "__complete", "show", ""); r.code != cli.ExitOK {
		t.Errorf("without a server: %+v", r)
	}
	// The language itself needs nobody.
	if r := run(context.Background(), nil, "", false, "__complete", "ls", "state:re"); r.code != cli.ExitOK || !strings.Contains(r.out, "state:redriving\n") || !strings.Contains(r.out, "state:resolved\n") {
		t.Errorf("a query without a server: %+v", r)
	}
	// A field wants its value at once, a value is followed by a blank: 4 is no file, 6
	// no blank either.
	for word, want := range map[string]string{"reas": ":6\n", "state:ope": ":4\n"} {
		if r := run(context.Background(), nil, "", false, "__complete", "ls", word); !strings.Contains(r.out, want) {
			t.Errorf("ls %s: %q, want %q", word, r.out, want)
		}
	}
}

// TestTokenInTheClear holds that nobody sends a token over the network without being
// told.
func TestTokenInTheClear(t *testing.T) {
	for server, want := range map[string]bool{"http://192.0.2.1:1/": true, "http://127.0.0.1:1/": false, "http://localhost:1/": false, "https://192.0.2.1:1/": false} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		r := run(ctx, map[string]string{"TROUPE_TOKEN": token}, "", false, "groups", "--server", server)
		cancel()
		if got := strings.Contains(r.err, "unencrypted"); got != want {
			t.Errorf("with %s it says %q", server, r.err)
		}
		if strings.Contains(r.err, token) {
			t.Errorf("with %s it tells the token: %q", server, r.err)
		}
	}
}

// TestExportFile holds that a file appears whole, and for its owner only.
func TestExportFile(t *testing.T) {
	w := newWorld(t)
	w.fail(3)
	file := filepath.Join(t.TempDir(), "letters.jsonl")
	w.ok("export", "--query", "*", "--file", file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file is %v, %v", info, err)
	}
	data, _ := os.ReadFile(file)
	if n := strings.Count(string(data), "\n"); n != 3 {
		t.Errorf("an export of 3 letters has %d lines", n)
	}
	w.ok("rm", "--query", "*", "--yes", "--confirm", "3")
	if r := run(context.Background(), w.env, string(data), false, "import", "-"); r.code != cli.ExitOK || !strings.Contains(r.out, "3 were there already") {
		t.Errorf("an import of what is there: %+v", r)
	}
	other := newWorld(t)
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, append(data, "nonsense\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := other.run("import", bad, "--dry-run"); r.code != cli.ExitPartly || !strings.Contains(r.out, "3 letters would be added, 0 are there already") || !strings.Contains(r.err, "line 4: ") {
		t.Errorf("a dry run of an import: %+v", r)
	}
	if r := run(context.Background(), nil, "", false, "import", file, "-n", "--store", w.file); r.code != cli.ExitOK || !strings.Contains(r.out, "0 letters would be added, 3 are there already") {
		t.Errorf("a dry run of an import over a file: %+v", r)
	}
	if out := other.ok("search", "*", "--count"); strings.TrimSpace(out) != "0" {
		t.Errorf("after dry runs there are %s letters", out)
	}
	if out := w.ok("audit", "--action", "export"); !strings.Contains(out, "ada") || !strings.Contains(out, "*") {
		t.Errorf("the audit trail says %q of the export", out)
	}
	if out := other.ok("import", file, "--yes"); !strings.Contains(out, "3 letters added") {
		t.Errorf("an import elsewhere says %q", out)
	}
	if out := other.ok("search", "imported:*", "--count"); strings.TrimSpace(out) != "3" {
		t.Errorf("%s letters are marked as imported, want 3", out)
	}
}
