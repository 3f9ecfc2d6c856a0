package deadlettertest_test

import (
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
)

// A store's test file holds one test that runs the suite.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestMemoryConforms(t *testing.T)
		deadlettertest.Run(t, func(t *testing.T) deadletter.Store {
			store, err := deadletter.NewMemory(deadletter.MemoryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			return store
		})
	}
}
