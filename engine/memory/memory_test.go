package memory_test

import (
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/memory"
)

func TestEngine(t *testing.T) {
	e := memory.New()
	enginetest.Run(t, enginetest.Harness{
		Variant:    "memory, for tests",
		Open:       func() (engine.Engine, error) { return e, nil },
		OneProcess: true, // it closes with all that is in it
		Lease:      300 * time.Millisecond,
	})
}
