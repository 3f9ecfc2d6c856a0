package cli_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
)

// The pages of the console say the command for what they do: it has to exist, with
// its flags.
func TestCommandsOfThePagesExist(t *testing.T) {
	pages := os.DirFS("../../../../console/assets/js")
	names, err := fs.Glob(pages, "*.js")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v, want the modules of the pages", names, err)
	}
	command := regexp.MustCompile("`troupe (?:\\$\\{[^`]*`([a-z]+) [^`]*`[^}]*'([a-z]+)'\\}|([a-z]+)).*")
	flag := regexp.MustCompile(`--([a-z-]+)`)
	found := 0
	for _, name := range names {
		data, err := fs.ReadFile(pages, name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			for _, part := range strings.Split(line, "{ text:") { // one command for each entry of a menu
				m := command.FindStringSubmatch(part)
				if m == nil {
					continue
				}
				for _, verb := range m[1:] {
					if verb == "" {
						continue
					}
					found++
					cmd, _, err := cli.Root().Find([]string{verb})
					if err != nil {
						t.Errorf("%s says troupe %s: %v", name, verb, err)
						continue
					}
					for _, f := range flag.FindAllStringSubmatch(m[0], -1) {
						if cmd.Flag(f[1]) == nil && cmd.InheritedFlags().Lookup(f[1]) == nil {
							t.Errorf("%s says troupe %s --%s, which is no flag of it", name, verb, f[1])
						}
					}
				}
			}
		}
	}
	if found < 4 {
		t.Errorf("%d commands found in the pages, want show, redrive and fix at least", found)
	}
}
