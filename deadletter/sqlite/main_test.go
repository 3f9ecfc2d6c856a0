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
	if err := flag.Set("rapid.checks", "15"); err != nil {
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
