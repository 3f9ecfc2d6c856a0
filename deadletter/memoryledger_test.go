package deadletter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

func account(t testing.TB, m *deadletter.Memory) deadletter.Account {
	t.Helper()
	a, err := m.Account(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
	return a
}

func TestMemoryLettersExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expired []string
		m := newMemory(t, deadletter.MemoryConfig{
			MaxAge:   time.Hour,
			OnExpire: func(l deadletter.Letter) { expired = append(expired, strings.TrimLeft(l.ID, "0")) },
			OnEvict:  func(l deadletter.Letter) { t.Errorf("evicted %q", l.ID) },
		})
		now := time.Now()
		for n := range 5 {
			l := letter(n + 1)
			l.LastFailedAt = now.Add(time.Duration(n) * 10 * time.Minute)
			add(t, m, l)
		}
		bare := letter(7) // counts from now
		add(t, m, bare)
		begin := func(l *deadletter.Letter) error { _, err := l.BeginRedrive("ada", 1, now); return err }
		if err := m.Update(ctx, letter(2).ID, begin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - 1)
		if got, want := stored(t, m), "1 2 3 4 5 7"; got != want {
			t.Errorf("before their time there are %s, want %s", got, want)
		}
		time.Sleep(time.Nanosecond)
		if got, want := stored(t, m), "2 3 4 5"; got != want {
			t.Errorf("after an hour there are %s, want %s", got, want)
		}
		time.Sleep(time.Hour)
		if got, want := stored(t, m), "2"; got != want {
			t.Errorf("in the end there are %s, want %s, which is being redriven", got, want)
		}
		if a := account(t, m); a.Expired != 5 || a.Redriving != 1 || a.Added != 6 {
			t.Errorf("Account = %+v, want 5 of 6 expired", a)
		}
		end := func(l *deadletter.Letter) error { return l.EndRedrive(deadletter.OutcomeFailed, "", now) }
		if err := m.Update(ctx, letter(2).ID, end); err != nil {
			t.Fatal(err)
		}
		if a := account(t, m); a.Expired != 6 {
			t.Errorf("Account = %+v, want 6 expired once the redrive has ended", a)
		}
		addUp(t, m)
		if got := strings.Join(expired, " "); got != "1 7 3 4 5 2" && got != "7 1 3 4 5 2" {
			t.Errorf("expired %s", got)
		}
	})
}

func TestMemoryTombstonesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, deadletter.MemoryConfig{OnExpire: func(deadletter.Letter) { t.Error("a tombstone has expired") }})
		add(t, m, letter(1), letter(2), letter(3))
		bury := func(at time.Time) func(l *deadletter.Letter) error {
			return func(l *deadletter.Letter) error { return l.Delete(deadletter.Closing{PurgeAt: at}) }
		}
		for n, at := range []time.Time{time.Now().Add(time.Minute), time.Now().Add(time.Minute), {}} {
			if err := m.Update(ctx, letter(n+1).ID, bury(at)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute - 1)
		if err := m.Update(ctx, letter(2).ID, (*deadletter.Letter).Restore); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := m.Get(ctx, letter(1).ID); !errors.Is(err, deadletter.ErrNotFound) {
			t.Errorf("Get = %v, want ErrNotFound an hour after its PurgeAt", err)
		}
		if a := account(t, m); a.Open != 1 || a.Deleted != 2 {
			t.Errorf("Account = %+v, want one open and two deleted", a)
		}
		if l, err := m.Get(ctx, letter(3).ID); err != nil || l.State != deadletter.StateDeleted {
			t.Errorf("Get of a tombstone without PurgeAt = %v, %v", l.State, err)
		}
	})
}

func TestMemoryEvictsTombstonesFirst(t *testing.T) {
	var evicted []string
	m := newMemory(t, deadletter.MemoryConfig{Capacity: 4, OnEvict: func(l deadletter.Letter) { evicted = append(evicted, strings.TrimLeft(l.ID, "0")) }})
	add(t, m, in(deadletter.StateOpen, 1)...)
	add(t, m, in(deadletter.StateArchived, 2)...)
	add(t, m, in(deadletter.StateResolved, 3)...)
	add(t, m, in(deadletter.StateDeleted, 4)...)
	add(t, m, in(deadletter.StateRedriving, 5, 6, 7, 8)...)
	if got, want := strings.Join(evicted, " "), "3 2 1"; got != want {
		t.Errorf("evicted %s, want %s: the tombstone before them, which is not told", got, want)
	}
	if a := account(t, m); a.Deleted != 1 || a.Dropped != 3 || a.Redriving != 4 || a.Fill != 1 {
		t.Errorf("Account = %+v", a)
	}
}

