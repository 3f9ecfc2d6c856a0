package mailbox_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// A publish time that has been asked for does not change, although events that
// share its clock reading come later, and is the same for every reader.
func TestPublishedAtIsTheSameForEveryReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		const readers = 4
		var rs []*mailbox.Reader[int]
		for i := range readers {
			over := mailbox.Unbounded
			if i == readers-1 {
				over = mailbox.DropNewest
			}
			cur, r, err := log.Subscribe(mailbox.CursorConfig[int]{Overflow: over, Capacity: 100, Wake: func() {}})
			if err != nil {
				t.Fatal(err)
			}
			rs = append(rs, r)
			defer cur.Detach()
		}
		next := func(r *mailbox.Reader[int]) time.Time {
			if _, ok := r.Next(); !ok {
				t.Fatal("no event, want one")
			}
			at, _ := r.Facts()
			return at
		}
		for range 40 {
			if err := log.Append(context.Background(), 1); err != nil {
				t.Fatal(err)
			}
			first := next(rs[0])
			if again, _ := rs[0].Facts(); !again.Equal(first) {
				t.Fatalf("published at %v, and asked again %v", first, again)
			}
			time.Sleep(time.Second)
			// Another mailbox that sleeps has the clock read, in the same run.
			cur, r, err := log.Subscribe(mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded, Wake: func() {}})
			if err != nil {
				t.Fatal(err)
			}
			cur.Sleep()
			if err := log.Append(context.Background(), 2); err != nil {
				t.Fatal(err)
			}
			if late := next(r); !late.After(first) {
				t.Errorf("published at %v, want after %v", late, first)
			}
			cur.Detach()
			next(rs[0])
			for i, r := range rs[1:] {
				if at := next(r); !at.Equal(first) {
					t.Errorf("reader %d: published at %v, want %v as the first was told", i+1, at, first)
				}
				next(r)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestReadersThatAskAtOnceAgreeOnTheTime(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	const readers, events = 4, 600
	times := make([][]time.Time, readers)
	var reading sync.WaitGroup
	for i := range readers {
		_, r, err := log.Subscribe(mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded, Wake: func() {}})
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			for len(times[i]) < events {
				if _, ok := r.Next(); ok {
					at, _ := r.Facts()
					times[i] = append(times[i], at)
				}
			}
		})
	}
	for range events {
		_ = log.Append(context.Background(), 1)
	}
	reading.Wait()
	for i := range readers {
		for k := range events {
			if !times[i][k].Equal(times[0][k]) {
				t.Fatalf("event %d: reader %d was told %v, reader 0 %v", k, i, times[i][k], times[0][k])
			}
		}
	}
}
