package deadletter_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// parse is for queries that are known to be right.
func parse(text string) search.Expr {
	e, err := search.Parse(text)
	if err != nil {
		panic(err)
	}
	return e
}

// model is the memory store as one would explain it: a slice in ascending
// order of IDs, searched from one end to the other for everything.
type model struct {
	capacity int
	maxBytes int64
	letters  []deadletter.Letter
	stats    deadletter.MemoryStats
	evicted  []string
}

func (m *model) find(id string) int {
	return slices.IndexFunc(m.letters, func(l deadletter.Letter) bool { return l.ID == id })
}

func (m *model) bytes() (n int64) {
	for _, l := range m.letters {
		n += l.Size()
	}
	return n
}

func (m *model) insert(l deadletter.Letter) {
	l = l.Normalize()
	for len(m.letters) >= m.capacity || m.bytes()+l.Size() > m.maxBytes {
		victim := -1
		for _, s := range []deadletter.State{deadletter.StateDeleted, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateOpen, deadletter.StateRedriving} {
			victim = slices.IndexFunc(m.letters, func(l deadletter.Letter) bool { return l.State == s })
			if victim >= 0 {
				break
			}
		}
		if m.letters[victim].State == deadletter.StateDeleted {
			m.stats.Deleted++
		} else {
			m.evicted = append(m.evicted, m.letters[victim].ID)
			m.stats.Evicted++
		}
		m.letters = slices.Delete(m.letters, victim, victim+1)
	}
	m.letters = append(m.letters, l)
	slices.SortFunc(m.letters, func(a, b deadletter.Letter) int { return strings.Compare(a.ID, b.ID) })
}

func (m *model) tooLarge(l deadletter.Letter) bool { return l.Normalize().Size() > m.maxBytes }

func (m *model) add(letters []deadletter.Letter) error {
	for _, l := range letters {
		if m.tooLarge(l) {
			return deadletter.ErrTooLarge
		}
	}
	for _, l := range letters {
		if m.find(l.ID) < 0 {
			m.insert(l)
			m.stats.Added++
		}
	}
	return nil
}

func (m *model) update(l deadletter.Letter) error {
	at := m.find(l.ID)
	if at < 0 {
		return deadletter.ErrNotFound
	}
	if m.tooLarge(l) {
		return deadletter.ErrTooLarge
	}
	m.letters = slices.Delete(m.letters, at, at+1)
	m.insert(l)
	return nil
}

func (m *model) delete(ids []string) (n int) {
	for _, id := range ids {
		if at := m.find(id); at >= 0 {
			m.letters = slices.Delete(m.letters, at, at+1)
			m.stats.Deleted++
			n++
		}
	}
	return n
}

func (m *model) account() deadletter.Account {
	a := deadletter.Account{
		Added: int64(m.stats.Added), Deleted: int64(m.stats.Deleted), Dropped: int64(m.stats.Evicted), Bytes: m.bytes(),
		Fill: max(float64(len(m.letters))/float64(m.capacity), float64(m.bytes())/float64(m.maxBytes)),
	}
	for _, l := range m.letters {
		*map[deadletter.State]*int64{
			deadletter.StateOpen: &a.Open, deadletter.StateRedriving: &a.Redriving, deadletter.StateResolved: &a.Resolved,
			deadletter.StateArchived: &a.Archived, deadletter.StateDeleted: &a.Deleted,
		}[l.State]++
	}
	return a
}

func (m *model) list(q deadletter.Query) (ids []string, next string, total int) {
	limit := q.Limit
	if limit == 0 {
		limit = deadletter.DefaultLimit
	}
	for _, l := range slices.Backward(m.letters) {
		if !q.Matches(&l) {
			continue
		}
		total++
		switch {
		case q.After != "" && l.ID >= q.After:
		case len(ids) < limit:
			ids = append(ids, l.ID)
		default:
			next = ids[limit-1]
		}
	}
	return ids, next, total
}

