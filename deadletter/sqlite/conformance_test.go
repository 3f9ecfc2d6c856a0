package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// open opens a new store and closes it with the test.
func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "letters.db")
	}
	s, err := sqlite.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStoreIsALedger(t *testing.T) {
	deadlettertest.RunLedger(t, func(t *testing.T) deadletter.Ledger { return open(t, sqlite.Config{}) })
}
