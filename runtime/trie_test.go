package runtime

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plainMatch is what a pattern means.
func plainMatch(pattern, name string) bool {
	p, n := strings.Split(pattern, "."), strings.Split(name, ".")
	for i, part := range p {
		if part == ">" {
			return len(n) > i
		}
		if i >= len(n) || part != "*" && part != n[i] {
			return false
		}
	}
	return len(p) == len(n)
}

func TestTrieAgreesWithAPlainMatch(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "c"})
	names := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "name"), ".")
	})
	patterns := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "*", "*"}), 0, 4).Draw(t, "pattern")
		if len(parts) == 0 || rapid.Bool().Draw(t, "rest") {
			parts = append(parts, ">")
		}
		return strings.Join(parts, ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		var byName, byPattern trie[string]
		have, want := map[string]int{}, map[string]int{}
		t.Repeat(map[string]func(*rapid.T){
			"add name":    func(t *rapid.T) { n := names.Draw(t, "n"); byName.add(n, n); have[n]++ },
			"add pattern": func(t *rapid.T) { p := patterns.Draw(t, "p"); byPattern.add(p, p); want[p]++ },
			"remove": func(t *rapid.T) {
				p := patterns.Draw(t, "p")
				byPattern.remove(p, func(string) bool { return true })
				delete(want, p)
			},
			"match": func(t *rapid.T) {
				n := names.Draw(t, "n")
				var got, plain []string
				byPattern.matching(n, func(p string) { got = append(got, p) })
				for p, k := range want {
					if plainMatch(p, n) {
						plain = append(plain, slices.Repeat([]string{p}, k)...)
					}
				}
				compare(t, n, got, plain)
			},
			"matched": func(t *rapid.T) {
				p := patterns.Draw(t, "p")
				var got, plain []string
				byName.matched(p, func(n string) { got = append(got, n) })
				for n, k := range have {
					if plainMatch(p, n) {
						plain = append(plain, slices.Repeat([]string{n}, k)...)
					}
				}
				compare(t, p, got, plain)
			},
			"": func(t *rapid.T) {
				if len(want) == 0 && len(byPattern.next) > 0 {
					t.Fatalf("an empty trie has branches: %v", byPattern.next)
				}
			},
		})
	})
}

func compare(t *rapid.T, what string, got, want []string) {
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestValidPattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"orders.*.placed": "", "orders.>": "", ">": "", "*": "", "*.*.>": "",
		"orders.placed": "no wildcard", "": "no wildcard", "a.>.b": "must not go on",
		"a.b*": "inside", "a.>>": "inside", "a..*": "empty part", "a.*.ü": "must not contain",
	} {
		err := validPattern(pattern)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("validPattern(%q) = %v, want %q", pattern, err, want)
		}
	}
}
