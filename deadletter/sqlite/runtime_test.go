package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// A runtime whose store has no room, or has lost its file, loses no letter and
// hurts no other subscriber; when the cause is gone, all are written without a
// restart.
func TestRuntimeOutlivesTheFaultsOfTheFile(t *testing.T) {
	for name, fault := range map[string]struct {
		begin, end func(t *testing.T, s *sqlite.Store)
	}{
		"full": {
			func(t *testing.T, s *sqlite.Store) { pragma(t, s, "max_page_count = 60") },
			func(t *testing.T, s *sqlite.Store) { pragma(t, s, "max_page_count = 1000000") },
		},
		"read-only": {
			func(t *testing.T, s *sqlite.Store) { pragma(t, s, "query_only = 1") },
			func(*testing.T, *sqlite.Store) {}, // it heals itself: the failure ends the connection
		},
		"moved away": {
			func(t *testing.T, s *sqlite.Store) { rename(t, s.Path(), s.Path()+".away") },
			func(t *testing.T, s *sqlite.Store) { rename(t, s.Path()+".away", s.Path()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "letters.db")})
				if err != nil {
					t.Fatal(err)
				}
				var failing, recovered int
				var said error
				rt := troupetest.New(t, runtime.Config{DeadLetters: s, Logger: zap.NewNop(), Observer: runtime.Observer{
					StoreFailing:   func(e runtime.Event) { failing, said = failing+1, e.Err },
					StoreRecovered: func(runtime.Event) { recovered++ },
				}})
				topic, err := topics.Open[int](rt.Runtime, "orders")
				if err != nil {
					t.Fatal(err)
				}
				_, err = topic.Subscribe("billing", func(context.Context, int) error { return supervisor.Permanent(errors.New("card refused")) })
				if err != nil {
					t.Fatal(err)
				}
				healthy := troupetest.NewHandler[int](t)
				if _, err := topic.Subscribe("mail", healthy.Handle); err != nil {
					t.Fatal(err)
				}
				const n = 300
				fault.begin(t, s)
				for i := range n {
					if err := topic.Publish(t.Context(), i); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := len(healthy.Events()); got != n {
					t.Errorf("the healthy subscriber has handled %d events, want %d", got, n)
				}
				failed, _ := errors.AsType[*sqlite.Error](said)
				if failing == 0 || failed == nil || failed.Path != s.Path() || failed.Fix == "" {
					t.Errorf("told of %d failures: %v, want one that names the file and the fix", failing, said)
				}
				fault.end(t, s)
				rt.Idle(time.Hour)
				if got := total(t, s); got != n {
					t.Errorf("%d letters, want %d", got, n)
				}
				if recovered == 0 {
					t.Error("told of no recovery")
				}
				if a := account(t, s); a.Added != n || a.Open != n {
					t.Errorf("Account = %+v, want %d open", a, n)
				}
				t.Cleanup(func() { s.Close() })
				_, _ = rt.Shutdown(t.Context())
				s.Close()
			})
		})
	}
}

func pragma(t *testing.T, s *sqlite.Store, set string) {
	t.Helper()
	if err := s.Pragma(context.Background(), set); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A redriven letter that succeeds is resolved, in the file as well.
func TestRuntimeRedrivesFromTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "letters.db")})
		if err != nil {
			t.Fatal(err)
		}
		rt := troupetest.New(t, runtime.Config{DeadLetters: s})
		topic, err := topics.Open[int](rt.Runtime, "orders")
		if err != nil {
			t.Fatal(err)
		}
		fixed := false
		if _, err := topic.Subscribe("billing", func(context.Context, int) error {
			if fixed {
				return nil
			}
			return supervisor.Permanent(errors.New("card refused"))
		}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := topic.Publish(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		rt.Idle()
		fixed = true
		ids, err := s.IDs(t.Context(), deadletter.Query{State: deadletter.StateOpen})
		if err != nil || len(ids) != 5 {
			t.Fatalf("%d open letters, %v, want 5", len(ids), err)
		}
		for _, id := range ids {
			if err := rt.Redrive(t.Context(), id, runtime.RedriveConfig{By: "ada"}); err != nil {
				t.Fatal(err)
			}
		}
		rt.Idle()
		a := account(t, s)
		for try := 0; a.Resolved != 5 && try < 100; try++ { // the last outcome may be on its way to the file
			time.Sleep(10 * time.Millisecond)
			a = account(t, s)
		}
		if a.Resolved != 5 || a.Open != 0 {
			t.Errorf("Account = %+v, want 5 resolved", a)
		}
		_, _ = rt.Shutdown(t.Context())
		s.Close()
	})
}
