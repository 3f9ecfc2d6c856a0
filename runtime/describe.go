package runtime

import (
	"fmt"
	"reflect"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

// Description is the state of a runtime for people: what its account says, how
// its subscribers are supervised, and the configuration in force. It encodes as
// JSON; [Description.String] is a text.
type Description struct {
	At      time.Time          `json:"at"`
	Name    string             `json:"name"`
	Node    string             `json:"node,omitempty"` // the host
	State   State              `json:"state"`
	Faults  []Fault            `json:"faults"`
	Config  ConfigInForce      `json:"config"`
	Letters LettersSnapshot    `json:"letters"`
	Total   actors.Counts      `json:"total"`
	Topics  []TopicDescription `json:"topics"` // by name
	Tree    GroupDescription   `json:"tree"`   // all subscribers, by the groups that supervise them
}

// ConfigInForce is a [Config] with its defaults.
type ConfigInForce struct {
	DeadLetters      string        `json:"dead_letters"` // the type of the store
	DrainTimeout     time.Duration `json:"drain_timeout_ns"`
	CancelGrace      time.Duration `json:"cancel_grace_ns"`
	MaxParkedLetters int           `json:"max_parked_letters"`
	ProfileLabels    bool          `json:"profile_labels"`
}

// TopicDescription is a topic without its subscribers.
type TopicDescription struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Publications
	Subscribers int           `json:"subscribers"`
	Former      actors.Counts `json:"former"` // of subscribers that have stopped
}

// GroupDescription is a group and what it supervises.
type GroupDescription struct {
	Name        string                  `json:"name"`
	Stopped     bool                    `json:"stopped,omitempty"`
	Strategy    string                  `json:"strategy"`
	Restart     *RestartDescription     `json:"restart,omitempty"` // nil for the root
	Groups      []GroupDescription      `json:"groups,omitempty"`
	Subscribers []SubscriberDescription `json:"subscribers,omitempty"` // in order of subscription
}

// SubscriberDescription is a subscriber with its configuration in force.
type SubscriberDescription struct {
	SubscriberSnapshot
	Retry      RetryDescription   `json:"retry"`
	Restart    RestartDescription `json:"restart"`
	Decider    bool               `json:"decider"`              // a function overrules the policy
	Timeout    time.Duration      `json:"timeout_ns,omitempty"` // zero is none
	Grace      time.Duration      `json:"grace_ns"`
	MaxZombies int                `json:"max_zombies"`
	Ordering   string             `json:"ordering"`
	MaxParked  int                `json:"max_parked,omitempty"` // of events set aside
	Key        string             `json:"key,omitempty"`        // what a key is for: order or latest
	Filter     bool               `json:"filter,omitempty"`     // not every event is wanted
	Lanes      int                `json:"lanes,omitempty"`      // of priority
	Batch      *BatchDescription  `json:"batch,omitempty"`      // nil for a handler of single events
	// Workers share the mailbox; of a consumer group they are its members.
	Workers       []WorkerDescription `json:"workers,omitempty"`
	ConsumerGroup bool                `json:"consumer_group,omitempty"`
}

// BatchDescription says when a batch begins.
type BatchDescription struct {
	Size   int           `json:"size"`
	Period time.Duration `json:"period_ns"`
}

// WorkerDescription is one of several actors of a subscriber.
type WorkerDescription struct {
	Name  string       `json:"name"`
	State actors.State `json:"state"`
}

// RetryDescription is a supervisor.Retry in force.
type RetryDescription struct {
	MaxAttempts int           `json:"max_attempts"` // supervisor.Unlimited is no limit
	BaseDelay   time.Duration `json:"base_delay_ns"`
	MaxDelay    time.Duration `json:"max_delay_ns"`
	Jitter      float64       `json:"jitter"`
}

// RestartDescription is a supervisor.Restart in force.
type RestartDescription struct {
	Type        string        `json:"type"`
	MaxRestarts int           `json:"max_restarts"` // or supervisor.NoRestarts, supervisor.Unlimited
	Window      time.Duration `json:"window_ns"`
	OnExceed    string        `json:"on_exceed"`
	Cooldown    time.Duration `json:"cooldown_ns"`
	MaxCooldown time.Duration `json:"max_cooldown_ns"`
	BaseDelay   time.Duration `json:"base_delay_ns"`
	MaxDelay    time.Duration `json:"max_delay_ns"`
}

