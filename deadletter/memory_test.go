package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
)

var ctx = context.Background()

func newMemory(t testing.TB, cfg deadletter.MemoryConfig) *deadletter.Memory {
	t.Helper()
	m, err := deadletter.NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// letter returns an open letter whose ID sorts by n.
func letter(n int) deadletter.Letter {
	return deadletter.Letter{ID: fmt.Sprintf("%06d", n), State: deadletter.StateOpen}
}

func in(s deadletter.State, ns ...int) []deadletter.Letter {
	var ls []deadletter.Letter
	for _, n := range ns {
		l := letter(n)
		l.State = s
		ls = append(ls, l)
	}
	return ls
}

func add(t testing.TB, s deadletter.Store, letters ...deadletter.Letter) {
	t.Helper()
	if err := s.Add(ctx, letters); err != nil {
		t.Fatal(err)
	}
}

func stored(t testing.TB, s deadletter.Store) string {
	t.Helper()
	p, err := s.List(ctx, deadletter.Query{Limit: deadletter.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, l := range slices.Backward(p.Letters) {
		ids = append(ids, strings.TrimLeft(l.ID, "0"))
	}
	return strings.Join(ids, " ")
}

// addUp fails if the counters do not.
func addUp(t testing.TB, m *deadletter.Memory) deadletter.MemoryStats {
	t.Helper()
	s := m.Stats()
	if s.Added != s.Stored+s.Evicted+s.Deleted+s.Expired {
		t.Errorf("Stats() = %+v: Added is not Stored + Evicted + Deleted + Expired", s)
	}
	return s
}

func TestMemoryConforms(t *testing.T) {
	deadlettertest.RunLedger(t, func(t *testing.T) deadletter.Ledger {
		return newMemory(t, deadletter.MemoryConfig{})
	})
}

func TestMemoryConformsWhenReportingEvictions(t *testing.T) {
	deadlettertest.RunLedger(t, func(t *testing.T) deadletter.Ledger {
		return newMemory(t, deadletter.MemoryConfig{
			Capacity: 2000,
			OnEvict:  func(l deadletter.Letter) { t.Errorf("evicted %q", l.ID) },
		})
	})
}

func TestMemoryConfigReportsEveryFault(t *testing.T) {
	m, err := deadletter.NewMemory(deadletter.MemoryConfig{Capacity: -1, MaxBytes: -2})
	if err == nil || m != nil {
		t.Fatalf("NewMemory = %v, %v, want an error", m, err)
	}
	for _, want := range []string{"MemoryConfig.Capacity -1: must be at least 1", "MemoryConfig.MaxBytes -2: must be at least 4096"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("NewMemory = %q, want it to say %q", err, want)
		}
	}
}

func TestMemoryEvictsResolvedThenOpenThenRedriving(t *testing.T) {
	var evicted []string
	m := newMemory(t, deadletter.MemoryConfig{
		Capacity: 6,
		OnEvict:  func(l deadletter.Letter) { evicted = append(evicted, strings.TrimLeft(l.ID, "0")) },
	})
	add(t, m, in(deadletter.StateRedriving, 1, 4)...)
	add(t, m, in(deadletter.StateOpen, 2, 5)...)
	add(t, m, in(deadletter.StateResolved, 3, 6)...)
	// What comes in is redriving, so that it is the last to leave.
	for n := 11; n <= 17; n++ {
		add(t, m, in(deadletter.StateRedriving, n)...)
	}
	if got, want := strings.Join(evicted, " "), "3 6 2 5 1 4 11"; got != want {
		t.Errorf("evicted %s, want %s", got, want)
	}
	if got, want := stored(t, m), "12 13 14 15 16 17"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if got, want := addUp(t, m), (deadletter.MemoryStats{Stored: 6, Added: 13, Evicted: 7, Bytes: m.Stats().Bytes}); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

func TestMemoryNewLetterIsStoredEvenIfItIsTheOldest(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{Capacity: 3})
	add(t, m, in(deadletter.StateOpen, 5, 6, 7)...)
	add(t, m, letter(1))
	if got, want := stored(t, m), "1 6 7"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

func TestMemoryKeepsTheEndOfABatchThatIsTooLarge(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{Capacity: 3})
	add(t, m, in(deadletter.StateOpen, 1, 2, 3, 4, 5)...)
	if got, want := stored(t, m), "3 4 5"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if got := addUp(t, m); got.Added != 5 || got.Evicted != 2 {
		t.Errorf("Stats() = %+v, want 5 added and 2 evicted", got)
	}
}

func TestMemoryIsBoundedByBytes(t *testing.T) {
	big := func(n, size int) deadletter.Letter {
		l := letter(n)
		l.Payload = make([]byte, size)
		return l
	}
	limit := 4 * big(0, 10_000).Normalize().Size()
	m := newMemory(t, deadletter.MemoryConfig{MaxBytes: limit})
	for n := 1; n <= 9; n++ {
		add(t, m, big(n, 10_000))
	}
	if got, want := stored(t, m), "6 7 8 9"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if got := addUp(t, m).Bytes; got != limit {
		t.Errorf("Bytes = %d, want %d", got, limit)
	}
	add(t, m, big(10, 25_000))
	if got, want := stored(t, m), "9 10"; got != want {
		t.Errorf("stored %s after a larger letter, want %s", got, want)
	}

	// A letter that grows makes room like a new one, and never gives way to
	// itself.
	grow := func(l *deadletter.Letter) error {
		l.State = deadletter.StateResolved
		l.Payload = make([]byte, 30_000)
		return nil
	}
	if err := m.Update(ctx, letter(9).ID, grow); err != nil {
		t.Fatal(err)
	}
	if got, want := stored(t, m), "9"; got != want {
		t.Errorf("stored %s after an update, want %s", got, want)
	}
	if n, err := m.Delete(ctx, letter(9).ID); n != 1 || err != nil {
		t.Errorf("Delete = %d, %v", n, err)
	}
	want := deadletter.MemoryStats{Added: 10, Evicted: 9, Deleted: 1}
	if got := addUp(t, m); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

func TestMemoryRefusesALetterThatCanNeverFit(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{MaxBytes: 5000, OnEvict: func(deadletter.Letter) { t.Error("evicted") }})
	huge := letter(2)
	huge.Stack = strings.Repeat("x", 5000)
	add(t, m, letter(9))

	err := m.Add(ctx, []deadletter.Letter{letter(1), huge, letter(3)})
	if le, ok := errors.AsType[*deadletter.LetterError](err); !ok || le.Index != 1 || le.ID != huge.ID || !errors.Is(err, deadletter.ErrTooLarge) {
		t.Errorf("Add = %v, want ErrTooLarge for the second letter", err)
	}
	err = m.Update(ctx, letter(9).ID, func(l *deadletter.Letter) error { l.Stack = huge.Stack; return nil })
	if le, ok := errors.AsType[*deadletter.LetterError](err); !ok || le.ID != letter(9).ID || !errors.Is(err, deadletter.ErrTooLarge) {
		t.Errorf("Update = %v, want ErrTooLarge", err)
	}
	if got, want := stored(t, m), "9"; got != want {
		t.Errorf("stored %s, want %s: nothing has changed", got, want)
	}
	addUp(t, m)
}

func TestMemoryOnEvictHoldsNoLockAndSharesNothing(t *testing.T) {
	var m *deadletter.Memory
	evicted := 0
	m = newMemory(t, deadletter.MemoryConfig{Capacity: 2, OnEvict: func(l deadletter.Letter) {
		evicted++
		l.Headers["k"] = "changed"
		if _, err := m.Get(ctx, l.ID); !errors.Is(err, deadletter.ErrNotFound) {
			t.Errorf("Get of an evicted letter = %v, want ErrNotFound", err)
		}
		if err := m.Update(ctx, letter(9).ID, func(*deadletter.Letter) error { return nil }); err != nil {
			t.Errorf("Update = %v", err)
		}
	}})
	for _, n := range []int{1, 2, 9} {
		l := letter(n)
		l.Headers = map[string]string{"k": "v"}
		add(t, m, l)
	}
	if evicted != 1 {
		t.Errorf("OnEvict was called %d times, want 1", evicted)
	}
}

func TestMemoryOnEvictPanicReachesTheCallerWithTheLettersStored(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{Capacity: 1, OnEvict: func(deadletter.Letter) { panic("boom") }})
	add(t, m, letter(1))
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want OnEvict's panic", got)
			}
		}()
		_ = m.Add(ctx, in(deadletter.StateOpen, 2))
	}()
	if got, want := stored(t, m), "2"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

func TestMemoryUpdateStopsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, deadletter.MemoryConfig{})
		add(t, m, letter(1), letter(2))
		slow := func(l *deadletter.Letter) error { time.Sleep(time.Hour); return nil }
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := m.Update(ctx, letter(1).ID, slow); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()

		began := time.Now()
		add(t, m, letter(3))
		if got, want := stored(t, m), "1 2 3"; got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
		if n, err := m.Delete(ctx, letter(3).ID); n != 1 || err != nil {
			t.Errorf("Delete = %d, %v", n, err)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("Add, List and Delete waited %v for an Update", waited)
		}

		// Another Update waits, and no longer than its ctx.
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		err := m.Update(short, letter(2).ID, func(*deadletter.Letter) error {
			t.Error("fn was called")
			return nil
		})
		if waited := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || waited != time.Minute {
			t.Errorf("Update = %v after %v, want the deadline's error after %v", err, waited, time.Minute)
		}
		wg.Wait()
	})
}

func TestMemoryUpdateOfALetterDeletedMeanwhileIsNotFound(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{})
	for _, again := range []bool{false, true} {
		add(t, m, letter(1))
		err := m.Update(ctx, letter(1).ID, func(l *deadletter.Letter) error {
			if _, err := m.Delete(ctx, l.ID); err != nil {
				t.Error(err)
			}
			if again {
				add(t, m, letter(1))
			}
			l.Error = "changed"
			return nil
		})
		if !errors.Is(err, deadletter.ErrNotFound) {
			t.Errorf("Update = %v, want ErrNotFound (added again: %v)", err, again)
		}
		if l, _ := m.Get(ctx, letter(1).ID); l.Error != "" {
			t.Errorf("the update of a deleted letter was stored")
		}
	}
	addUp(t, m)
}

