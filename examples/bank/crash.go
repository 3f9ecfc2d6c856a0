package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-go/troupe/topics"
)

// tellers is how many work at the same time in the process that is killed, each with an
// account of his own and with one that all of them share.
const tellers = 4

// crash has this program run as another process, kills it while it works, and looks
// whether what it had acknowledged is there, once. It does so several times.
func crash(ctx context.Context, at place, kills int, out io.Writer) error {
	acked := map[string]bool{}
	for n := range kills {
		told, err := killed(ctx, at, 40*(n+1), acked)
		if err != nil {
			return err
		}
		store, err := at.open(ctx)
		if err != nil {
			return err
		}
		b, err := openBank(store)
		if err != nil {
			return err
		}
		found, err := b.audit(ctx, acked)
		if err = errors.Join(err, b.Close(ctx)); err != nil {
			return err
		}
		fmt.Fprintf(out, "kill %d: %d commands acknowledged, %d in all; %d found, lost 0, twice 0\n", n+1, told, len(acked), found)
	}
	return nil
}

// killed starts the other process and kills it after so many acknowledgments. The IDs of
// the commands are added to acked.
func killed(ctx context.Context, at place, after int, acked map[string]bool) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"-work"}, at.arguments()...)...)
	cmd.Env = append(os.Environ(), "BANK=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	told := 0
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		acked[lines.Text()] = true
		if told++; told == after {
			// At any moment from now on, so that it is in the middle of something, with no
			// chance to say goodbye. What it has told until then is still in the pipe.
			time.AfterFunc(rand.N(10*time.Millisecond), func() { _ = cmd.Process.Kill() }) // Wait tells
		}
	}
	err = cmd.Wait()
	if _, dead := errors.AsType[*exec.ExitError](err); !dead || told < after {
		return told, fmt.Errorf("the other process ended by itself after %d commands: %w", told, err)
	}
	return told, nil
}

// work is what the other process does, for ever: deposits of a cent, each told when it is
// acknowledged.
func work(ctx context.Context, at place, out io.Writer) error {
	store, err := at.open(ctx)
	if err != nil {
		return err
	}
	b, err := openBank(store)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var workers sync.WaitGroup
	failed := make(chan error, tellers+1)
	for w := range tellers {
		own := "teller-" + strconv.Itoa(w)
		for _, id := range []string{own, "shared"} {
			if _, err := b.Accounts.Execute(ctx, id, Open{id}); err != nil && !errors.Is(err, ErrOpen) {
				return err
			}
		}
		workers.Go(func() {
			for i := 0; ; i++ {
				account := own
				if i%2 == 1 {
					account = "shared"
				}
				id := topics.NewID()
				if _, err := b.Accounts.Execute(ctx, account, Deposit{1}, topics.Meta{ID: id}); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				_, err := fmt.Fprintln(out, id)
				mu.Unlock()
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	err = <-failed
	workers.Wait()
	return errors.Join(err, b.Close(ctx))
}

// audit compares what was acknowledged with what is in the store, and that with the read
// model, and returns how many deposits there are.
func (b *Bank) audit(ctx context.Context, acked map[string]bool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := b.View.CaughtUp(ctx); err != nil {
		return 0, err
	}
	found := map[string]int{}
	deposits := 0
	for _, account := range b.Balances.IDs() {
		var cents int64
		for rec, err := range b.store.Read(ctx, b.stream(account), 0) {
			if err != nil {
				return 0, err
			}
			if rec.Type == "deposited" {
				found[rec.Metadata[topics.HeaderCausation]]++
				deposits++
				cents++
			}
		}
		if got := b.Balances.Of(account); got != cents {
			return 0, fmt.Errorf("the read model says %d of %s, and %d cents were deposited", got, account, cents)
		}
		if state, _, err := b.Accounts.Load(ctx, account); err != nil || state.Cents != cents {
			return 0, fmt.Errorf("%s is loaded with %d cents (%w), and %d were deposited", account, state.Cents, err, cents)
		}
	}
	for id := range acked {
		if found[id] == 0 {
			return 0, fmt.Errorf("command %s was acknowledged, and is lost", id)
		}
	}
	for id, n := range found {
		if n > 1 {
			return 0, fmt.Errorf("command %s was carried out %d times", id, n)
		}
	}
	return deposits, nil
}