// Describe returns the state of the runtime for people. It costs what a snapshot
// costs, and holds nobody up.
func (rt *Runtime) Describe() Description {
	snap := rt.Snapshot()
	d := Description{
		At: time.Now(), Name: snap.Name, Node: rt.node, State: snap.State, Faults: snap.Faults(),
		Config: ConfigInForce{
			DeadLetters: reflect.TypeOf(rt.cfg.DeadLetters).String(), DrainTimeout: rt.cfg.DrainTimeout,
			CancelGrace: rt.cfg.CancelGrace, MaxParkedLetters: rt.cfg.MaxParkedLetters, ProfileLabels: rt.cfg.ProfileLabels,
		},
		Letters: snap.Letters, Total: snap.Total,
	}
	cells := map[[2]string]Subscriber{}
	rt.mu.Lock()
	for _, s := range rt.subs {
		if s.cell != nil {
			cells[s.key()] = s.cell
		}
	}
	rt.mu.Unlock()
	root := rt.sys.Root()
	members := map[*actors.Group][]SubscriberDescription{}
	for _, t := range snap.Topics {
		d.Topics = append(d.Topics, TopicDescription{t.Name, t.Type, t.Publications, len(t.Subscribers), t.Former})
		for _, s := range t.Subscribers {
			cell := cells[[2]string{s.Topic, s.Name}]
			if cell == nil {
				continue // it has stopped in between
			}
			cfg := cell.Config()
			members[cfg.Group] = append(members[cfg.Group], describeSubscriber(s, cfg, cell.Traits()))
		}
	}
	d.Tree = describeGroup(root, members)
	return d
}

func describeGroup(g *actors.Group, members map[*actors.Group][]SubscriberDescription) GroupDescription {
	cfg := g.Config()
	d := GroupDescription{Name: g.Name(), Stopped: g.Stopped(), Strategy: cfg.Strategy.String(), Subscribers: members[g]}
	if cfg.Restart != (supervisor.Restart{}) { // the root has none
		r := describeRestart(cfg.Restart)
		d.Restart = &r
	}
	for _, sub := range g.Groups() {
		d.Groups = append(d.Groups, describeGroup(sub, members))
	}
	return d
}

func describeSubscriber(s SubscriberSnapshot, cfg actors.Config, traits actors.Traits) SubscriberDescription {
	d := SubscriberDescription{
		SubscriberSnapshot: s, Decider: cfg.Policy.Decide != nil, Timeout: cfg.Timeout, Grace: cfg.Grace,
		MaxZombies: cfg.MaxZombies, Ordering: cfg.Ordering.String(), Restart: describeRestart(cfg.Policy.Restart),
		Retry: RetryDescription(cfg.Policy.Retry),
	}
	if cfg.Ordering == actors.Parked {
		d.MaxParked = cfg.MaxParked
	}
	d.Filter, d.Lanes, d.ConsumerGroup = traits.Filtered, traits.Lanes, traits.Group
	switch {
	case traits.Keyed:
		d.Key = "order"
	case traits.Newest:
		d.Key = "latest"
	}
	if b := traits.Batch; b.Size > 0 {
		d.Batch = &BatchDescription{b.Size, b.Period}
	}
	for _, w := range traits.Workers {
		d.Workers = append(d.Workers, WorkerDescription(w))
	}
	return d
}

func describeRestart(r supervisor.Restart) RestartDescription {
	return RestartDescription{
		Type: r.Type.String(), MaxRestarts: r.MaxRestarts, Window: r.Window, OnExceed: r.OnExceed.String(),
		Cooldown: r.Cooldown, MaxCooldown: r.MaxCooldown, BaseDelay: r.BaseDelay, MaxDelay: r.MaxDelay,
	}
}

// String says how often and when an event is attempted.
func (r RetryDescription) String() string {
	switch r.MaxAttempts {
	case supervisor.NoRetry:
		return "1 attempt"
	case supervisor.Unlimited:
		return "attempts without limit, " + r.delays()
	}
	return fmt.Sprintf("%d attempts, %s", r.MaxAttempts, r.delays())
}

func (r RetryDescription) delays() string {
	text := backoff(r.BaseDelay, r.MaxDelay)
	if r.Jitter > 0 && r.BaseDelay > 0 {
		text += fmt.Sprintf(", jitter %v", r.Jitter)
	}
	return text
}

func backoff(base, limit time.Duration) string {
	if base == supervisor.NoDelay {
		return "no delay"
	}
	return fmt.Sprintf("backoff %v to %v", base, limit)
}

// String says when there is a restart, and what follows on one too many.
func (r RestartDescription) String() string {
	if r.Type == supervisor.RestartNever.String() {
		return r.Type
	}
	text := r.Type
	switch r.MaxRestarts {
	case supervisor.Unlimited:
		return text + ", without limit"
	case supervisor.NoRestarts:
		text += ", none allowed"
	default:
		text += fmt.Sprintf(", %d in %v", r.MaxRestarts, r.Window)
	}
	text += ", then " + r.OnExceed
	if r.OnExceed == supervisor.ExceedPause.String() {
		text += fmt.Sprintf(" for %v to %v", r.Cooldown, r.MaxCooldown)
	}
	return text
}
