package runtime

import (
	"maps"
	"slices"
	"time"

	"github.com/troupe-go/troupe/actors"
)

// Snapshot is the account of a runtime. Each part is consistent in itself at any
// moment; the parts are read one after the other, so sums over several of them
// are exact only at rest and after Shutdown.
type Snapshot struct {
	Name    string          `json:"name"`
	State   State           `json:"state"`
	Topics  []TopicSnapshot `json:"topics"` // by name
	Total   actors.Counts   `json:"total"`  // over all topics
	Letters LettersSnapshot `json:"letters"`
}

// TopicSnapshot is the account of a topic.
type TopicSnapshot struct {
	Name         string `json:"name"`
	Type         string `json:"type"`
	Publications `json:"publications"`
	// Subscribers are those that have not unsubscribed, in order of subscription.
	Subscribers []SubscriberSnapshot `json:"subscribers"`
	// Former is the sum over subscribers that have stopped.
	Former actors.Counts `json:"former"`
	// Total is the sum over all subscribers and undelivered events.
	Total actors.Counts `json:"total"`
}

// SubscriberSnapshot is the account of a subscriber.
type SubscriberSnapshot struct {
	Topic    string        `json:"topic"`
	Name     string        `json:"name"`
	State    actors.State  `json:"state"`
	Capacity int           `json:"capacity"`
	Overflow string        `json:"overflow"`
	Busy     time.Duration `json:"busy_ns"`   // with the event in hand
	Oldest   time.Duration `json:"oldest_ns"` // how long the event at the head of the mailbox has waited
	Counts   actors.Counts `json:"counts"`
}

// LettersSnapshot says how the dead-letter store does.
type LettersSnapshot struct {
	Waiting int       `json:"waiting"` // to be written
	Failing string    `json:"failing,omitempty"`
	Since   time.Time `json:"since,omitzero"` // since when it fails
}

// Snapshot returns the account of all topics. Its price is a lock and an
// allocation for each subscriber; it holds up no handler for longer.
func (rt *Runtime) Snapshot() Snapshot {
	rt.mu.Lock()
	rt.fold()
	snap := Snapshot{Name: rt.cfg.Name, State: rt.state, Letters: rt.letters.snapshot()}
	byName := map[string]*TopicSnapshot{}
	names := slices.Sorted(maps.Keys(rt.topics))
	open := make([]Topic, len(names))
	for i, name := range names {
		t := rt.topics[name]
		open[i] = t.Topic
		byName[name] = &TopicSnapshot{Name: name, Type: t.Type().String()}
		byName[name].Former.Add(t.former)
	}
	attaching := func(s *Subscription) bool { return s.cell == nil }
	subs, past := slices.DeleteFunc(slices.Clone(rt.subs), attaching), slices.Clone(rt.past)
	rt.mu.Unlock()

	// Unlocked: asking for counts may tell observers of drops, and they may
	// look at us.
	for _, t := range open {
		byName[t.Name()].Publications = t.Counts()
	}
	for _, s := range past {
		byName[s.topic].Former.Add(s.cell.Counts())
	}
	for _, s := range subs {
		t := byName[s.topic]
		t.Subscribers = append(t.Subscribers, s.Snapshot())
	}
	for _, name := range names {
		t := byName[name]
		t.Total.Add(t.Former)
		t.Total.Add(t.Undelivered)
		for _, s := range t.Subscribers {
			t.Total.Add(s.Counts)
		}
		snap.Topics = append(snap.Topics, *t)
		snap.Total.Add(t.Total)
	}
	return snap
}

// Snapshot returns the account of the subscriber, also after it has stopped.
func (s *Subscription) Snapshot() SubscriberSnapshot {
	return SubscriberSnapshot{
		Topic: s.topic, Name: s.name, State: s.cell.State(), Capacity: s.cell.Capacity(),
		Overflow: s.cell.Overflow().String(), Busy: s.cell.Since(), Oldest: s.cell.Oldest(), Counts: s.cell.Counts(),
	}
}

// Topic returns the account of a topic, false if it is not open.
func (s Snapshot) Topic(name string) (TopicSnapshot, bool) {
	for _, t := range s.Topics {
		if t.Name == name {
			return t, true
		}
	}
	return TopicSnapshot{}, false
}

// Subscriber returns the account of a subscriber, false if it has stopped.
func (t TopicSnapshot) Subscriber(name string) (SubscriberSnapshot, bool) {
	for _, s := range t.Subscribers {
		if s.Name == name {
			return s, true
		}
	}
	return SubscriberSnapshot{}, false
}
