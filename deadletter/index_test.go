package deadletter

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The chunks are not visible from outside, so their rules are checked here,
// against an array with a place for every ID. An entry's size is its place.
func TestIndexKeepsItsRules(t *testing.T) {
	const space = 12_000
	var entries [space]*entry
	for n := range entries {
		entries[n] = &entry{letter: Letter{ID: fmt.Sprintf("%05d", n)}, size: int64(n)}
	}
	genID := rapid.IntRange(0, space-1)
	genFrom, genStep := rapid.IntRange(2000, space-2000), rapid.SampledFrom([]int{1, -1, 3, -5})

	rapid.Check(t, func(t *rapid.T) {
		var x index
		var in [space]bool
		size := 0
		set := func(n int, want bool) {
			switch {
			case in[n] == want:
				return
			case want:
				x.insert(entries[n])
				size++
			default:
				x.remove(entries[n])
				size--
			}
			in[n] = want
		}
		// below returns the highest ID in the set below n.
		below := func(n int) *entry {
			for n--; n >= 0; n-- {
				if in[n] {
					return entries[n]
				}
			}
			return nil
		}
		run := func(want bool) func(*rapid.T) {
			return func(t *rapid.T) {
				from, step := genFrom.Draw(t, "from"), genStep.Draw(t, "step")
				for i := range 400 {
					set(from+i*step, want)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert":     func(t *rapid.T) { set(genID.Draw(t, "n"), true) },
			"remove":     func(t *rapid.T) { set(genID.Draw(t, "n"), false) },
			"insert run": run(true),
			"remove run": run(false),
			"remove first": func(t *rapid.T) {
				for range min(size, 100) {
					n := int(x.first().size)
					if below(n) != nil {
						t.Fatalf("first() = %d, and there are lower ones", n)
					}
					set(n, false)
				}
			},
			"": func(t *rapid.T) {
				for i, c := range x.chunks {
					if len(c) == 0 || len(c) > chunkSize {
						t.Fatalf("a chunk of %d entries", len(c))
					}
					if i > 0 && len(x.chunks[i-1])+len(c) <= chunkSize/2 {
						t.Fatalf("neighbors of %d and %d entries", len(x.chunks[i-1]), len(c))
					}
				}
				if x.n != size || (x.first() == nil) != (size == 0) {
					t.Fatalf("n = %d, first() = %v, want %d entries", x.n, x.first(), size)
				}
				r := x.before("")
				for n := space; ; {
					want := below(n)
					if r.entry != want {
						t.Fatalf("the reader stands at %v, want %v", r.entry, want)
					}
					if want == nil {
						break
					}
					n = int(want.size)
					r.next()
				}
				after := genID.Draw(t, "after")
				if got, want := x.before(entries[after].letter.ID).entry, below(after); got != want {
					t.Fatalf("before(%d) = %v, want %v", after, got, want)
				}
			},
		})
	})
}
