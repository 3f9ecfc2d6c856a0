package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

func TestCommitIsAllOrNothing(t *testing.T) {
	a, b := mailbox.NewLog[int](nil), mailbox.NewLog[string](nil)
	_, ra := subscribe(t, a, mailbox.CursorConfig[int]{Name: "a", Capacity: 3, Overflow: mailbox.Reject})
	_, rb := subscribe(t, b, mailbox.CursorConfig[string]{Name: "b", Capacity: 2})
	var cs mailbox.Commits
	commit := func(as []int, bs []string) (int, error) {
		return cs.Commit(impatient(), []mailbox.Part{mailbox.Staged(a, as, nil), mailbox.Staged(b, bs, nil)})
	}
	if at, err := commit([]int{1, 2}, []string{"one"}); err != nil {
		t.Fatal(at, err)
	}
	var full *mailbox.FullError
	if at, err := commit([]int{3, 4}, []string{"two"}); at != 0 || !errors.As(err, &full) || full.Mailbox != "a" {
		t.Errorf("Commit = %d, %v, want a to be full", at, err)
	}
	if at, err := commit([]int{3}, []string{"two", "three"}); at != 1 || !errors.Is(err, errGaveUp) {
		t.Errorf("Commit = %d, %v, want it to give up waiting for b", at, err)
	}
	var many *mailbox.TooManyError
	if at, err := commit([]int{3}, []string{"two", "three", "four"}); at != 1 || !errors.As(err, &many) || *many != (mailbox.TooManyError{"b", 2, 3}) {
		t.Errorf("Commit = %d, %v, want too many for b", at, err)
	}
	if got := take(ra, 9); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("a has %v, want 1, 2", got)
	}
	if got := take(rb, 9); !slices.Equal(got, []string{"one"}) {
		t.Errorf("b has %v, want one", got)
	}
	if a.Accepted() != 2 || b.Accepted() != 1 {
		t.Errorf("%d and %d accepted, want 2 and 1", a.Accepted(), b.Accepted())
	}
	b.Close()
	if at, err := commit([]int{5}, []string{"five"}); at != 1 || !errors.Is(err, mailbox.ErrClosed) {
		t.Errorf("Commit = %d, %v, want b to be closed", at, err)
	}
	if got := take(ra, 9); got != nil {
		t.Errorf("a has %v, want nothing", got)
	}
}

// The events of a part follow each other, also across segments, and larger ones than
// a segment.
func TestCommitOfAnySize(t *testing.T) {
	for _, n := range []int{1, 2, 15, 16, 17, 500, 512, 513, 3000} {
		log := mailbox.NewLog[int](nil)
		_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
		_, dropping := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.DropOldest, Capacity: 7})
		var cs mailbox.Commits
		want := []int{}
		metas := make([]*mailbox.Meta, n)
		metas[n-1] = &mailbox.Meta{Headers: map[string]string{"last": "yes"}}
		for round := range 5 {
			publish(t, log, -1)
			want = append(want, -1)
			vs := make([]int, n)
			for i := range vs {
				vs[i] = round*n + i
			}
			if _, err := cs.Commit(impatient(), []mailbox.Part{mailbox.Staged(log, vs, metas)}); err != nil {
				t.Fatal(err)
			}
			want = append(want, vs...)
		}
		got := take(r, len(want)-1)
		last, _ := r.Next()
		if _, m := r.Facts(); m != metas[n-1] {
			t.Errorf("%d at once: meta of the last = %v", n, m)
		}
		if got = append(got, last); !slices.Equal(got, want) {
			t.Errorf("%d at once: got %d events, want %d in order", n, len(got), len(want))
		}
		if got := take(dropping, 100); !slices.Equal(got, want[max(0, len(want)-7):]) {
			t.Errorf("%d at once: the last are %v", n, got)
		}
	}
}

func TestCommitWaitsForRoomForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		_, r := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 4})
		publish(t, log, 1, 2, 3)
		var cs mailbox.Commits
		done := make(chan error, 1)
		go func() {
			_, err := cs.Commit(context.Background(), []mailbox.Part{mailbox.Staged(log, []int{4, 5, 6}, nil)})
			done <- err
		}()
		time.Sleep(time.Second)
		publish(t, log, 10) // one that needs one place does not wait for it
		for _, want := range []int{1, 2} {
			if got := take(r, 1); got[0] != want {
				t.Fatalf("got %v, want %d", got, want)
			}
			synctest.Wait()
			if len(done) > 0 {
				t.Fatalf("the commit has ended with %d places", want)
			}
		}
		take(r, 1)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := take(r, 9); !slices.Equal(got, []int{10, 4, 5, 6}) {
			t.Errorf("got %v, want 10, 4, 5, 6", got)
		}
	})
}

