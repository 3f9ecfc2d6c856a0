package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// aged returns a letter that failed at that time.
func aged(id, topic string, at time.Time, state deadletter.State) deadletter.Letter {
	return deadletter.Letter{ID: id, Topic: topic, Fingerprint: "g", State: state, FirstFailedAt: at, LastFailedAt: at}
}

func ids(t *testing.T, s *sqlite.Store) string {
	t.Helper()
	all, err := s.IDs(t.Context(), deadletter.Query{})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(all)
}

func account(t *testing.T, s *sqlite.Store) deadletter.Account {
	t.Helper()
	a, err := s.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRetentionByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sqlite.Config{Retention: sqlite.Retention{MaxAge: time.Hour}, OnError: func(err error) { t.Error(err) }})
		defer s.Close()
		now := time.Now()
		mustAdd(t, s, []deadletter.Letter{
			aged("old", "t", now.Add(-59*time.Minute), deadletter.StateOpen),
			aged("redriving", "t", now.Add(-59*time.Minute), deadletter.StateRedriving),
			aged("new", "t", now, deadletter.StateOpen),
		})
		if got := ids(t, s); got != "[new old redriving]" {
			t.Errorf("IDs = %s", got)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := ids(t, s); got != "[new redriving]" {
			t.Errorf("IDs = %s an hour after the oldest failed, want those that are younger or redriven", got)
		}
		if a := account(t, s); a.Expired != 1 || a.Added != 3 || a.Open != 1 || a.Redriving != 1 {
			t.Errorf("Account = %+v, want one expired", a)
		}
	})
}

func TestRetentionByCountAndBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fills []sqlite.Fill
		one := aged("s99", "small", time.Now(), deadletter.StateOpen)
		size := one.Normalize().Size()
		s := open(t, sqlite.Config{
			Retention: sqlite.Retention{
				MaxCount: 10, Topics: map[string]sqlite.Bounds{"small": {MaxBytes: 3 * size}, "free": {}},
				OnFill: func(f sqlite.Fill) { fills = append(fills, f) },
			},
			OnError: func(err error) { t.Error(err) },
		})
		defer s.Close()
		now := time.Now()
		var batch []deadletter.Letter
		for n := range 20 {
			batch = append(batch, aged(fmt.Sprintf("f%02d", n), "free", now, deadletter.StateOpen))
		}
		for n := range 8 {
			batch = append(batch, aged(fmt.Sprintf("b%02d", n), "big", now, deadletter.StateOpen))
		}
		mustAdd(t, s, batch)
		time.Sleep(sqlite.DefaultSweep)
		synctest.Wait()
		if len(fills) != 0 {
			t.Errorf("fills = %+v at exactly 80 %%, want none", fills)
		}
		mustAdd(t, s, []deadletter.Letter{aged("b08", "big", now, deadletter.StateOpen)})
		time.Sleep(3 * sqlite.DefaultSweep)
		synctest.Wait()
		if len(fills) != 1 || fills[0].Topic != "big" || fills[0].Count != 9 || fills[0].Fraction != 0.9 || fills[0].Bounds.MaxCount != 10 {
			t.Errorf("fills = %+v, want one of 9 letters of 10", fills)
		}
		mustAdd(t, s, []deadletter.Letter{
			aged("b09", "big", now, deadletter.StateResolved), aged("b10", "big", now, deadletter.StateRedriving), aged("b11", "big", now, deadletter.StateOpen),
			aged("s00", "small", now, deadletter.StateOpen), aged("s01", "small", now, deadletter.StateOpen),
			aged("s02", "small", now, deadletter.StateOpen), aged("s03", "small", now, deadletter.StateOpen),
		})
		time.Sleep(2 * sqlite.DefaultSweep)
		synctest.Wait()
		p, err := s.List(t.Context(), deadletter.Query{Topic: "big"})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Letters) != 10 || p.Letters[9].ID != "b01" || p.Letters[1].ID != "b10" {
			t.Errorf("%d letters from %s, want 10: without the resolved one and the oldest", len(p.Letters), p.Letters[len(p.Letters)-1].ID)
		}
		small, err := s.List(t.Context(), deadletter.Query{Topic: "small"})
		if err != nil || small.Total != 3 {
			t.Errorf("List = %d letters, %v, want the 3 whose bytes there is room for", small.Total, err)
		}
		a := account(t, s)
		if a.Dropped != 3 || a.Added != 36 || a.Fill != 1 {
			t.Errorf("Account = %+v, want 3 dropped and a full topic", a)
		}
	})
}

// A deleted letter is gone at PurgeAt, for every reader, whenever the store looks
// for it by itself.
func TestDeletedLettersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "letters.db")
		s := open(t, sqlite.Config{Path: path, Sweep: 24 * time.Hour})
		mustAdd(t, s, letters(0, 700))
		all, err := s.IDs(t.Context(), deadletter.Query{})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		if _, err := s.Change(t.Context(), all, func(l *deadletter.Letter) error {
			return l.Delete(deadletter.Closing{By: "ada", At: at, PurgeAt: at.Add(time.Hour)})
		}); err != nil {
			t.Fatal(err)
		}
		count := func(want int) {
			t.Helper()
			p, err := s.List(t.Context(), deadletter.Query{State: deadletter.StateDeleted})
			if err != nil || p.Total != want {
				t.Errorf("%d deleted letters, %v, want %d", p.Total, err, want)
			}
		}
		count(700)
		s.Close()
		s = open(t, sqlite.Config{Path: path, Sweep: 24 * time.Hour})
		defer s.Close()
		time.Sleep(time.Hour - 1)
		count(700)
		time.Sleep(time.Nanosecond)
		count(0)
		if a := account(t, s); a.Deleted != 700 || a.Bytes != 0 {
			t.Errorf("Account = %+v, want 700 deleted and no bytes", a)
		}
	})
}

// The file shrinks when much has gone.
func TestTheFileShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "letters.db")
		s := open(t, sqlite.Config{Path: path})
		// Large ones, of which a file is soon full, in what is not in the index.
		const many = 1500
		batch := letters(0, many)
		for i := range batch {
			batch[i].Stack = strings.Repeat("main.go:17\n", 2500)
		}
		mustAdd(t, s, batch)
		all, err := s.IDs(t.Context(), deadletter.Query{})
		if err != nil {
			t.Fatal(err)
		}
		full, err := s.Pages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.Delete(t.Context(), all...); n != many || err != nil {
			t.Fatalf("Delete = %d, %v", n, err)
		}
		time.Sleep(10 * sqlite.DefaultSweep)
		synctest.Wait()
		if left, err := s.Pages(t.Context()); err != nil || left > full/2 {
			t.Errorf("%d pages, %v, of %d that were, want less than half", left, err, full)
		}
		s.Close()
	})
}
