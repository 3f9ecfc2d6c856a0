package deadlettertest

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var copyCases = []testCase{
	{
		name:    "every field comes back",
		promise: "a letter is evidence: what is stored comes back to the byte and the nanosecond, from Get, List and Update",
		run: func(r *recorder, s deadletter.Store) {
			want := full("a")
			bare := deadletter.Letter{ID: "b"}
			r.add(s, want, bare)
			for _, want := range []deadletter.Letter{want, bare} {
				if d := difference(r.get(s, want.ID), want); d != "" {
					r.errorf("Get:\n%s", d)
				}
				r.update(s, want.ID, func(l *deadletter.Letter) error {
					if d := difference(*l, want); d != "" {
						r.errorf("Update:\n%s", d)
					}
					return nil
				})
				if d := difference(r.get(s, want.ID), want); d != "" {
					r.errorf("Get after an Update that changed nothing:\n%s", d)
				}
			}
			p := r.list(s, deadletter.Query{})
			if len(p.Letters) != 2 {
				r.fatalf("List gives %d letters, want 2", len(p.Letters))
			}
			for i, want := range []deadletter.Letter{bare, want} {
				if d := difference(p.Letters[i], want); d != "" {
					r.errorf("List:\n%s", d)
				}
			}
		},
	},
	{
		name:    "every field can be updated",
		promise: "Update stores whatever fn makes of the letter, not only the fields that usually change",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, deadletter.Letter{ID: "a"}, full("b"))
			want := full("a")
			r.update(s, "a", func(l *deadletter.Letter) error { *l = want.Clone(); return nil })
			if d := difference(r.get(s, "a"), want); d != "" {
				r.errorf("from nothing to everything:\n%s", d)
			}
			want = deadletter.Letter{ID: "b"}
			r.update(s, "b", func(l *deadletter.Letter) error { *l = want; return nil })
			if d := difference(r.get(s, "b"), want); d != "" {
				r.errorf("from everything to nothing:\n%s", d)
			}
		},
	},
	{
		name:    "times are in UTC",
		promise: "times come back as the same instants, in UTC and without a monotonic reading, wherever the letter was made",
		run: func(r *recorder, s deadletter.Store) {
			zone := time.FixedZone("UTC+5:30", 5*3600+1800)
			l := full("a")
			l.PublishedAt = time.Now() // with a monotonic reading
			l.FirstFailedAt = l.FirstFailedAt.In(zone)
			l.LastFailedAt = l.LastFailedAt.In(zone)
			l.Attempts[0].Started = l.Attempts[0].Started.In(zone)
			l.Redrives[0].StartedAt = l.Redrives[0].StartedAt.In(zone)
			l.Redrives[0].EndedAt = l.Redrives[0].EndedAt.In(zone)
			l.SnoozedUntil = l.SnoozedUntil.In(zone)
			l.Closed.At = l.Closed.At.In(zone)
			l.Closed.Before.At = l.Closed.Before.At.In(zone)
			r.add(s, l)
			if d := difference(r.get(s, "a"), l); d != "" {
				r.errorf("Get after Add:\n%s", d)
			}
			r.update(s, "a", func(stored *deadletter.Letter) error { *stored = l.Clone(); return nil })
			if d := difference(r.get(s, "a"), l); d != "" {
				r.errorf("Get after Update:\n%s", d)
			}
		},
	},
	{
		name:    "a large payload comes back",
		promise: "payloads of a megabyte are stored whole",
		run: func(r *recorder, s deadletter.Store) {
			l := small(1)
			l.Payload = make([]byte, 1<<20)
			for i := range l.Payload {
				l.Payload[i] = byte(i * 7)
			}
			r.add(s, l)
			if d := difference(r.get(s, l.ID), l); d != "" {
				r.errorf("%s", d)
			}
		},
	},
	{
		name:    "Add copies",
		promise: "the store shares no memory with the letters given to Add: the runtime reuses its batches",
		run: func(r *recorder, s deadletter.Store) {
			batch := []deadletter.Letter{full("a")}
			r.add(s, batch...)
			scribble(&batch[0])
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("after writing to what was added:\n%s", d)
			}
		},
	},
	{
		name:    "Get and List copy",
		promise: "readers may write to the letters they are given",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, full("a"))
			l := r.get(s, "a")
			scribble(&l)
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("after writing to what Get gave:\n%s", d)
			}
			p := r.list(s, deadletter.Query{})
			for i := range p.Letters {
				scribble(&p.Letters[i])
			}
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("after writing to what List gave:\n%s", d)
			}
		},
	},
	{
		name:    "Update copies",
		promise: "nothing fn does to the letter is seen if it fails, nor what anybody does to it afterwards",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, full("a"))
			before := r.get(s, "a")
			boom := errors.New("boom")
			err := s.Update(context.Background(), "a", func(l *deadletter.Letter) error { scribble(l); return boom })
			if !errors.Is(err, boom) {
				r.errorf("Update = %v, want fn's error", err)
			}
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("after an Update that failed:\n%s", d)
			}
			var kept *deadletter.Letter
			mine := full("a")
			r.update(s, "a", func(l *deadletter.Letter) error { *l = mine; kept = l; return nil })
			scribble(kept)
			scribble(&mine)
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("after writing to what Update stored:\n%s", d)
			}
			if d := difference(before, full("a")); d != "" {
				r.errorf("a letter read before has changed:\n%s", d)
			}
		},
	},
}
