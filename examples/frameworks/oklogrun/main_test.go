package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/run"
)

func TestWhatWasAcceptedIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		var g run.Group
		err := work(&g, strings.NewReader("a\nb\nc\n"), func(_ context.Context, name string) error {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, name)
			return nil
		})
		if err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("handled %q, %v, want all three", got, err)
		}
	})
}

// Another actor of the group that ends, stops the work, drained, and its error stays.
func TestAnotherActorEndsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, feed := io.Pipe()
		handled := 0
		errGone := errors.New("lease is gone")
		var g run.Group
		g.Add(func() error {
			for _, name := range []string{"a\n", "b\n"} {
				if _, err := io.WriteString(feed, name); err != nil {
					return err
				}
			}
			synctest.Wait()
			return errGone
		}, func(error) {})
		err := work(&g, in, func(context.Context, string) error {
			time.Sleep(time.Second)
			handled++
			return nil
		})
		if !errors.Is(err, errGone) || handled != 2 {
			t.Errorf("handled %d, %v, want 2 and the error of the actor", handled, err)
		}
		_ = feed.Close() // the scanner's goroutine ends
	})
}

// What the drain leaves is told, though the group returns the first error only.
func TestWhatIsLeftIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g run.Group
		err := work(&g, strings.NewReader("a\n"), func(ctx context.Context, _ string) error {
			<-ctx.Done() // the deadline of the drain
			return ctx.Err()
		})
		if err == nil || !strings.Contains(err.Error(), "names/size: 1 event") {
			t.Errorf("%v, want what the runtime has left", err)
		}
	})
}

// A source that breaks is what work fails with.
func TestABrokenInputIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errTorn := errors.New("torn cable")
		var g run.Group
		err := work(&g, io.MultiReader(strings.NewReader("a\n"), broken{errTorn}), func(context.Context, string) error { return nil })
		if !errors.Is(err, errTorn) {
			t.Errorf("%v, want %v", err, errTorn)
		}
	})
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