func TestMemoryUpdateAfterCloseInsideIsClosed(t *testing.T) {
	m := newMemory(t, deadletter.MemoryConfig{})
	add(t, m, letter(1))
	err := m.Update(ctx, letter(1).ID, func(*deadletter.Letter) error { return m.Close() })
	if !errors.Is(err, deadletter.ErrClosed) {
		t.Errorf("Update = %v, want ErrClosed", err)
	}
}

// Everything at once in a store that is always full, while a reader checks
// that the counters add up at every moment and the bounds hold.
func TestMemoryCountersAddUpAtEveryMoment(t *testing.T) {
	const capacity, maxBytes = 100, 120_000
	var reported atomic.Uint64
	m := newMemory(t, deadletter.MemoryConfig{
		Capacity: capacity, MaxBytes: maxBytes,
		OnEvict: func(deadletter.Letter) { reported.Add(1) },
	})
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	readers.Go(func() {
		for !done.Load() {
			if s := addUp(t, m); s.Stored > capacity || s.Bytes > maxBytes || s.Bytes < 0 {
				t.Errorf("Stats() = %+v, beyond %d letters or %d bytes", s, capacity, maxBytes)
				return
			}
			p, err := m.List(ctx, deadletter.Query{Limit: 20, Topic: "t"})
			if err != nil || p.Total > capacity {
				t.Errorf("List = Total %d, %v", p.Total, err)
				return
			}
		}
	})
	states := []deadletter.State{deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved}
	for w := range 4 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			id := func() string { return letter(rnd.IntN(400)).ID }
			for range 1500 {
				switch rnd.IntN(4) {
				case 0, 1:
					batch := make([]deadletter.Letter, rnd.IntN(5))
					for i := range batch {
						batch[i] = deadletter.Letter{ID: id(), Topic: "t", State: states[rnd.IntN(3)], Payload: make([]byte, rnd.IntN(2000))}
					}
					if err := m.Add(ctx, batch); err != nil {
						t.Error(err)
					}
				case 2:
					err := m.Update(ctx, id(), func(l *deadletter.Letter) error {
						l.State = states[rnd.IntN(3)]
						l.Payload = make([]byte, rnd.IntN(3000))
						return nil
					})
					if err != nil && !errors.Is(err, deadletter.ErrNotFound) {
						t.Error(err)
					}
				default:
					if _, err := m.Delete(ctx, id(), id()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()

	s := addUp(t, m)
	if got := reported.Load(); got != s.Evicted {
		t.Errorf("OnEvict was called %d times, and Evicted = %d", got, s.Evicted)
	}
	p, err := m.List(ctx, deadletter.Query{Limit: capacity})
	if err != nil || uint64(len(p.Letters)) != s.Stored || uint64(p.Total) != s.Stored {
		t.Errorf("List gives %d letters, Total %d, %v; Stored = %d", len(p.Letters), p.Total, err, s.Stored)
	}
	var bytes int64
	for _, l := range p.Letters {
		bytes += l.Size()
	}
	if bytes != s.Bytes {
		t.Errorf("Bytes = %d, the letters' sizes sum to %d", s.Bytes, bytes)
	}
}

// Size is what bounds the store, so it must not be far below what the heap
// says.
func TestMemorySizeCoversTheHeap(t *testing.T) {
	const n = 2000
	m := newMemory(t, deadletter.MemoryConfig{})
	heap := func() int64 {
		var ms runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&ms)
		return int64(ms.HeapAlloc)
	}
	before := heap()
	for i := range n {
		add(t, m, typical(i))
	}
	used := heap() - before
	if bytes := m.Stats().Bytes; used > bytes*5/4 {
		t.Errorf("%d letters take %d bytes of heap, and Bytes = %d", n, used, bytes)
	} else {
		t.Logf("heap %d, Bytes %d per letter", used/n, bytes/n)
	}
	runtime.KeepAlive(m)
}

// typical is a letter of an ordinary panic.
func typical(n int) deadletter.Letter {
	at := time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
	l := deadletter.Letter{
		ID:          deadletter.NewID(at),
		Topic:       "orders.placed",
		Subscriber:  fmt.Sprintf("billing-%d", n%10),
		Sequence:    uint64(n),
		Payload:     fmt.Appendf(nil, `{"id":"o-%d","items":[1,2,3],"note":%q}`, n, strings.Repeat("x", 400)),
		ContentType: "application/json",
		GoType:      "shop.OrderPlaced",
		Headers:     map[string]string{"traceparent": fmt.Sprintf("00-%032x-01", n)},
		Reason:      "attempts_exhausted",
		Cause:       "panic",
		Error:       fmt.Sprintf("panic: order %d: index out of range [%d] with length 3", n, n%7),
		ErrorTypes:  []string{"*supervisor.PanicError", "runtime.boundsError"},
		Stack:       strings.Repeat("shop.(*Billing).Charge(0xc000012345)\n\t/src/shop/billing.go:42 +0x1d\n", 10),
		PublishedAt: at,
		Fingerprint: "0123456789abcdef",
	}
	for i := range 5 {
		l.AddAttempt(deadletter.Attempt{Number: i + 1, Started: at, Duration: time.Millisecond, Cause: "panic", Error: l.Error})
	}
	return l
}
