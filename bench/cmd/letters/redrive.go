package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

type order struct {
	ID int `json:"id"`
}

// redriven is how many letters are sent back.
const redriven = 10_000

// redrive measures a redrive from its call to the end of its last letter, with what every
// letter went through on the disk.
func (r *run) redrive(ctx context.Context) error {
	r.out.line("## Redrive of %d letters\n\nTo a handler that does nothing, without a limit of the rate, until each has its result on the disk.", redriven)
	r.out.table("time", "letters/s")
	for range 3 {
		took, err := r.redriveOnce(ctx)
		if err != nil {
			return err
		}
		r.say("redrive of %d letters: %v", redriven, took.Round(time.Millisecond))
		r.out.row(took.Round(time.Millisecond).String(), fmt.Sprintf("%.0f", redriven/took.Seconds()))
	}
	r.out.line("")
	return nil
}

func (r *run) redriveOnce(ctx context.Context) (took time.Duration, err error) {
	s, err := sqlite.Open(sqlite.Config{Path: r.file(fmt.Sprintf("redrive-%d.db", time.Now().UnixNano()))})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	rt, err := runtime.New(runtime.Config{DeadLetters: s})
	if err != nil {
		return 0, err
	}
	defer func() {
		_, e := rt.Shutdown(context.WithoutCancel(ctx))
		err = errors.Join(err, e)
	}()
	topic, err := topics.Open[order](rt, "orders")
	if err != nil {
		return 0, err
	}
	fails := true
	_, err = topic.Subscribe("billing", func(context.Context, order) error {
		if fails {
			return supervisor.Permanent(errors.New("card refused"))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i := range redriven {
		if err := topic.Publish(ctx, order{i}); err != nil {
			return 0, err
		}
	}
	if err := rt.Idle(ctx); err != nil {
		return 0, err
	}
	fails = false // nothing is under way
	desk, err := ops.New(rt, ops.Config{})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	op, err := desk.Redrive(ctx, ops.By{Name: "bench"}, ops.Redrive{Scope: ops.Scope{Query: "*"}})
	for err == nil && op.State == deadletter.OperationRunning {
		time.Sleep(5 * time.Millisecond)
		op, err = desk.Operation(ctx, op.ID)
	}
	took = time.Since(start)
	if n := op.Items[deadletter.ItemDone]; err == nil && n != redriven {
		err = fmt.Errorf("%d letters are done, want %d: %s, %v", n, redriven, op.State, op.Items)
	}
	return took, err
}
