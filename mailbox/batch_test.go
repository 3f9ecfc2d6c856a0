package mailbox_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// upTo returns 0 to n-1.
func upTo(n int) []int {
	var s []int
	for i := range n {
		s = append(s, i)
	}
	return s
}

// taken returns everything that is there to take.
func taken(r *mailbox.Reader[int]) []int {
	var s []int
	for v, ok := r.Next(); ok; v, ok = r.Next() {
		s = append(s, v)
	}
	r.Publish(false)
	r.Settle()
	return s
}

func TestBatchIsPublishedInOrderWhateverItsSize(t *testing.T) {
	for _, size := range []int{0, 1, 15, 16, 17, 63, 64, 65, 5000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
			publish(t, log, -1)
			if n, err := log.AppendBatch(t.Context(), upTo(size)); n != size || err != nil {
				t.Fatalf("AppendBatch = %d, %v, want %d, nil", n, err, size)
			}
			publish(t, log, -2)
			if got, want := taken(r), append(append([]int{-1}, upTo(size)...), -2); !slices.Equal(got, want) {
				t.Errorf("taken %v, want %v", got, want)
			}
			if r.Seq() != uint64(size)+2 || log.Accepted() != uint64(size)+2 {
				t.Errorf("Seq() = %d, Accepted() = %d, want %d", r.Seq(), log.Accepted(), size+2)
			}
		})
	}
}

// A batch is accepted as far as there is room, and what follows was not tried.
func TestBatchStopsAtTheFirstRefusal(t *testing.T) {
	for _, c := range []struct {
		over mailbox.Overflow
		want error
	}{{mailbox.Reject, mailbox.ErrFull}, {mailbox.Block, errGaveUp}} {
		t.Run(c.over.String(), func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			_, wide := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
			_, r := subscribe(t, log, mailbox.CursorConfig[int]{Name: "narrow", Overflow: c.over, Capacity: 100})
			batch := upTo(250)
			for _, want := range []int{100, 100, 50} {
				n, err := log.AppendBatch(impatient(), batch)
				if n != want || want < 100 && err != nil || want == 100 && !errors.Is(err, c.want) {
					t.Fatalf("AppendBatch = %d, %v, want %d, %v", n, err, want, c.want)
				}
				if got := taken(r); !slices.Equal(got, batch[:want]) {
					t.Fatalf("taken %v, want %v", got, batch[:want])
				}
				batch = batch[n:]
			}
			if got := taken(wide); !slices.Equal(got, upTo(250)) {
				t.Errorf("taken %v, want all", got)
			}
		})
	}
	log := mailbox.NewLog[int](nil)
	if n, err := log.AppendBatch(t.Context(), upTo(3)); n != 0 || !errors.Is(err, mailbox.ErrNoSubscriber) {
		t.Errorf("AppendBatch = %d, %v, want 0, %v", n, err, mailbox.ErrNoSubscriber)
	}
	log.Close()
	if n, err := log.AppendBatch(t.Context(), upTo(3)); n != 0 || !errors.Is(err, mailbox.ErrClosed) {
		t.Errorf("AppendBatch = %d, %v, want 0, %v", n, err, mailbox.ErrClosed)
	}
}

// A batch that is larger than a mailbox goes through it, and wakes whoever sleeps.
func TestBatchWaitsForRoomAndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		var got []int
		a := &actor[int]{stride: 3, handle: func(_ *mailbox.Reader[int], v int) { got = append(got, v); time.Sleep(time.Millisecond) }}
		if err := a.start(log, mailbox.CursorConfig[int]{Capacity: 10}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // asleep
		if n, err := log.AppendBatch(t.Context(), upTo(1000)); n != 1000 || err != nil {
			t.Fatalf("AppendBatch = %d, %v, want 1000, nil", n, err)
		}
		a.leave()
		<-a.ended
		if !slices.Equal(got, upTo(1000)) {
			t.Errorf("handled %v, want all in order", got)
		}
	})
}

// What was claimed and found no room leaves no trace.
func TestBatchGivenUpAfterItsClaimLeavesNoTrace(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Name: "narrow", Overflow: mailbox.Reject, Capacity: 2})
	for round := range 3 {
		if n, _, err := log.AppendBatchAfterItsCheck(t.Context(), upTo(5)); n != 2 || !errors.Is(err, mailbox.ErrFull) {
			t.Fatalf("round %d: AppendBatch = %d, %v, want 2, %v", round, n, err, mailbox.ErrFull)
		}
		if c.Len() != 2 || log.Accepted() != uint64(2*round+2) {
			t.Errorf("round %d: Len() = %d, Accepted() = %d, want 2, %d", round, c.Len(), log.Accepted(), 2*round+2)
		}
		if got := taken(r); !slices.Equal(got, upTo(2)) {
			t.Errorf("round %d: taken %v, want 0 and 1", round, got)
		}
	}
}
