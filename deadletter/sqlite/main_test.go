package sqlite_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
		return
	}
	// Each check writes files: what finds nothing new takes minutes. The command
	// line may ask for more.
	checks := "15"
	if raceEnabled {
		checks = "4" // one goroutine asks; it is the writer's that the detector is to see
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func tempDir() string {
	dir, err := os.MkdirTemp("", "troupe-sqlite-")
	if err != nil {
		panic(err)
	}
	return dir
}

func removeAll(dir string) { os.RemoveAll(dir) }
