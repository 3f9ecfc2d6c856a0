package mailbox_test

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
)

func same(v int) int { return v }

// join subscribes an inbox that begins with what is kept.
func join(t testing.TB, k *mailbox.Keeper[int], cfg mailbox.CursorConfig[int]) (*mailbox.Inbox[int], *mailbox.Reader[int]) {
	t.Helper()
	in := mailbox.NewInbox(cfg)
	if err := mailbox.FeedKept(in, k, "", same); err != nil {
		t.Fatal(err)
	}
	return in, in.Reader()
}

func keep(t testing.TB, log *mailbox.Log[int], n int, key func(int) string) *mailbox.Keeper[int] {
	t.Helper()
	k, err := mailbox.Keep(log, n, key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeeperGivesANewcomerTheLast(t *testing.T) {
	for _, published := range []int{0, 2, 5, 2000} {
		log := mailbox.NewLog[int](nil)
		k := keep(t, log, 3, nil)
		var want []int
		for n := 1; n <= published; n++ {
			publish(t, log, n)
			want = append(want, n)
		}
		want = append(want[max(0, len(want)-3):], -1)
		_, r := join(t, k, mailbox.CursorConfig[int]{Capacity: 10})
		publish(t, log, -1)
		if got := take(r, 10); !slices.Equal(got, want) {
			t.Errorf("%d published: got %v, want %v", published, got, want)
		}
		if r.Seq() != 0 && r.Seq() != uint64(published+1) {
			t.Errorf("Seq() = %d, want %d", r.Seq(), published+1)
		}
	}
}

func TestKeeperOfKeys(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	k := keep(t, log, 2, func(v int) string { return strconv.Itoa(v % 3) })
	publish(t, log, 1, 2, 4, 5, 8)
	if _, r := join(t, k, mailbox.CursorConfig[int]{Capacity: 10}); !slices.Equal(take(r, 10), []int{4, 8}) {
		t.Error("want the newest of each key")
	}
	publish(t, log, 3) // a third key: the one that waited longest goes
	if _, r := join(t, k, mailbox.CursorConfig[int]{Capacity: 10}); !slices.Equal(take(r, 10), []int{8, 3}) {
		t.Error("want the newest of the two newest keys")
	}
	if last := k.Last(); len(last) != 2 || last[1].Event != 3 || last[1].Seq != 6 {
		t.Errorf("Last() = %v", last)
	}
}

// More than there is room for: publishers wait until a place is free.
func TestKeptEventsTakeRoom(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	k := keep(t, log, 5, nil)
	publish(t, log, 1, 2, 3, 4, 5, 6)
	_, r := join(t, k, mailbox.CursorConfig[int]{Name: "small", Capacity: 2, Overflow: mailbox.Reject})
	_, all := join(t, k, mailbox.CursorConfig[int]{Name: "picky", Capacity: 2, Overflow: mailbox.Reject,
		Filter: func(v int, _ *mailbox.Meta) bool { return v == 6 || v > 100 }})
	for _, want := range []int{2, 3, 4} {
		if err := log.Append(impatient(), 7); err == nil {
			t.Fatalf("Append before %d is taken = nil, want it refused", want)
		}
		if got := take(r, 1); !slices.Equal(got, []int{want}) {
			t.Fatalf("got %v, want %d", got, want)
		}
	}
	if err := log.Append(impatient(), 7); err == nil {
		t.Error("Append while 5 and 6 wait = nil, want it refused")
	}
	take(r, 1)
	publish(t, log, 101)
	if got := take(all, 9); !slices.Equal(got, []int{6, 101}) {
		t.Errorf("picky got %v, want 6 and 101", got)
	}
}

// Between what is kept and what comes there is neither a gap nor an event twice,
// whoever publishes meanwhile.
func TestNewcomersGetEveryEventOnce(t *testing.T) {
	const kept = 20
	events := 20000
	if testing.Short() {
		events = 4000
	}
	for _, over := range []mailbox.Overflow{mailbox.Unbounded, mailbox.Block} {
		for _, producers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v/%d", over, producers), func(t *testing.T) {
				log := mailbox.NewLog[int](nil)
				k := keep(t, log, kept, nil)
				var published atomic.Int64
				var wg, readers sync.WaitGroup
				for range producers {
					wg.Go(func() {
						for i := range events {
							if i%97 == 0 { // leaves a tombstone now and then
								_ = log.Append(impatient(), -1)
								published.Add(1)
							} else if err := log.Append(context.Background(), i); err == nil {
								published.Add(1)
							}
						}
					})
				}
				done := make(chan struct{})
				for i := range 30 {
					for published.Load() < int64(i*events*producers/40) {
						goruntime.Gosched()
					}
					in, r := join(t, k, mailbox.CursorConfig[int]{Capacity: 64, Overflow: over})
					readers.Go(func() {
						var seen uint64
						last := uint64(0)
						for ended := false; ; {
							_, ok := r.Next()
							if !ok {
								r.Publish(false)
								r.Settle()
								if ended {
									break
								}
								select {
								case <-done:
									ended = true
								default:
								}
								goruntime.Gosched()
								continue
							}
							seen++
							if r.Seq() <= last {
								t.Errorf("sequence %d after %d", r.Seq(), last)
							}
							if over == mailbox.Unbounded && last > 0 && r.Seq() != last+1 {
								t.Errorf("sequence %d after %d, want no gap", r.Seq(), last)
							}
							last = r.Seq()
						}
						in.Inspect(func(d mailbox.Drops) {
							if d.Accepted != seen || d.UnderWay != 0 {
								t.Errorf("%+v after %d events", d, seen)
							}
						})
						if last != log.Head() {
							t.Errorf("the last event is %d, want %d", last, log.Head())
						}
						in.Detach()
						for !r.Drained() {
							goruntime.Gosched()
						}
						in.Close()
					})
				}
				wg.Wait()
				close(done)
				readers.Wait()
			})
		}
	}
}
