package sqlite_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
		return
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
