package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/supervisor"
)

// write brings one batch into the store. An error is a fault of the store, and
// everything that is not written is still there.
func (w *letters) write(ctx context.Context) error {
	batch := w.next()
	if len(batch) == 0 {
		return nil
	}
	var err error
	switch {
	case len(batch) > 1 && batch[0].outcome != nil:
		err = w.updateAll(ctx, batch)
	case batch[0].outcome != nil:
		err = w.update(ctx, batch[0])
	default:
		batch, err = w.insert(ctx, batch)
	}
	if err != nil {
		return err
	}
	w.wrote(batch)
	w.call() // for what else waits
	return nil
}

// next returns the letters to add next, or outcomes of different letters: one, if the
// store does not change many at once.
func (w *letters) next() []*unwritten {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		return nil
	}
	outcomes := w.waiting[0].outcome != nil
	limit := min(len(w.waiting), letterBatch)
	if _, many := w.store.(changer); outcomes && !many {
		limit = 1
	}
	n := 0
	seen := map[string]bool{}
	for n < limit && (w.waiting[n].outcome != nil) == outcomes && !(outcomes && seen[w.waiting[n].id]) {
		seen[w.waiting[n].id] = outcomes
		n++
	}
	return slices.Clone(w.waiting[:n])
}

// insert adds a batch of letters. It returns those that need no further work.
func (w *letters) insert(ctx context.Context, batch []*unwritten) ([]*unwritten, error) {
	list := make([]deadletter.Letter, len(batch))
	for i, u := range batch {
		list[i] = w.encoded(u)
	}
	err := guarded(func() error { return w.store.Add(ctx, list) })
	var bad *deadletter.LetterError
	if !errors.As(err, &bad) || bad.Index < 0 || bad.Index >= len(batch) {
		return batch, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	u := batch[bad.Index]
	if u.bare {
		u.refused = true
		return []*unwritten{u}, nil
	}
	// Better a letter without its payload than none.
	l := *u.letter
	l.PayloadError = fmt.Sprintf("left out, %d bytes: %v", len(l.Payload), bad.Err)
	l.Payload = nil
	u.letter, u.bare = &l, true
	return nil, nil
}

// encoded returns the letter of u. It is made here and not when the event died,
// because publishers may be waiting there; and once, because the codec is the
// user's: one that has not come back costs the letter its payload.
func (w *letters) encoded(u *unwritten) deadletter.Letter {
	w.mu.Lock()
	l, stuck := u.letter, u.begun
	u.begun = true
	w.mu.Unlock()
	if l == nil {
		fresh := w.rt.letter(u, stuck)
		w.mu.Lock()
		if u.letter == nil {
			u.letter = &fresh
		}
		l = u.letter
		w.mu.Unlock()
	}
	return *l
}

// updateAll is update of several, with one call of the store if all goes well.
func (w *letters) updateAll(ctx context.Context, batch []*unwritten) error {
	ids := make([]string, len(batch))
	byID := make(map[string]*unwritten, len(batch))
	for i, u := range batch {
		ids[i], byID[u.id] = u.id, u
	}
	var results []error
	err := guarded(func() (err error) {
		results, err = w.store.(changer).Change(ctx, ids, func(l *deadletter.Letter) error { return byID[l.ID].change(l) })
		return err
	})
	if err != nil {
		return err
	}
	for i, u := range batch {
		if results[i] == nil || errors.Is(results[i], deadletter.ErrNotRedriving) {
			continue
		}
		if err := w.update(ctx, u); err != nil { // it knows what can be done
			return err
		}
	}
	return nil
}

// change is outcome, and notes what the letter is about.
func (u *unwritten) change(l *deadletter.Letter) error {
	err := u.outcome(l)
	news := newsOf(l)
	news.Outcome = u.result.Outcome
	// A call of the store that was given up may come this way, too.
	w := u.way.rt.letters
	w.mu.Lock()
	u.news = news
	w.mu.Unlock()
	return err
}

// update brings the outcome of a redrive into its letter.
func (w *letters) update(ctx context.Context, u *unwritten) error {
	err := guarded(func() error { return w.store.Update(ctx, u.id, u.change) })
	var bad *deadletter.LetterError
	switch {
	case errors.Is(err, deadletter.ErrNotRedriving):
		return nil // an outcome that has been written already, or came too late
	case errors.Is(err, deadletter.ErrNotFound) && u.dead != nil:
		// The letter is gone, the failure must not be.
		l := w.encoded(u)
		return guarded(func() error { return w.store.Add(ctx, []deadletter.Letter{l}) })
	case errors.Is(err, deadletter.ErrNotFound):
		return nil
	case errors.As(err, &bad):
		// The letter would become too large: the outcome alone has room.
		return guarded(func() error {
			return w.store.Update(ctx, u.id, u.way.outcome(u.result.Outcome, "", u.at))
		})
	}
	return err
}

// guarded turns a panic of the store into an error.
func guarded(call func() error) error {
	var err error
	if r := panics.Try(func() { err = call() }); r != nil {
		return &supervisor.PanicError{Value: r.Value, Stack: string(r.Stack)}
	}
	return err
}

// wrote ends the wait of what is in the store, or refused by it for good. A
// letter leaves the list after its delivery has its outcome, so that the account
// is complete when the list is empty.
func (w *letters) wrote(batch []*unwritten) {
	var calls []func()
	ended := false
	var news []LetterNews
	defer func() { // also if an observer ends this goroutine
		w.mu.Lock()
		w.waiting = slices.DeleteFunc(w.waiting, func(u *unwritten) bool { return u.written })
		recovered := w.failing != nil && ended
		if recovered {
			w.failing = nil
		}
		w.settle()
		w.mu.Unlock()
		for _, room := range calls {
			room()
		}
		if recovered {
			actors.Notify(w.rt.obs.StoreRecovered, Event{})
		}
		w.rt.watch.tell(news)
		w.rt.sys.Poke()
	}()
	for _, u := range batch {
		w.mu.Lock()
		was := u.written // by a call of the store that had been given up
		u.written = true
		if u.dead != nil && !was {
			if w.counts[u.of]--; w.counts[u.of] == 0 {
				delete(w.counts, u.of)
			}
			calls = append(calls, w.rooms[u.of]...)
			delete(w.rooms, u.of)
		}
		if one, told := u.newsOf(); told && !was {
			news = append(news, one)
		}
		w.mu.Unlock()
		if !was {
			ended = true
			u.end()
		}
	}
}

// end tells the delivery what has become of it.
func (u *unwritten) end() {
	switch {
	case u.dead == nil:
	case u.refused:
		u.dead.Lost(ReasonLetterRefused) // which tells of a redrive, too
		return
	default:
		u.dead.Stored()
	}
	switch {
	case u.edited:
		u.way.succeeded(u)
	case u.way != nil:
		u.way.tell(u.result)
	}
}

// ReasonLetterRefused is why a dead delivery was dropped whose letter the store
// will not have, not even without its payload.
const ReasonLetterRefused = "dead_letter_refused"

// settle tells those that wait for the list to be empty. The caller holds mu.
func (w *letters) settle() {
	if len(w.waiting) == 0 {
		close(w.changed)
		w.changed = make(chan struct{})
	}
}
