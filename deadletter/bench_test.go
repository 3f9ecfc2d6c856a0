package deadletter_test

import (
	"fmt"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
)

// full returns a store of 10,000 ordinary letters that has room for no more,
// and the letters.
func full(b *testing.B) (*deadletter.Memory, []deadletter.Letter) {
	b.Helper()
	letters := make([]deadletter.Letter, deadletter.DefaultCapacity)
	for i := range letters {
		letters[i] = typical(i)
	}
	m := newMemory(b, deadletter.MemoryConfig{})
	add(b, m, letters...)
	if got := m.Stats().Stored; got != deadletter.DefaultCapacity {
		b.Fatalf("Stored = %d, want %d", got, deadletter.DefaultCapacity)
	}
	return m, letters
}

// Every letter added to a full store evicts one.
func BenchmarkMemoryAdd(b *testing.B) {
	for _, size := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			m, letters := full(b)
			batch := letters[:size]
			n := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i].ID = deadletter.NewID(day)
				}
				if err := m.Add(ctx, batch); err != nil {
					b.Fatal(err)
				}
				n += uint64(size)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/letter")
			if s := m.Stats(); s.Added != deadletter.DefaultCapacity+n || s.Stored != deadletter.DefaultCapacity || s.Evicted != n {
				b.Errorf("Stats() = %+v after %d letters more", s, n)
			}
		})
	}
}

func BenchmarkMemoryList(b *testing.B) {
	for _, bc := range []struct {
		name  string
		query func([]deadletter.Letter) deadletter.Query
		total int
	}{
		{"newest", func([]deadletter.Letter) deadletter.Query { return deadletter.Query{} }, 10_000},
		{"middle", func(l []deadletter.Letter) deadletter.Query {
			return deadletter.Query{After: l[len(l)/2].ID, State: deadletter.StateOpen}
		}, 10_000},
		{"filtered", func([]deadletter.Letter) deadletter.Query { return deadletter.Query{Subscriber: "billing-3"} }, 1000},
		{"nothing", func([]deadletter.Letter) deadletter.Query { return deadletter.Query{Subscriber: "nobody"} }, 0},
		{"text", func([]deadletter.Letter) deadletter.Query {
			return deadletter.Query{Where: parse(`"no such text anywhere"`)}
		}, 0},
		{"names", func([]deadletter.Letter) deadletter.Query {
			return deadletter.Query{Where: parse(`sub:billing-* -reason:panic attempts:>100`)}
		}, 0},
		{"payload", func([]deadletter.Letter) deadletter.Query {
			return deadletter.Query{Where: parse(`payload.id:nothing`)}
		}, 0},
	} {
		b.Run(bc.name, func(b *testing.B) {
			m, letters := full(b)
			q := bc.query(letters)
			b.ReportAllocs()
			for b.Loop() {
				p, err := m.List(ctx, q)
				if err != nil || p.Total != bc.total || len(p.Letters) != min(bc.total, deadletter.DefaultLimit) {
					b.Fatalf("List = %d letters, Total %d, %v, want Total %d", len(p.Letters), p.Total, err, bc.total)
				}
			}
		})
	}
}

func BenchmarkMemoryGroups(b *testing.B) {
	m, _ := full(b)
	b.ReportAllocs()
	for b.Loop() {
		p, err := m.Groups(ctx, deadletter.GroupQuery{Letters: deadletter.Query{State: deadletter.StateOpen}})
		if err != nil || len(p.Groups) == 0 {
			b.Fatalf("Groups = %d, %v", len(p.Groups), err)
		}
	}
}

func BenchmarkMemoryUpdate(b *testing.B) {
	m, letters := full(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		l := &letters[n%len(letters)]
		n++
		err := m.Update(ctx, l.ID, func(l *deadletter.Letter) error {
			if l.State == deadletter.StateOpen {
				l.State = deadletter.StateResolved
			} else {
				l.State = deadletter.StateOpen
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		deadletter.NewID(day)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	l := typical(1)
	b.ReportAllocs()
	for b.Loop() {
		deadletter.Fingerprint(l)
	}
}