func TestMemoryForgetsOldOperations(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{MaxOperations: 3, MaxItems: 10})
	there := func() string {
		p, err := m.Operations(ctx, deadletter.OperationQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, op := range p.Operations {
			ids = append(ids, op.ID)
		}
		return strings.Join(ids, " ")
	}
	operation := func(id string, items int, state deadletter.OperationState) {
		if err := m.AddOperation(ctx, deadletter.Operation{ID: id, State: state}, make([]string, items)); err != nil {
			t.Fatal(err)
		}
	}
	operation("0", 100, deadletter.OperationRunning)
	operation("1", 1, deadletter.OperationStopped) // may be resumed
	for n := 2; n <= 6; n++ {
		operation(fmt.Sprint(n), 1, deadletter.OperationDone)
	}
	if got, want := there(), "6 5 4 1 0"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	operation("7", 9, deadletter.OperationCancelled)
	if got, want := there(), "7 6 1 0"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	if err := m.UpdateOperation(ctx, "0", func(op *deadletter.Operation) error { op.State = deadletter.OperationDone; return nil }); err != nil {
		t.Fatal(err)
	}
	if got, want := there(), "7 6 1"; got != want {
		t.Errorf("there are %s after the largest has ended, want %s", got, want)
	}
	operation("8", 500, deadletter.OperationDone)
	if got, want := there(), "8 1"; got != want {
		t.Errorf("there are %s, want %s: the newest stays in any case", got, want)
	}
}

func TestMemoryForgetsOldAuditEntries(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{MaxAudit: 5})
	for n := range 12 {
		if err := m.Record(ctx, deadletter.AuditEntry{ID: fmt.Sprintf("%02d", n)}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := m.Audit(ctx, deadletter.AuditQuery{})
	if err != nil || p.Total != 5 || p.Entries[0].ID != "11" || p.Entries[4].ID != "07" {
		t.Errorf("Audit = %+v, %v, want the newest five", p, err)
	}
}

func TestMemoryForgetsOldGroups(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{Capacity: 1})
	known := func(n int) bool {
		_, err := m.Group(ctx, fmt.Sprint("group ", n))
		return err == nil
	}
	const groups = 5000
	for n := range groups {
		l := letter(n)
		l.Fingerprint, l.LastFailedAt, l.Error = fmt.Sprint("group ", n), day.Add(time.Duration(n)), strings.Repeat("x", 5000)
		add(t, m, l)
	}
	kept := 0
	for n := range groups {
		if known(n) {
			kept++
		}
	}
	if kept < 1000 || kept > 1300 || known(0) || !known(groups-1) || !known(groups-900) {
		t.Errorf("%d groups are known, want the newest 1000 or a few more", kept)
	}
	if g, err := m.Group(ctx, fmt.Sprint("group ", groups-2)); err != nil || len(g.Error) != 1024 {
		t.Errorf("a group without letters keeps %d bytes of an error, %v, want 1024", len(g.Error), err)
	}
}

func TestMemoryConfigNamesTheFieldsOfTheLedger(t *testing.T) {
	_, err := deadletter.NewMemory(deadletter.MemoryConfig{MaxAge: -1, MaxOperations: -2, MaxItems: -3, MaxAudit: -4})
	for _, want := range []string{"MaxAge -1ns: must not be negative", "MaxOperations -2: must be at least 1", "MaxItems -3: must", "MaxAudit -4: must"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewMemory = %v, want it to say %q", err, want)
		}
	}
}

// The account holds at every moment, not only in the end.
func TestMemoryAccountAddsUpUnderLoad(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{Capacity: 20, MaxAge: 20 * time.Millisecond})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 3000 {
			l := letter(n)
			l.LastFailedAt = time.Now()
			_ = m.Add(ctx, []deadletter.Letter{l})
			_, _ = m.Change(ctx, []string{letter(n).ID, letter(n - 3).ID}, func(l *deadletter.Letter) error {
				switch n % 4 {
				case 0:
					return l.Delete(deadletter.Closing{PurgeAt: time.Now().Add(time.Millisecond)})
				case 1:
					return l.Archive(deadletter.Closing{})
				case 2:
					_, err := l.BeginRedrive("ada", 1, time.Now())
					return err
				}
				return l.Restore()
			})
			if n%5 == 0 {
				_, _ = m.Delete(ctx, letter(n-7).ID)
			}
		}
	}()
	for checks := 0; ; checks++ {
		account(t, m)
		addUp(t, m)
		select {
		case <-done:
			if a := account(t, m); a.Added != 3000 || a.Dropped == 0 {
				t.Errorf("Account = %+v, want 3000 added and some dropped", a)
			}
			return
		default:
		}
	}
}
