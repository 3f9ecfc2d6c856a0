package actors

import (
	"container/heap"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// maxAttempts bounds the history of a delivery: the first attempt and the newest.
const maxAttempts = 20

// held is an event that has left the log without an outcome: it waits for its
// next attempt, or came back from the dead letters.
type held[T any] struct {
	ev           T
	topic        string // if the cell is fed by several
	seq          uint64
	publishedAt  time.Time
	headers      map[string]string
	id           string // given, else ""
	attempt      int    // attempts made and charged
	company      int    // of these, in a batch that has been taken apart: they are not charged
	attempts     []Attempt
	attemptCount int
	due          time.Time // of the next attempt; zero means now
	redelivery   *Redelivery
	hold         mailbox.Hold[T] // on its key, until it has its outcome
	ticket       *Ticket         // of who waits for the outcome
}

func (h *held[T]) record(a Attempt) {
	h.attemptCount++
	if len(h.attempts) == maxAttempts {
		copy(h.attempts[1:], h.attempts[2:])
		h.attempts[maxAttempts-1] = a
		return
	}
	h.attempts = append(h.attempts, a)
}

// waitRoom holds the events that are set aside until their next attempt,
// earliest first.
type waitRoom[T any] []*held[T]

func (w waitRoom[T]) Len() int           { return len(w) }
func (w waitRoom[T]) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waitRoom[T]) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waitRoom[T]) Push(x any)        { *w = append(*w, x.(*held[T])) }
func (w *waitRoom[T]) Pop() any {
	old := *w
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return h
}

func (w *waitRoom[T]) add(h *held[T]) { heap.Push(w, h) }

// next returns the earliest event that is due, or nil.
func (w *waitRoom[T]) next(now time.Time) *held[T] {
	if len(*w) == 0 || (*w)[0].due.After(now) {
		return nil
	}
	return heap.Pop(w).(*held[T])
}