// Many commits over several logs, among other publications, with mailboxes that are
// full and subscribers that come and go: every log has whole commits, in one order.
func TestManyCommits(t *testing.T) {
	const logs, committers = 3, 4
	each := 1500
	if testing.Short() {
		each = 300
	}
	for _, capacity := range []int{4, 64, 5000} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			var all []*mailbox.Log[int]
			var consumers sync.WaitGroup
			var steps atomic.Uint64
			got := make([][]int, logs)
			var readers []*actor[int]
			for i := range logs {
				log := mailbox.NewLog[int](nil)
				a := &actor[int]{stride: 1 + rand.IntN(4)}
				a.handle = func(_ *mailbox.Reader[int], v int) {
					steps.Add(1)
					got[i] = append(got[i], v)
				}
				if err := a.start(log, mailbox.CursorConfig[int]{Name: fmt.Sprint(i), Capacity: capacity}); err != nil {
					t.Fatal(err)
				}
				all, readers = append(all, log), append(readers, a)
			}
			watchdog(t, steps.Load, func() string { return fmt.Sprint(readers) })
			stop := make(chan struct{})
			consumers.Go(func() { // who comes and goes
				for {
					select {
					case <-stop:
						return
					default:
					}
					a := &actor[int]{stride: 1, handle: func(*mailbox.Reader[int], int) { steps.Add(1) }}
					if err := a.start(all[rand.IntN(logs)], mailbox.CursorConfig[int]{Capacity: capacity, Filter: func(v int, _ *mailbox.Meta) bool { return v%2 == 0 }}); err != nil {
						t.Error(err)
						return
					}
					goruntime.Gosched()
					a.leave()
					<-a.ended
				}
			})
			var cs mailbox.Commits
			var wg sync.WaitGroup
			committed := make([]atomic.Int64, logs)
			for c := range committers {
				wg.Go(func() {
					for n := range each {
						id := (c*each + n + 1) * 10
						var parts []mailbox.Part
						var of []int
						for i := range logs {
							if rand.IntN(2) == 0 {
								size := 1 + rand.IntN(4)
								vs := make([]int, size)
								for k := range vs {
									vs[k] = id + k
								}
								vs[size-1] = -vs[size-1] // the end of the part
								parts = append(parts, mailbox.Staged(all[i], vs, nil))
								of = append(of, i)
							}
						}
						ctx := context.Background()
						if rand.IntN(4) == 0 {
							ctx = impatient()
						}
						if _, err := cs.Commit(ctx, parts); err == nil {
							for _, i := range of {
								committed[i].Add(1)
							}
						} else if !errors.Is(err, errGaveUp) {
							t.Errorf("Commit = %v", err)
						}
						steps.Add(1)
					}
				})
			}
			for range 2 {
				wg.Go(func() {
					for n := range each * 3 {
						if err := all[n%logs].Append(context.Background(), 0); err != nil {
							t.Errorf("Append = %v", err)
						}
						steps.Add(1)
					}
				})
			}
			wg.Wait()
			close(stop)
			consumers.Wait()
			place := make([]map[int]int, logs)
			order := make([][]int, logs)
			for i, a := range readers {
				a.leave()
				<-a.ended
				place[i] = map[int]int{}
				for k := 0; k < len(got[i]); k++ {
					v := got[i][k]
					if v == 0 {
						continue
					}
					id := max(v, -v) / 10
					if max(v, -v)%10 != 0 {
						t.Fatalf("log %d: commit %d begins with %d", i, id, v)
					}
					for n := 1; got[i][k] > 0; n++ {
						k++
						if w := got[i][k]; max(w, -w) != id*10+n {
							t.Fatalf("log %d: %d follows in commit %d", i, w, id)
						}
					}
					place[i][id] = len(order[i])
					order[i] = append(order[i], id)
				}
				if len(order[i]) != int(committed[i].Load()) {
					t.Errorf("log %d: %d commits, want %d", i, len(order[i]), committed[i].Load())
				}
			}
			for i := range logs {
				for j := range i {
					last := -1
					for _, id := range order[i] {
						if at, ok := place[j][id]; ok {
							if at < last {
								t.Fatalf("commit %d is in another order in log %d than in log %d", id, j, i)
							}
							last = at
						}
					}
				}
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			log := mailbox.NewLog[int](nil)
			_, r := subscribe(b, log, mailbox.CursorConfig[int]{Capacity: 10000})
			var cs mailbox.Commits
			vs := make([]int, size)
			n, ctx := 0, context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cs.Commit(ctx, []mailbox.Part{mailbox.Staged(log, vs, nil)}); err != nil {
					b.Fatal(err)
				}
				if n += size; n%4096 < size {
					take(r, 10000)
				}
			}
		})
	}
}
