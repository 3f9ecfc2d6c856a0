package runtime

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
)

// errand is what the member has to know that takes an event to its subscriber, as
// deadletter.Redrive.Errand has it.
type errand struct {
	To     Destination `json:"to,omitzero"`
	Why    string      `json:"why,omitempty"`
	Edited *Edited     `json:"edited,omitempty"`
}

// offer is an errand that may be taken.
type offer struct {
	l deadletter.Letter
	r deadletter.Redrive
	errand
}

// errTaken keeps a letter as it is whose errand another member has taken.
var errTaken = errors.New("runtime: another member has taken it")

// elsewhereFor makes w an errand, if another member serves its destination: else it
// returns why, which is the error that it has met here.
func (rt *Runtime) elsewhereFor(w *wayBack, here error) error {
	f := rt.fleet
	if f == nil || !errors.Is(here, ErrUnknownTopic) && !errors.Is(here, ErrUnknownSubscriber) {
		return here
	}
	by, err := f.servers(w.at)
	switch {
	case err != nil:
		return err
	case len(by) == 0:
		return fmt.Errorf("%w, and no other member of the fleet has it", here)
	case w.cfg.Rehearse:
		return fmt.Errorf("%w: %s: a rehearsal has no letter to tell its outcome: rehearse there", ErrElsewhere, strings.Join(by, ", "))
	case w.edited && (w.withheld || rt.cfg.Redact != nil):
		return fmt.Errorf("%w: %s: an edited event of a letter that is redacted is not stored: edit it there", ErrElsewhere, strings.Join(by, ", "))
	}
	e := errand{To: w.cfg.To, Why: w.cfg.Why}
	if w.edited {
		e.Edited = &Edited{Payload: w.l.Payload, ContentType: w.l.ContentType, Headers: w.l.Headers, EventID: w.eventID, As: w.as}
	}
	text, err := json.Marshal(e)
	w.errand = string(text)
	return err
}

// servers returns the members that serve a destination, as of a beat ago at most.
func (f *fleet) servers(at Destination) ([]string, error) {
	f.mu.Lock()
	known, ok := f.serving[at]
	f.mu.Unlock()
	if ok && time.Since(known.at) < FleetBeat {
		return known.by, known.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fleetCall)
	defer cancel()
	known = served{at: time.Now()}
	known.err = guarded(func() (err error) {
		known.by, err = f.store.Serving(ctx, deadletter.Served{Topic: at.Topic, Subscriber: at.Subscriber})
		return err
	})
	if known.err != nil {
		known.err = fmt.Errorf("%w: %w", ErrStoreFailed, known.err)
	}
	known.by = slices.DeleteFunc(known.by, func(id string) bool { return id == f.self.ID })
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.serving) > 1000 {
		clear(f.serving)
	}
	f.serving[at] = known
	return known.by, known.err
}

// room returns how many more events may go to a destination at other members.
func (f *fleet) room(at Destination) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	room := fleetWindow
	for _, w := range f.away {
		if w.at == at {
			room--
		}
	}
	return room
}

// send has the outcome of an errand watched, which is in the store.
func (f *fleet) send(w *wayBack) {
	f.mu.Lock()
	f.away[w.l.ID] = w
	f.mu.Unlock()
	f.nudge()
}

// came tells the outcome of an errand that is not under way any more.
func (f *fleet) came(ctx context.Context, w *wayBack) error {
	call, cancel := context.WithTimeout(ctx, fleetCall)
	defer cancel()
	l, err := f.store.Get(call, w.l.ID)
	if err != nil && !errors.Is(err, deadletter.ErrNotFound) {
		return fmt.Errorf("runtime: outcome of %s: %w", w.l.ID, err)
	}
	result := Redriven{Outcome: deadletter.OutcomeAborted, Error: "the letter is gone"}
	for _, r := range l.Redrives {
		if r.Number != w.number || !r.StartedAt.Equal(w.began) {
			continue
		}
		if r.Outcome == "" {
			return nil // since it was looked for
		}
		result = Redriven{Outcome: r.Outcome, Error: r.Error}
		if id, ok := strings.CutPrefix(r.Error, SucceededBy); ok && r.Outcome == deadletter.OutcomeDone {
			result.NewLetter, result.Outcome, result.Error = id, deadletter.OutcomeFailed, ""
		}
	}
	f.mu.Lock()
	if f.away[w.l.ID] == w {
		delete(f.away, w.l.ID)
	}
	f.mu.Unlock()
	w.tell(result)
	return nil
}

// offer notes an errand that may be taken here, and ends one that nobody serves.
func (f *fleet) offer(ctx context.Context, l deadletter.Letter, unserved map[string]time.Time, offers map[Destination][]offer) error {
	o := offer{l: l, r: l.Redrives[len(l.Redrives)-1]}
	if err := json.Unmarshal([]byte(o.r.Errand), &o.errand); err != nil {
		return f.abort(ctx, o, fmt.Sprintf("its errand cannot be read: %v", err))
	}
	at := destination(l, o.To)
	if f.rt.running() {
		if _, err := f.rt.localRoom(at); err == nil {
			offers[at] = append(offers[at], o)
			return nil
		}
	}
	by, err := f.servers(at)
	if err != nil {
		return err
	}
	if len(by) > 0 {
		return nil // it will be taken as there is room
	}
	key := fmt.Sprintf("%s %d", l.ID, o.r.Number)
	first, again := unserved[key]
	if !again {
		first = time.Now()
	}
	if time.Since(first) < FleetPatience {
		f.unserved[key] = first
		return nil
	}
	return f.abort(ctx, o, fmt.Sprintf("no member of the fleet has %s/%s", at.Topic, at.Subscriber))
}

