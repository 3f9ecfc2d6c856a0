package deadletter_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
)

func failed(message string) deadletter.Letter {
	return deadletter.Letter{Subscriber: "billing", Reason: "attempts_exhausted", ErrorTypes: []string{"*errors.errorString"}, Error: message}
}

func TestFingerprintIsTheSameForTheSameFailure(t *testing.T) {
	a, b := failed("order 17: timeout after 1.5s"), failed("order 4711: timeout after 2m0s")
	b.ID, b.Topic, b.Sequence, b.Payload, b.Node, b.AttemptCount = "x", "another topic", 9, []byte("p"), "host", 3
	if deadletter.Fingerprint(a) != deadletter.Fingerprint(b) {
		t.Error("letters of the same failure have different fingerprints")
	}
	if got := deadletter.Fingerprint(a); !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(got) {
		t.Errorf("Fingerprint = %q, want 16 hexadecimal digits", got)
	}
}

func TestFingerprintTellsFailuresApart(t *testing.T) {
	stack := func(frames ...string) string {
		text := "goroutine 7 [running]:\n"
		for _, f := range frames {
			text += f + "(0xc000012345, {0x1, 0x2})\n\t/src/x.go:42 +0x1d\n"
		}
		return text
	}
	seen := map[string]string{}
	for name, change := range map[string]func(*deadletter.Letter){
		"nothing":               func(l *deadletter.Letter) {},
		"another subscriber":    func(l *deadletter.Letter) { l.Subscriber = "mail" },
		"another reason":        func(l *deadletter.Letter) { l.Reason = "permanent" },
		"another type":          func(l *deadletter.Letter) { l.ErrorTypes = []string{"*fs.PathError"} },
		"another inner type":    func(l *deadletter.Letter) { l.ErrorTypes = append(l.ErrorTypes, "syscall.Errno") },
		"another message":       func(l *deadletter.Letter) { l.Error = "not " + l.Error },
		"a stack":               func(l *deadletter.Letter) { l.Stack = stack("main.a", "main.b", "main.c", "main.d") },
		"another top frame":     func(l *deadletter.Letter) { l.Stack = stack("main.x", "main.b", "main.c", "main.d") },
		"another caller":        func(l *deadletter.Letter) { l.Stack = stack("main.a", "main.b", "main.x", "main.d") },
		"text of another field": func(l *deadletter.Letter) { l.Subscriber, l.Reason = "billinga", "ttempts_exhausted" },
	} {
		l := failed("no such order")
		change(&l)
		f := deadletter.Fingerprint(l)
		if other, ok := seen[f]; ok {
			t.Errorf("%q and %q have the same fingerprint", name, other)
		}
		seen[f] = name
	}

	a, b := failed("x"), failed("x")
	a.Stack = stack("main.a", "main.b", "main.c", "main.d")
	b.Stack = strings.ReplaceAll(stack("main.a", "main.b", "main.c", "main.other"), ":42 +0x1d", ":57 +0x9a")
	if deadletter.Fingerprint(a) != deadletter.Fingerprint(b) {
		t.Error("line numbers or calls far below tell letters apart")
	}
}

// Groups outlive the process: notes and acknowledgments hang on these values.
func TestFingerprintIsStable(t *testing.T) {
	l := failed(`open /srv/a.csv: order 17 "x"`)
	l.Stack = "goroutine 1 [running]:\nmain.f(0x1)\n\t/src/x.go:1 +0x1\n"
	if got, want := deadletter.Fingerprint(l), "577f421e660c8cef"; got != want {
		t.Errorf("Fingerprint = %q, want %q: existing groups would fall apart", got, want)
	}
}