func TestMemoryBehavesLikeASlice(t *testing.T) {
	names := rapid.SampledFrom([]string{"", "a", "b", "c"})
	states := rapid.SampledFrom([]deadletter.State{"", deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateDeleted})
	wheres := rapid.SampledFrom([]search.Expr{
		{}, {}, parse("topic:a or sub:b"), parse("-state:open"), parse("state:deleted or reason:c"), parse("size:>1000"), parse("id:*7"),
	})
	rapid.Check(t, func(t *rapid.T) {
		// Few IDs, so that they meet; now and then many, so that the index
		// splits and joins its chunks.
		idSpace := rapid.SampledFrom([]int{12, 60, 3000}).Draw(t, "ids")
		genID := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%04d", rapid.IntRange(0, idSpace).Draw(t, "id")) })
		genLetter := rapid.Custom(func(t *rapid.T) deadletter.Letter {
			return deadletter.Letter{
				ID:         genID.Draw(t, "id"),
				Topic:      names.Draw(t, "topic"),
				Subscriber: names.Draw(t, "subscriber"),
				Reason:     names.Draw(t, "reason"),
				State:      states.Draw(t, "state"),
				Payload:    make([]byte, rapid.SampledFrom([]int{0, 100, 3000, 20_000}).Draw(t, "size")),
			}
		})
		want := &model{
			capacity: rapid.SampledFrom([]int{1, 3, 10, 100_000}).Draw(t, "capacity"),
			maxBytes: rapid.SampledFrom([]int64{5000, 30_000, 1 << 40}).Draw(t, "bytes"),
		}
		var evicted []string
		got := newMemoryRapid(t, deadletter.MemoryConfig{
			Capacity: want.capacity,
			MaxBytes: want.maxBytes,
			OnEvict:  func(l deadletter.Letter) { evicted = append(evicted, l.ID) },
		})
		t.Repeat(map[string]func(*rapid.T){
			"Add": func(t *rapid.T) {
				batch := rapid.SliceOfN(genLetter, 0, 8).Draw(t, "batch")
				if g, w := got.Add(ctx, batch), want.add(batch); !errors.Is(g, w) || (g == nil) != (w == nil) {
					t.Fatalf("Add = %v, want %v", g, w)
				}
			},
			"AddMany": func(t *rapid.T) {
				from, step := rapid.IntRange(0, idSpace).Draw(t, "from"), rapid.SampledFrom([]int{1, -1, 7}).Draw(t, "step")
				var batch []deadletter.Letter
				for i := range min(idSpace/5, 300) {
					id := ((from+i*step)%idSpace + idSpace) % idSpace
					batch = append(batch, deadletter.Letter{ID: fmt.Sprintf("%04d", id)})
				}
				if g, w := got.Add(ctx, batch), want.add(batch); g != nil || w != nil {
					t.Fatalf("Add = %v, want %v", g, w)
				}
			},
			"Update": func(t *rapid.T) {
				l := genLetter.Draw(t, "letter")
				g := got.Update(ctx, l.ID, func(stored *deadletter.Letter) error { *stored = l; return nil })
				if w := want.update(l); !errors.Is(g, w) || (g == nil) != (w == nil) {
					t.Fatalf("Update = %v, want %v", g, w)
				}
			},
			"Change": func(t *rapid.T) {
				ids := rapid.SliceOfNDistinct(genID, 0, 20, rapid.ID[string]).Draw(t, "ids")
				to := genLetter.Draw(t, "letter")
				results, err := got.Change(ctx, ids, func(stored *deadletter.Letter) error {
					to.ID = stored.ID
					*stored = to
					return nil
				})
				if err != nil || len(results) != len(ids) {
					t.Fatalf("Change = %v, %v", results, err)
				}
				for i, id := range ids {
					to.ID = id
					if w := want.update(to); !errors.Is(results[i], w) || (results[i] == nil) != (w == nil) {
						t.Fatalf("Change of %s = %v, want %v", id, results[i], w)
					}
				}
			},
			"IDs": func(t *rapid.T) {
				q := deadletter.Query{State: states.Draw(t, "state"), Where: wheres.Draw(t, "where")}
				ids, err := got.IDs(ctx, q)
				q.Limit = 1 << 30
				w, _, _ := want.list(q)
				slices.Reverse(w)
				if err != nil || !slices.Equal(ids, w) {
					t.Fatalf("IDs(%+v) = %q, %v, want %q", q, ids, err, w)
				}
			},
			"Delete": func(t *rapid.T) {
				ids := rapid.SliceOfN(genID, 0, 20).Draw(t, "ids")
				g, err := got.Delete(ctx, ids...)
				if w := want.delete(ids); g != w || err != nil {
					t.Fatalf("Delete = %d, %v, want %d", g, err, w)
				}
			},
			"Get": func(t *rapid.T) {
				id := genID.Draw(t, "id")
				l, err := got.Get(ctx, id)
				at := want.find(id)
				if at < 0 {
					if !errors.Is(err, deadletter.ErrNotFound) {
						t.Fatalf("Get = %v, want ErrNotFound", err)
					}
					return
				}
				w := want.letters[at]
				if err != nil || l.State != w.State || len(l.Payload) != len(w.Payload) || l.Topic != w.Topic {
					t.Fatalf("Get = %+v, %v, want %+v", l, err, w)
				}
			},
			"List": func(t *rapid.T) {
				q := deadletter.Query{
					Topic:      names.Draw(t, "topic"),
					Subscriber: names.Draw(t, "subscriber"),
					Reason:     names.Draw(t, "reason"),
					State:      states.Draw(t, "state"),
					Where:      wheres.Draw(t, "where"),
					Limit:      rapid.SampledFrom([]int{0, 1, 2, 5, 1000}).Draw(t, "limit"),
				}
				if rapid.Bool().Draw(t, "from the middle") {
					q.After = genID.Draw(t, "after")
				}
				p, err := got.List(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				var ids []string
				for _, l := range p.Letters {
					ids = append(ids, l.ID)
				}
				wantIDs, next, total := want.list(q)
				if !slices.Equal(ids, wantIDs) || p.Next != next || p.Total != total {
					t.Fatalf("List(%+v) = %q, %q, %d, want %q, %q, %d", q, ids, p.Next, p.Total, wantIDs, next, total)
				}
			},
			"": func(t *rapid.T) {
				want.stats.Stored, want.stats.Bytes = uint64(len(want.letters)), want.bytes()
				if g := got.Stats(); g != want.stats || g.Added != g.Stored+g.Evicted+g.Deleted {
					t.Fatalf("Stats() = %+v, want %+v", g, want.stats)
				}
				a, err := got.Account(ctx)
				if err != nil || a != want.account() || a.Check() != nil {
					t.Fatalf("Account = %+v, %v, want %+v", a, err, want.account())
				}
				if !slices.Equal(evicted, want.evicted) {
					t.Fatalf("evicted %q, want %q", evicted, want.evicted)
				}
			},
		})
	})
}

func newMemoryRapid(t *rapid.T, cfg deadletter.MemoryConfig) *deadletter.Memory {
	m, err := deadletter.NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
