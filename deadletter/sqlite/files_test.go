package sqlite_test

import "os"

func tempDir() string {
	dir, err := os.MkdirTemp("", "troupe-sqlite-")
	if err != nil {
		panic(err)
	}
	return dir
}

func removeAll(dir string) { os.RemoveAll(dir) }
