package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// model is a partition without any cleverness: all of its records, in a list.
type model struct {
	records []modelRecord
	base    int64
}

type modelRecord struct {
	offset          int64
	handed, settled bool
	back            bool
	attempts, marks int
	delivery        *engine.Delivery
}

// watermark is the first that is not settled, or after the last.
func (m *model) watermark() int64 {
	at := m.base
	for _, r := range m.records {
		if !r.settled {
			return r.offset
		}
		at = r.offset + 1
	}
	return at
}

// TestWatermark holds a partition to its model, in which a commit is never past a
// record that is not settled, and what it notes to what the next owner reads.
func TestWatermark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(0, 1000).Draw(t, "base")
		m := &model{base: base}
		p := newPartition(context.Background(), nil, 0)
		p.passed = base
		next := base
		find := func(wanted func(r *modelRecord) bool) *modelRecord {
			var fit []*modelRecord
			for i := range m.records {
				if wanted(&m.records[i]) {
					fit = append(fit, &m.records[i])
				}
			}
			if len(fit) == 0 {
				t.Skip("none")
			}
			return rapid.SampledFrom(fit).Draw(t, "record")
		}
		handed := func(r *modelRecord) bool { return r.handed }
		slotOf := func(r *modelRecord) (uint64, *slot) {
			seq, s := p.find(r.offset)
			if s == nil || s.offset != r.offset {
				t.Fatalf("find(%d) = %v", r.offset, s)
			}
			return seq, s
		}
		t.Repeat(map[string]func(*rapid.T){
			"fetch": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					next += rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, 1, 2, 300}).Draw(t, "gap")
					mark := rapid.IntRange(0, 19).Draw(t, "mark") == 0
					message := &kgo.Record{Offset: next}
					if mark {
						message.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Control: true})
					}
					if p.add(message) == mark {
						t.Fatalf("add(%d) = %v", next, !mark)
					}
					m.records = append(m.records, modelRecord{offset: next, settled: mark})
					next++
				}
			},
			"hand out": func(t *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(t, "n") {
					_, s := p.nextFresh()
					want := -1
					for i := range m.records {
						if r := &m.records[i]; r.attempts == 0 && !r.settled {
							want = i
							break
						}
					}
					if (s == nil) != (want < 0) || s != nil && s.offset != m.records[want].offset {
						t.Fatalf("nextFresh = %+v, want record %d", s, want)
					}
					if s == nil {
						return
					}
					r := &m.records[want]
					r.delivery = &engine.Delivery{}
					p.hand(s, r.delivery)
					r.handed, r.attempts = true, 1
				}
			},
			"settle": func(t *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(t, "n") {
					r := find(handed)
					_, s := slotOf(r)
					before := m.watermark()
					moved := p.settle(s)
					r.handed, r.settled = false, true
					if moved != (m.watermark() != before) {
						t.Fatalf("settle(%d) moved %v", r.offset, moved)
					}
				}
			},
			"give back": func(*rapid.T) {
				r := find(handed)
				_, s := slotOf(r)
				p.back(s, time.Time{})
				r.handed, r.back = false, true
			},
			"again": func(*rapid.T) {
				r := find(func(r *modelRecord) bool { return r.back })
				_, s := slotOf(r)
				p.hand(s, &engine.Delivery{})
				r.handed, r.back = true, false
				r.attempts++
			},
			"mark": func(*rapid.T) {
				r := find(handed)
				_, s := slotOf(r)
				s.marks++
				r.marks++
			},
			"": func(t *rapid.T) {
				if got, want := p.watermark(), m.watermark(); got != want {
					t.Fatalf("watermark = %d, want %d", got, want)
				}
				open, inHand := 0, 0
				for _, r := range m.records {
					if !r.settled {
						open++
					}
					if r.handed {
						inHand++
					}
				}
				if p.open != open || p.inHand != inHand {
					t.Fatalf("open %d, in hand %d, want %d and %d", p.open, p.inHand, open, inHand)
				}
				checkNote(t, m, p)
			},
		})
	})
}

func checkNote(t *rapid.T, m *model, p *partition) {
	text := p.note()
	if len(text) > 4096 {
		t.Fatalf("a note of %d bytes", len(text))
	}
	n := parseNote(p.watermark(), text)
	if text != "" && n.to == 0 {
		t.Fatalf("note %q: cannot be read", text)
	}
	for _, r := range m.records {
		if r.offset < p.watermark() {
			continue
		}
		k, said := n.of(r.offset)
		switch {
		case k.settled && !r.settled:
			t.Fatalf("note %q: record %d is settled, and it is not", text, r.offset)
		case r.attempts > 0 && !said:
			t.Fatalf("note %q: record %d was handed out and it says nothing", text, r.offset)
		case !n.whole:
			// What did not fit comes again, with an attempt more.
		case said && k.settled != r.settled:
			t.Fatalf("note %q: record %d: settled %v, want %v", text, r.offset, k.settled, r.settled)
		case said && !r.settled && (k.attempts != r.attempts || k.marks != r.marks):
			t.Fatalf("note %q: record %d: %d attempts, %d marks, want %d and %d", text, r.offset, k.attempts, k.marks, r.attempts, r.marks)
		}
	}
}

// TestNextOwnerGoesOn gives a partition from owner to owner: no record is left out, and
// none is said to have been tried more often than it was.
func TestNextOwnerGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const records = 200
		settledBy := make([]int, records)
		attempts := make([]int, records)
		commit, text := int64(0), ""
		for owner := 0; commit < records; owner++ {
			p := newPartition(context.Background(), nil, 0)
			p.passed = commit
			p.prior = parseNote(commit, text)
			last := owner > 20
			most := commit + int64(rapid.IntRange(0, records).Draw(t, "fetched"))
			for o := commit; o < records && (last || o < most); o++ {
				p.add(&kgo.Record{Offset: o})
			}
			var inHand []int64
			for n := rapid.IntRange(0, records).Draw(t, "handed"); n > 0 || last; n-- {
				_, s := p.nextFresh()
				if s == nil {
					break
				}
				p.hand(s, &engine.Delivery{})
				attempts[s.offset]++
				if s.attempts > attempts[s.offset] {
					t.Fatalf("record %d: attempt %d, want %d at most", s.offset, s.attempts, attempts[s.offset])
				}
				inHand = append(inHand, s.offset)
			}
			for _, o := range inHand {
				if last || rapid.Bool().Draw(t, "settle") {
					_, s := p.find(o)
					p.settle(s)
					settledBy[o]++
				}
			}
			commit, text = p.watermark(), p.note()
		}
		for o, n := range settledBy {
			if n == 0 {
				t.Fatalf("record %d was never settled", o)
			}
		}
	})
}

func FuzzNote(f *testing.F) {
	f.Add(int64(7), "troupe1 40 1 0+3,7*2,9*3!1")
	f.Add(int64(0), "troupe1 40 0 ")
	f.Add(int64(0), "another client's")
	f.Fuzz(func(t *testing.T, base int64, text string) {
		n := parseNote(base, text)
		last := int64(-1)
		for _, r := range n.runs {
			if r.from <= last && last >= 0 || r.to < r.from {
				t.Fatalf("%q: runs %+v", text, n.runs)
			}
			last = r.to
		}
		n.of(base)
	})
}