// localRoom returns how many events a destination takes here.
func (rt *Runtime) localRoom(at Destination) (int, error) {
	if at.Subscriber == "" {
		_, err := rt.Topic(at.Topic)
		return deadletter.MaxLimit, err
	}
	s, err := rt.Subscription(at.Topic, at.Subscriber)
	if err != nil {
		return 0, err
	}
	return s.cell.RedeliveryRoom(), nil
}

// abort ends an errand that nobody has taken.
func (f *fleet) abort(ctx context.Context, o offer, why string) error {
	return f.change(ctx, o, func(l *deadletter.Letter) error {
		return l.EndRedrive(deadletter.OutcomeAborted, why, time.Now())
	})
}

// change changes the letter of an errand, unless something else has.
func (f *fleet) change(ctx context.Context, o offer, fn func(*deadletter.Letter) error) error {
	call, cancel := context.WithTimeout(ctx, fleetCall)
	defer cancel()
	err := f.store.Update(call, o.l.ID, func(l *deadletter.Letter) error {
		if !o.open(l) {
			return errTaken
		}
		return fn(l)
	})
	if err == nil || errors.Is(err, errTaken) || errors.Is(err, deadletter.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("runtime: errand of %s: %w", o.l.ID, err)
}

// open reports whether the letter still waits for somebody to take it.
func (o *offer) open(l *deadletter.Letter) bool {
	n := len(l.Redrives)
	return l.State == deadletter.StateRedriving && n > 0 && l.Redrives[n-1] == o.r
}

// take takes errands, oldest first, as many as the subscriber has room for.
func (f *fleet) take(ctx context.Context, at Destination, offers []offer) error {
	room, err := f.rt.localRoom(at)
	if err != nil || !f.rt.running() {
		return nil //nolint:nilerr // it was here a moment ago; others may have it
	}
	slices.SortFunc(offers, func(a, b offer) int {
		return cmp.Or(a.r.StartedAt.Compare(b.r.StartedAt), cmp.Compare(a.l.ID, b.l.ID))
	})
	more := len(offers) > 64
	offers = offers[:min(len(offers), room, 64)]
	ways := map[string]*wayBack{}
	var ids []string
	byID := map[string]offer{}
	for _, o := range offers {
		w, err := f.way(o)
		switch {
		case err == nil && w.errand != "":
			continue // its subscriber has just gone from here
		case err != nil:
			if err := f.abort(ctx, o, err.Error()); err != nil {
				return err
			}
			continue
		}
		f.rt.underWay.add(w)
		ways[o.l.ID], byID[o.l.ID] = w, o
		ids = append(ids, o.l.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, fleetCall)
	defer cancel()
	results, err := f.store.Change(call, ids, func(l *deadletter.Letter) error {
		o := byID[l.ID]
		if !o.open(l) {
			return errTaken
		}
		r := &l.Redrives[len(l.Redrives)-1]
		r.Member, r.Errand = f.self.ID, ""
		return nil
	})
	for i, id := range ids {
		w := ways[id]
		if len(results) != len(ids) || results[i] != nil {
			f.rt.underWay.remove(w) // if it was done all the same, the next round finds it
			continue
		}
		if fault := w.give(ctx); fault != nil {
			if !w.full(fault) || f.putBack(ctx, byID[id], w) != nil {
				f.rt.giveUpRedrive(ctx, w, fault)
			}
			continue
		}
		actors.Notify(f.rt.obs.Redriven, Event{Topic: w.l.Topic, Subscriber: w.l.Subscriber, Sequence: w.l.Sequence, Reason: w.l.ID})
	}
	if err != nil {
		return fmt.Errorf("runtime: take errands: %w", err)
	}
	if more {
		f.nudge()
	}
	return nil
}

// putBack leaves an errand to others, or to later, that was taken and has no room.
func (f *fleet) putBack(ctx context.Context, o offer, w *wayBack) error {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), fleetCall)
	defer cancel()
	err := f.store.Update(call, o.l.ID, func(l *deadletter.Letter) error {
		if !w.is(l) || l.State != deadletter.StateRedriving {
			return errTaken
		}
		r := &l.Redrives[len(l.Redrives)-1]
		r.Member, r.Errand = "", o.r.Errand
		return nil
	})
	if err == nil {
		f.rt.underWay.remove(w)
	}
	return err
}

// way returns the way back of an errand that goes to a subscriber here.
func (f *fleet) way(o offer) (*wayBack, error) {
	cfg := &RedriveConfig{By: o.r.By, Why: o.Why, Operation: o.r.Operation, Budget: o.r.Budget, To: o.To}
	if o.Edited != nil {
		cfg.Edit = func(deadletter.Letter) (Edited, error) { return *o.Edited, nil }
	}
	w, err := f.rt.wayBack(o.l, cfg)
	if err != nil {
		return nil, err
	}
	w.number, w.began = o.r.Number, o.r.StartedAt
	return w, nil
}
