package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// pipeline is what the program runs:
//
//	walk ──files.found──▶ parser ──files.parsed──▶ imports, declarations, notes
//	                        └──▶ dead letters
type pipeline struct {
	dir   string
	files fs.FS
	parse func(fs.FS, File) (Parsed, error)
	retry supervisor.Retry

	server *server // nil unless asked for

	imports      *collector[[]string]
	declarations *collector[Declarations]
	notes        *collector[[]Note]
	collectors   map[string]func(context.Context, Parsed) error
}

func newPipeline(dir string, files fs.FS) *pipeline {
	p := &pipeline{
		dir: dir, files: files, parse: parse,
		retry:        supervisor.Retry{MaxAttempts: 3, BaseDelay: 50 * time.Millisecond},
		imports:      collect(func(p Parsed) []string { return p.Imports }),
		declarations: collect(func(p Parsed) Declarations { return p.Declarations }),
		notes:        collect(func(p Parsed) []Note { return p.Notes }),
	}
	p.collectors = map[string]func(context.Context, Parsed) error{
		"imports": p.imports.handle, "declarations": p.declarations.handle, "notes": p.notes.handle,
	}
	return p
}

// run indexes the files until each has its outcome or ctx ends. In both cases
// what has been found is finished first, and the summary is true for it.
func (p *pipeline) run(ctx context.Context, progress *progress) (*Summary, error) {
	began := time.Now()
	letters, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		return nil, err
	}
	rt, err := runtime.New(runtime.Config{Name: "indexer", DeadLetters: letters})
	if err != nil {
		return nil, err
	}
	drain := context.WithoutCancel(ctx)
	defer rt.Shutdown(drain) // on the ways out before the one below
	found, parser, err := p.subscribe(rt)
	if err != nil {
		return nil, err
	}
	if p.server != nil {
		defer p.server.stop(drain)
		if err := p.server.start(rt); err != nil {
			return nil, err
		}
	}
	stopProgress := sync.OnceFunc(progress.start(ctx, "indexing "+p.dir, func() string { return status(rt.Snapshot()) }))
	defer stopProgress()

	var w walk
	if err := w.run(ctx, p.files, found.Publish); err != nil {
		return nil, err
	}
	if w.found == 0 && len(w.unreadable) == 0 && ctx.Err() == nil {
		return nil, fmt.Errorf("no Go files in it: name a directory with .go files (links and special files passed over: %d)", w.skipped)
	}
	if err := rt.Idle(ctx); err != nil && ctx.Err() == nil {
		return nil, err
	}
	interrupted, took := ctx.Err() != nil, time.Since(began)
	if p.server != nil {
		stopProgress()
		if !interrupted {
			p.server.wait(ctx, status(rt.Snapshot()))
		}
	}
	drain, cancel := context.WithTimeout(drain, 30*time.Second) // far more than it takes
	defer cancel()
	report, err := rt.Shutdown(drain)
	if err != nil {
		return nil, err
	}
	s := p.summary(w, parser.Snapshot().Counts, report)
	s.Interrupted, s.Seconds = interrupted, took.Seconds()
	s.DeadLetters, err = groups(letters)
	s.Evicted = letters.Stats().Evicted
	return s, err
}

// subscribe builds the pipeline from its end to its beginning.
func (p *pipeline) subscribe(rt *runtime.Runtime) (*topics.Topic[File], *runtime.Subscription, error) {
	found, err := topics.Open[File](rt, "files.found")
	if err != nil {
		return nil, nil, err
	}
	parsed, err := topics.Open[Parsed](rt, "files.parsed")
	if err != nil {
		return nil, nil, err
	}
	config := topics.SubscriberConfig{
		Retry: p.retry,
		// A file that waits for its next attempt lets the others pass.
		Ordering: topics.Parked,
		// An instance has no state to lose, and every failure is charged to a
		// file whose attempts are limited: no need to slow down.
		Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited},
		// Whoever publishes waits, so memory is bounded and Ctrl-C leaves little
		// to finish.
		Capacity: 64,
	}
	var faults []error
	for name, handle := range p.collectors {
		_, err := parsed.Subscribe(name, handle, config)
		faults = append(faults, err)
	}
	parser, err := found.Subscribe("parser", func(ctx context.Context, f File) error {
		file, err := p.parse(p.files, f)
		if err != nil {
			return err
		}
		return parsed.Publish(ctx, file)
	}, config)
	return found, parser, errors.Join(append(faults, err)...)
}

// status is the line that shows progress.
func status(s runtime.Snapshot) string {
	found, _ := s.Topic("files.found")
	return fmt.Sprintf("%d found, %d parsed, %d dead letters, %d restarts",
		found.Accepted, found.Total.Done, s.Total.DeadLettered, s.Total.Restarts)
}