func TestTemplate(t *testing.T) {
	for _, tc := range []struct{ message, want string }{
		{"", ""},
		{"connection refused", "connection refused"},
		{"  two \t words\n\n", "two words"},
		{"order 17", "order <n>"},
		{"order 17: 3 items, -5 left, +2.50 EUR, 1e6 more, 1.5e-07", "order <n>: <n> items, <n> left, <n> EUR, <n> more, <n>"},
		{"worker12 of o-4711", "worker<n> of o-<n>"},
		{"v1.2.3 of 2026-11-21T03:04:05Z", "v<n> of <n>-<n>-<n>T<n>:<n>:<n>Z"},
		{"took 1m30.5s, 20µs, 3ms and 5s more", "took <dur>, <dur>, <dur> and <dur> more"},
		{"5 seconds, 5sheep", "<n> seconds, <n>sheep"},
		{"dial tcp 10.0.0.1:5432: i/o timeout", "dial tcp <n>:<n>: i/o timeout"},
		{"read tcp 10.0.0.1:53210->10.0.0.2:443: EOF", "read tcp <n>:<n>-><n>:<n>: EOF"},
		{"at 0xc000012345 and 0XFF", "at <hex> and <hex>"},
		{"commit 1a2b3c4 or deadbeef1, not defaced or facade", "commit <hex> or <hex>, not defaced or facade"},
		{"id 6ba7b810-9dad-11d1-80b4-00c04fd430c8.", "id <uuid>."},
		{"user/6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "user/<uuid>"},
		{"6ba7b810-9dad-11d1-80b4-00c04fd430cz and more text", "<hex>-<n>dad-<n>d<n>-<n>b<n>-<n>c<n>fd<n>cz and more text"},
		{"6ba7b810-9dad-11d1-80b4-00c04fd430c8x", "<hex>-<n>dad-<n>d<n>-<n>b<n>-<n>c<n>fd<n>c<n>x"},
		{"letter 01ARZ3NDEKTSV4RRFFQ69G5FAV", "letter <id>"},
		{`parsing "abc": invalid syntax`, "parsing <str>: invalid syntax"},
		{`"a \"quoted\" name" and ` + "`raw \\`" + ` and 'single'`, "<str> and <str> and <str>"},
		{"can't open the user's file", "can't open the user's file"},
		{"expected 'it's', found 'EOF'", "expected <str>, found <str>"},
		{`an "open quote`, `an "open quote`},
		{"open /srv/data/user-a/in.csv: no such file or directory", "open <path>: no such file or directory"},
		{"./x.go:3:1: expected ';'", "<path>:<n>:<n>: expected <str>"},
		{"src/x.go:3:1 and a/b/c and ~/x", "<path>:<n>:<n> and <path> and <path>"},
		{`C:\dir\in.csv: denied`, "<path>: denied"},
		{"GET https://example.com/a?b=1: 500", "GET <path>=<n>: <n>"},
		{"and/or text/html", "and/or text/html"},
		{"größe 5, 日本 7", "größe <n>, 日本 <n>"},
		{"runtime error: index out of range [5] with length 3", "runtime error: index out of range [<n>] with length <n>"},
		{"<n> <str>", "<n> <str>"},
		{"\xff\xfe 1", "\xff\xfe <n>"},
	} {
		if got := deadletter.Template(tc.message); got != tc.want {
			t.Errorf("template(%q) = %q, want %q", tc.message, got, tc.want)
		}
	}
}

func TestTemplateOfALongMessageIsItsBeginning(t *testing.T) {
	begin := "bad input: " + strings.Repeat("x y ", deadletter.MaxTemplate)
	want := deadletter.Template(begin)
	if len(want) != deadletter.MaxTemplate || !strings.HasPrefix(begin, want) {
		t.Errorf("template has %d bytes: %q", len(want), want)
	}
	for _, end := range []string{"", "z", strings.Repeat("z", 10*deadletter.MaxTemplateInput)} {
		if got := deadletter.Template(begin + end); got != want {
			t.Errorf("template with %d bytes more = %q", len(end), got)
		}
	}
	// One word of any length is one placeholder and stays cheap.
	path := "open /" + strings.Repeat("a/", 10*deadletter.MaxTemplateInput)
	if got := deadletter.Template(path); got != "open <path>" {
		t.Errorf("template of a long path = %q", got)
	}
	// A placeholder at the very end does not exceed the limit.
	for n := range 20 {
		if got := deadletter.Template(strings.Repeat("x", deadletter.MaxTemplate-n) + ` "quoted"`); len(got) > deadletter.MaxTemplate {
			t.Errorf("template has %d bytes", len(got))
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"", "order 17", `"a\"b" 'c' ` + "`d`", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "/a/b:1", `C:\x\y`, "1m30.5s", "0x1", "1e+", "-", "µ", "\xff",
		strings.Repeat(`"`, 50) + strings.Repeat("a/", 50),
	} {
		f.Add(s)
	}
	digit := regexp.MustCompile(`[1-9]`)
	f.Fuzz(func(t *testing.T, message string) {
		got := deadletter.Template(message)
		if len(got) > deadletter.MaxTemplate {
			t.Errorf("template(%q) has %d bytes", message, len(got))
		}
		if again := deadletter.Template(message); again != got {
			t.Errorf("template(%q) = %q, and then %q", message, got, again)
		}
		if strings.ContainsAny(got, "0123456789\t\n\r") {
			t.Errorf("template(%q) = %q: digits or white space remain", message, got)
		}
		// Another number in the same place is the same failure. A sign or an
		// exponent can make a number of what is none, so only digits change.
		other := digit.ReplaceAllString(message, "7")
		if g := deadletter.Template(other); g != got {
			t.Errorf("template(%q) = %q, and template(%q) = %q", message, got, other, g)
		}
	})
}

// A message made to be slow must not be: it comes from outside.
func BenchmarkTemplateHostile(b *testing.B) {
	for name, unit := range map[string]string{
		"quotes": `"`, "apostrophes": "'a ", "escapes": `"\`, "dashes": "a-", "slashes": "/ ", "spaces": " ", "words": "x", "dots": ".", "digits": "1.", "signs": "-1",
	} {
		message := strings.Repeat(unit, deadletter.MaxTemplateInput/len(unit))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				deadletter.Template(message)
			}
		})
	}
}

func TestTopFramesOfARealPanic(t *testing.T) {
	var stack string
	func() {
		defer func() {
			_ = recover()
			stack = string(debug.Stack())
		}()
		new(handler).handle(nil)
	}()
	got := deadletter.TopFrames(stack, 3)
	const pkg = "github.com/troupe-go/troupe/deadletter_test."
	want := []string{pkg + "index", pkg + "(*handler).handle", pkg + "TestTopFramesOfARealPanic.func1"}
	if !slices.Equal(got, want) {
		t.Errorf("topFrames = %q, want %q, of\n%s", got, want, stack)
	}
	// Above the panic there is more than one frame, and below it another panic.
	text := "goroutine 1 [running]:\nmain.a()\n\t/x.go:1\nmain.b()\n\t/x.go:1\nmain.c()\n\t/x.go:1\npanic({0x1, 0x2})\n\t/panic.go:1\n" +
		"main.d(...)\n\t/x.go:1\npanic({0x1?, 0x2?})\n\t/panic.go:1\nmain.f[...](0x1)\n\t/x.go:1\ncreated by main.g in goroutine 1\n\t/x.go:1\n"
	if got, want := deadletter.TopFrames(text, 3), []string{"main.d", "main.f[...]"}; !slices.Equal(got, want) {
		t.Errorf("topFrames = %q, want %q", got, want)
	}
	for _, text := range []string{"", "\n\n", "no stack (at all", "(", "()", "\t\n\t"} {
		if got := deadletter.TopFrames(text, 3); len(got) != 0 {
			t.Errorf("topFrames(%q) = %q, want none", text, got)
		}
	}
}

type handler struct{}

//go:noinline
func (*handler) handle(items []int) int { return index(items, 5) }

//go:noinline
func index(items []int, i int) int { return items[i] }

type cyclic struct{ error }

func (c *cyclic) Unwrap() error { return c }

type panicking struct{ error }

func (panicking) Unwrap() error { panic("boom") }

func TestErrorTypes(t *testing.T) {
	_, noFile := os.Open("/no/such/file")
	loop := &cyclic{errors.New("x")}
	for _, tc := range []struct {
		name string
		err  error
		want []string
	}{
		{"nil", nil, nil},
		{"one", fs.ErrNotExist, []string{"*errors.errorString"}},
		{"chain", fmt.Errorf("index: %w", noFile), []string{"*fmt.wrapError", "*fs.PathError", "syscall.Errno"}},
		{"tree", errors.Join(noFile, fs.ErrClosed), []string{"*errors.joinError", "*fs.PathError", "syscall.Errno", "*errors.errorString"}},
		{"cycle", loop, slices.Repeat([]string{"*deadletter_test.cyclic"}, 32)},
		{"panic", fmt.Errorf("x: %w", panicking{}), []string{"*fmt.wrapError", "deadletter_test.panicking"}},
	} {
		if got := deadletter.ErrorTypes(tc.err); !slices.Equal(got, tc.want) {
			t.Errorf("%s: ErrorTypes = %q, want %q", tc.name, got, tc.want)
		}
	}
}
