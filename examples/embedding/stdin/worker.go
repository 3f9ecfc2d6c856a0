package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// subscribe builds the worker, from its end to its beginning:
//
//	lines.read ──▶ hasher, 4 at a time ──files.hashed──▶ printer
func subscribe(rt *runtime.Runtime, out io.Writer, hash func(path string) (string, error)) (*topics.Topic[string], error) {
	lines, err := topics.Open[string](rt, "lines.read")
	if err != nil {
		return nil, err
	}
	hashed, err := topics.Open[string](rt, "files.hashed")
	if err != nil {
		return nil, err
	}
	// One subscriber writes, so that no lock is needed and no line is torn.
	if _, err := hashed.Subscribe("printer", func(_ context.Context, line string) error {
		_, err := fmt.Fprintln(out, line)
		if err != nil {
			return supervisor.Permanent(err) // part of it may have been written
		}
		return nil
	}); err != nil {
		return nil, err
	}
	_, err = lines.Subscribe("hasher", func(ctx context.Context, path string) error {
		sum, err := hash(path)
		if errors.Is(err, fs.ErrNotExist) {
			return supervisor.Permanent(err)
		}
		if err != nil {
			return err
		}
		return hashed.Publish(ctx, sum+"  "+path)
	}, topics.SubscriberConfig{
		Workers:  4,
		Capacity: 256, // reading waits when so many lines do
		Retry:    supervisor.Retry{MaxAttempts: 3, BaseDelay: 100 * time.Millisecond},
	})
	return lines, err
}

// hash returns the SHA-256 of a file in hexadecimal digits.
func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
