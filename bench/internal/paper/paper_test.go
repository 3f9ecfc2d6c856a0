package paper_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/bench/internal/paper"
)

func write(t *testing.T, path, section, body string) {
	t.Helper()
	if err := paper.Write(path, section, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSectionsAreWrittenByThemselvesAndInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	if err := os.WriteFile(path, []byte("# Results\n\nBy hand.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, path, paper.Engines, "\nengines 1\n\n\n")
	write(t, path, paper.InProcess, "report 1")
	write(t, path, paper.Letters, "letters 1\n")
	write(t, path, paper.InProcess, "report 2\n\nmore")
	want := "# Results\n\nBy hand.\n\n" +
		"<!-- begin in-process -->\n\nreport 2\n\nmore\n\n<!-- end in-process -->\n\n" +
		"<!-- begin letters -->\n\nletters 1\n\n<!-- end letters -->\n\n" +
		"<!-- begin engines -->\n\nengines 1\n\n<!-- end engines -->\n"
	if got := read(t, path); got != want {
		t.Errorf("the paper is\n%s\nwant\n%s", got, want)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".paper-*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if got, err := paper.Section([]byte(want), paper.InProcess); err != nil || string(got) != "report 2\n\nmore" {
		t.Errorf("Section = %q, %v", got, err)
	}
}

func TestWhatOthersWroteStaysToTheByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	others := "odd  \n\n\n\ttext \r\n"
	whole := others + "<!-- begin letters -->\nx\n<!-- end letters -->\n" + others
	if err := os.WriteFile(path, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, path, paper.Letters, "y")
	if got, want := read(t, path), strings.Replace(whole, "\nx\n", "\n\ny\n\n", 1); got != want {
		t.Errorf("the paper is %q, want %q", got, want)
	}
}

func TestAPaperThatIsNotThereIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	write(t, path, paper.Letters, "a")
	if got, want := read(t, path), "<!-- begin letters -->\n\na\n\n<!-- end letters -->\n"; got != want {
		t.Errorf("the paper is %q, want %q", got, want)
	}
}

func TestBrokenMarksAreLeftAlone(t *testing.T) {
	for name, text := range map[string]string{
		"no end":    "<!-- begin letters -->\nx\n",
		"no begin":  "x\n<!-- end letters -->\n",
		"twice":     strings.Repeat("<!-- begin letters -->\n<!-- end letters -->\n", 2),
		"backwards": "<!-- end letters -->\n<!-- begin letters -->\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "RESULTS.md")
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := paper.Write(path, paper.Letters, []byte("y")); err == nil || !strings.Contains(err.Error(), "letters") {
				t.Errorf("Write = %v, want an error that names the section", err)
			}
			if got := read(t, path); got != text {
				t.Errorf("the paper is %q now", got)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	if err := paper.Write(path, "sizes", nil); err == nil || !strings.Contains(err.Error(), "sizes") {
		t.Errorf("Write(sizes) = %v, want an error", err)
	}
	if err := paper.Write(path, paper.Letters, []byte("<!-- end letters -->\n")); err == nil {
		t.Error("a text with marks was written")
	}
}

// The paper of this tree has every section that a command writes, or none of it.
func TestTheCommittedPaperIsWhole(t *testing.T) {
	text := []byte(read(t, "../../RESULTS.md"))
	for _, section := range []string{paper.InProcess, paper.Engines} {
		if body, err := paper.Section(text, section); err != nil || len(body) == 0 {
			t.Errorf("RESULTS.md has no section %s: %v", section, err)
		}
	}
	if _, err := paper.Section(text, paper.Letters); err != nil {
		t.Error(err)
	}
}
