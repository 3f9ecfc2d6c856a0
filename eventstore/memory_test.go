package eventstore_test

import (
	"context"
	"testing"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/eventstoretest"
)

func TestMemory(t *testing.T) {
	eventstoretest.Run(t, eventstoretest.Config{Volatile: true, New: func(*testing.T) eventstoretest.Open {
		m := eventstore.NewMemory()
		return func(context.Context) (eventstore.Store, error) { return m, nil }
	}})
}
