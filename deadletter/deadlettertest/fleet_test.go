package deadlettertest_test

import (
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
)

func TestFleetInMemory(t *testing.T) {
	deadlettertest.RunFleet(t, func(t *testing.T) deadletter.Fleet {
		m, err := deadletter.NewMemory(deadletter.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return deadlettertest.NewFleet(m)
	})
}
