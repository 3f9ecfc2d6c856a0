package ops_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var (
	errDead  = errors.New("the process is dead")
	errStore = errors.New("the store fails")
)

// mortal is a ledger as one process has it: when that is dead it changes nothing any
// more. Writes can be made to fail, before or after they have been done.
type mortal struct {
	deadletter.Ledger
	mu      sync.Mutex
	dead    bool
	failing float64 // probability
	rnd     *rand.Rand
	slow    time.Duration
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) fail(p float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = p
}

// do does a write, unless it fails. What fails may have been done.
func (m *mortal) do(write func() error) error {
	if m.slow > 0 {
		time.Sleep(m.slow)
	}
	m.mu.Lock()
	defer m.mu.Unlock() // death does not come in the middle of a step
	if m.dead {
		return errDead
	}
	if m.failing > 0 && m.rnd.Float64() < m.failing {
		if m.rnd.IntN(2) == 0 {
			_ = write()
		}
		return errStore
	}
	return write()
}

func (m *mortal) Add(ctx context.Context, l []deadletter.Letter) error {
	return m.do(func() error { return m.Ledger.Add(ctx, l) })
}

func (m *mortal) Update(ctx context.Context, id string, fn func(*deadletter.Letter) error) error {
	return m.do(func() error { return m.Ledger.Update(ctx, id, fn) })
}

func (m *mortal) Delete(ctx context.Context, ids ...string) (n int, err error) {
	err = m.do(func() error { n, err = m.Ledger.Delete(ctx, ids...); return err })
	return n, err
}

func (m *mortal) Change(ctx context.Context, ids []string, fn func(*deadletter.Letter) error) (errs []error, err error) {
	err = m.do(func() error { errs, err = m.Ledger.Change(ctx, ids, fn); return err })
	if err != nil && len(errs) != len(ids) || errors.Is(err, errStore) {
		errs = make([]error, len(ids))
		for i := range errs {
			errs[i] = err
		}
	}
	return errs, err
}

func (m *mortal) AddOperation(ctx context.Context, op deadletter.Operation, ids []string) error {
	return m.do(func() error { return m.Ledger.AddOperation(ctx, op, ids) })
}

func (m *mortal) UpdateOperation(ctx context.Context, id string, fn func(*deadletter.Operation) error) error {
	return m.do(func() error { return m.Ledger.UpdateOperation(ctx, id, fn) })
}

func (m *mortal) UpdateItems(ctx context.Context, op string, items []deadletter.Item) error {
	return m.do(func() error { return m.Ledger.UpdateItems(ctx, op, items) })
}

func (m *mortal) UpdateGroup(ctx context.Context, f string, fn func(*deadletter.GroupRecord) error) error {
	return m.do(func() error { return m.Ledger.UpdateGroup(ctx, f, fn) })
}

func (m *mortal) Record(ctx context.Context, e deadletter.AuditEntry) error {
	return m.do(func() error { return m.Ledger.Record(ctx, e) })
}
