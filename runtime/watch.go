package runtime

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
)

// Watcher is told what operators want to know, see [Runtime.Watch]. Every function is
// optional; none may block. A panic in one is swallowed.
type Watcher struct {
	// Observer is told of actors and of the store. Its functions of events must be
	// nil, but for DeadLettered and Redriven: who wants these has to be there from the
	// beginning, in Config.Observer, because every event pays for them.
	Observer Observer
	// Letters is told what has come into the store, by the goroutine that writes it.
	Letters func([]LetterNews)
}

// LetterNews says that a letter is new, or that a redrive of it has ended.
type LetterNews struct {
	ID, Topic, Subscriber, Fingerprint, Reason string
	State                                      deadletter.State
	Outcome                                    deadletter.Outcome // empty for a new letter
}

func newsOf(l *deadletter.Letter) LetterNews {
	state := l.State
	if state == "" {
		state = deadletter.StateOpen
	}
	return LetterNews{ID: l.ID, Topic: l.Topic, Subscriber: l.Subscriber, Fingerprint: l.Fingerprint, Reason: l.Reason, State: state}
}

// Watch has w told what happens from now on, until stop is called, after which a call
// may still be under way. It can be called at any time. Without watchers, what a
// watcher hears costs one atomic load.
//
// The error names the function of w.Observer that a watcher must not have.
func (rt *Runtime) Watch(w Watcher) (stop func(), err error) {
	asked, heard := reflect.ValueOf(w.Observer), reflect.ValueOf(rt.watch.observer())
	for i := range asked.NumField() {
		if !asked.Field(i).IsNil() && heard.Field(i).IsNil() {
			return nil, fmt.Errorf("runtime: watch: Watcher.Observer.%s: must be nil, set it in Config.Observer", asked.Type().Field(i).Name)
		}
	}
	return rt.watch.add(&w), nil
}

// watchers are told one after the other.
type watchers struct {
	mu   sync.Mutex // of writers
	list atomic.Pointer[[]*Watcher]
}

func (w *watchers) add(one *Watcher) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := append(slices.Clone(w.all()), one)
	w.list.Store(&all)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		rest := slices.DeleteFunc(slices.Clone(w.all()), func(o *Watcher) bool { return o == one })
		w.list.Store(&rest)
	}
}

func (w *watchers) all() []*Watcher {
	if list := w.list.Load(); list != nil {
		return *list
	}
	return nil
}

// observer returns an observer that tells the watchers: of what happens rarely enough
// to ask, each time, whether somebody watches.
func (w *watchers) observer() Observer {
	tell := func(pick func(*Observer) func(Event)) func(Event) {
		return func(e Event) {
			for _, one := range w.all() {
				actors.Notify(pick(&one.Observer), e)
			}
		}
	}
	return Observer{
		DeadLettered:   tell(func(o *Observer) func(Event) { return o.DeadLettered }),
		Redriven:       tell(func(o *Observer) func(Event) { return o.Redriven }),
		Started:        tell(func(o *Observer) func(Event) { return o.Started }),
		Restarting:     tell(func(o *Observer) func(Event) { return o.Restarting }),
		Paused:         tell(func(o *Observer) func(Event) { return o.Paused }),
		Resumed:        tell(func(o *Observer) func(Event) { return o.Resumed }),
		Passivated:     tell(func(o *Observer) func(Event) { return o.Passivated }),
		Escalated:      tell(func(o *Observer) func(Event) { return o.Escalated }),
		Hung:           tell(func(o *Observer) func(Event) { return o.Hung }),
		Late:           tell(func(o *Observer) func(Event) { return o.Late }),
		Stopped:        tell(func(o *Observer) func(Event) { return o.Stopped }),
		Fault:          tell(func(o *Observer) func(Event) { return o.Fault }),
		StoreFailing:   tell(func(o *Observer) func(Event) { return o.StoreFailing }),
		StoreRecovered: tell(func(o *Observer) func(Event) { return o.StoreRecovered }),

		EngineFailing:   tell(func(o *Observer) func(Event) { return o.EngineFailing }),
		EngineRecovered: tell(func(o *Observer) func(Event) { return o.EngineRecovered }),
	}
}

// tell tells what has come into the store.
func (w *watchers) tell(news []LetterNews) {
	if len(news) == 0 {
		return
	}
	for _, one := range w.all() {
		if one.Letters != nil {
			_ = guarded(func() error { one.Letters(news); return nil })
		}
	}
}

// newsOf returns what there is to tell of what has been written. The caller holds
// letters.mu.
func (u *unwritten) newsOf() (news LetterNews, any bool) {
	switch {
	case u.refused:
	case u.outcome == nil && u.letter != nil:
		return newsOf(u.letter), true
	case u.news.ID != "":
		return u.news, true
	}
	return LetterNews{}, false
}
