package deadletter

import (
	"cmp"
	"container/heap"
	"time"
)

// dueHeap holds the letters that will go by themselves, the next one first:
// tombstones with a PurgeAt and, with MaxAge, all others that are not being
// redriven.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].dueRank, h[j].dueRank = i, j
}

// Push is for package heap.
func (h *dueHeap) Push(e any) {
	e.(*entry).dueRank = len(*h)
	*h = append(*h, e.(*entry))
}

// Pop is for package heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}

func (h *dueHeap) add(e *entry) {
	if !e.due.IsZero() {
		heap.Push(h, e)
	}
}

func (h *dueHeap) remove(e *entry) {
	if !e.due.IsZero() {
		heap.Remove(h, e.dueRank)
	}
}

// dueAt returns when the letter is to go by itself, zero for never.
func (m *Memory) dueAt(l *Letter) time.Time {
	if l.State == StateDeleted {
		if l.Closed == nil {
			return time.Time{}
		}
		return l.Closed.PurgeAt
	}
	if m.cfg.MaxAge == 0 || l.State == StateRedriving {
		return time.Time{}
	}
	from := cmp.Or(l.LastFailedAt, l.FirstFailedAt, l.PublishedAt)
	if from.IsZero() {
		from = time.Now()
	}
	return from.Add(m.cfg.MaxAge)
}

// expire lets go of what is due. There is no goroutine for it: whoever calls the
// store next finds it as it should be.
func (m *Memory) expire() {
	m.mu.RLock()
	due := m.isDue()
	m.mu.RUnlock()
	if !due {
		return
	}
	var expired []*entry
	m.mu.Lock()
	for m.isDue() {
		e := m.due[0]
		m.take(e)
		if e.letter.State == StateDeleted {
			m.stats.Deleted++
			continue
		}
		m.stats.Expired++
		if m.cfg.OnExpire != nil {
			expired = append(expired, e)
		}
	}
	m.groups.forget()
	m.mu.Unlock()
	for _, e := range expired {
		m.cfg.OnExpire(e.letter.Clone())
	}
}

func (m *Memory) isDue() bool {
	return len(m.due) > 0 && !m.closed && !m.due[0].due.After(time.Now())
}
