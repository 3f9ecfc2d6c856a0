package mailbox_test

import (
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/troupe-go/troupe/mailbox"
)

// queueOp is an operation of a bounded queue: put, or else take.
type queueOp struct {
	put bool
	id  byte // what to put
}

type queueResult struct {
	ok bool // false: it was full, or empty
	id byte // what was taken
}

// queueModel is a bounded FIFO queue. It may say that it is empty though it is
// not, if mayHide; and that it is full though it is not, if mayRefuse.
func queueModel(capacity int, mayHide, mayRefuse bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			queue, op, result := state.(string), input.(queueOp), output.(queueResult)
			switch {
			case op.put && result.ok:
				return len(queue) < capacity, queue + string([]byte{op.id})
			case op.put:
				return mayRefuse || len(queue) == capacity, queue
			case result.ok:
				if queue == "" || queue[0] != result.id {
					return false, queue
				}
				return true, queue[1:]
			default:
				return mayHide || queue == "", queue
			}
		},
		DescribeOperation: func(input, output any) string {
			op, result := input.(queueOp), output.(queueResult)
			if op.put {
				return fmt.Sprintf("put(%d) = %v", op.id, result.ok)
			}
			return fmt.Sprintf("take() = %d, %v", result.id, result.ok)
		},
	}
}

// history records what overlapped what.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) record(client int, op queueOp, do func() queueResult) queueResult {
	call := h.clock.Add(1)
	result := do()
	back := h.clock.Add(1)
	h.mu.Lock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: result, Return: back})
	h.mu.Unlock()
	return result
}

// parcel takes long to copy: its producer is often stopped between P1 and P4.
type parcel struct {
	id byte
	_  [4096]byte
}

// stall makes others run, for a while that nobody can foresee.
func stall() {
	for range rand.IntN(4) {
		goruntime.Gosched()
	}
}

// recordHistory lets producers and one consumer loose on a Reject mailbox. With
// stalled, each producer is stopped right after its claim.
func recordHistory(t *testing.T, capacity, producers int, stalled bool) []porcupine.Operation {
	const each = 12
	log := mailbox.NewLog[parcel](nil)
	c, r := subscribe(t, log, mailbox.CursorConfig[parcel]{Overflow: mailbox.Reject, Capacity: capacity, Wake: stall})
	var h history
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for n := range each {
				op := queueOp{put: true, id: byte(p*each + n)}
				h.record(p, op, func() queueResult {
					if !stalled {
						return queueResult{ok: log.Append(impatient(), parcel{id: op.id}) == nil}
					}
					claim := log.Claim()
					stall()
					return queueResult{ok: claim.Finish(impatient(), parcel{id: op.id}, nil) == nil}
				})
				stall()
			}
		})
	}
	all.Go(func() {
		for range each * producers {
			h.record(producers, queueOp{}, func() queueResult {
				v, ok := r.Next()
				stall()
				r.Publish(false)
				r.Settle()
				if !ok {
					c.Sleep()
				}
				return queueResult{ok, v.id}
			})
			stall()
		}
	})
	all.Wait()
	return h.ops
}

// A log with one cursor is a bounded FIFO queue, linearizable but for one
// thing: Next may say none while an earlier publication is under way.
func TestLogWithOneCursorIsALinearizableQueue(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		for _, capacity := range []int{1, 2, 3, 7} {
			for _, stalled := range []bool{false, true} {
				name := fmt.Sprintf("%d processors/capacity %d", procs, capacity)
				if stalled {
					name += "/stalled after the claim"
				}
				t.Run(name, func(t *testing.T) {
					defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(procs))
					// Claims that lie beyond the limit and are given up take
					// room until the consumer has stepped over them.
					model := queueModel(capacity, true, stalled)
					for range 40 {
						ops := recordHistory(t, capacity, 3, stalled)
						if !porcupine.CheckOperations(model, ops) {
							for _, op := range ops {
								t.Logf("[%d, %d] client %d: %s", op.Call, op.Return, op.ClientId, model.DescribeOperation(op.Input, op.Output))
							}
							t.Fatal("the history is not that of a queue")
						}
					}
				})
			}
		}
	}
}

// The exception is needed, and the check would notice a fault.
func TestQueueThatHidesNothingIsNotWhatTheLogIs(t *testing.T) {
	log := mailbox.NewLog[parcel](nil)
	_, r := subscribe(t, log, mailbox.CursorConfig[parcel]{Overflow: mailbox.Reject, Capacity: 3})
	var h history
	h.record(0, queueOp{put: true, id: 1}, func() queueResult {
		claim := log.Claim()
		h.record(1, queueOp{put: true, id: 2}, func() queueResult {
			return queueResult{ok: log.Append(impatient(), parcel{id: 2}) == nil}
		})
		h.record(2, queueOp{}, func() queueResult {
			v, ok := r.Next()
			return queueResult{ok, v.id}
		})
		return queueResult{ok: claim.Finish(impatient(), parcel{id: 1}, nil) == nil}
	})
	for range 2 {
		h.record(2, queueOp{}, func() queueResult {
			v, ok := r.Next()
			return queueResult{ok, v.id}
		})
	}
	for mayHide, want := range map[bool]bool{true: true, false: false} {
		if got := porcupine.CheckOperations(queueModel(3, mayHide, false), h.ops); got != want {
			t.Errorf("linearizable if a queue may hide (%v) = %v, want %v", mayHide, got, want)
		}
	}
	h.ops[len(h.ops)-1].Output = queueResult{true, 1} // taken twice
	if porcupine.CheckOperations(queueModel(3, true, false), h.ops) {
		t.Error("linearizable with an event taken twice = true, want false")
	}
}
