package console

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/console/internal/wire"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// treeCache keeps a description for as long as nobody sees a difference: with
// 10,000 subscribers it costs milliseconds, and every page asks for it again and
// again.
type treeCache struct {
	mu   sync.Mutex
	at   time.Time
	tree runtime.Description
	rows []wire.Subscriber
}

const treeAge = time.Second

func (t *treeCache) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = time.Time{}
}

// get returns the tree and its subscribers as rows. Nobody may write to them.
func (t *treeCache) get(d *ops.Desk) (runtime.Description, []wire.Subscriber, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.at) < treeAge {
		return t.tree, t.rows, nil
	}
	tree, err := d.Tree()
	if err != nil {
		return tree, nil, err
	}
	t.at, t.tree, t.rows = time.Now(), tree, flatten(nil, nil, &tree.Tree)
	return t.tree, t.rows, nil
}

// flatten lists the subscribers of a group and of those in it.
func flatten(rows []wire.Subscriber, path []string, g *runtime.GroupDescription) []wire.Subscriber {
	path = append(slices.Clip(path), g.Name)
	for _, s := range g.Subscribers {
		rows = append(rows, wire.Subscriber{Path: path, Strategy: g.Strategy, SubscriberDescription: s})
	}
	for i := range g.Groups {
		rows = flatten(rows, path, &g.Groups[i])
	}
	return rows
}

func (c *call) describe() error {
	tree, _, err := c.tree.get(c.desk)
	if err != nil {
		return err
	}
	if c.cfg.Authorize != nil {
		tree.Topics = slices.DeleteFunc(slices.Clone(tree.Topics), func(t runtime.TopicDescription) bool { return c.may(Metadata, t.Name) != nil })
		tree.Tree = c.pruned(tree.Tree)
	}
	return c.answer(tree)
}

// pruned is the group without subscribers that the caller may not see.
func (c *call) pruned(g runtime.GroupDescription) runtime.GroupDescription {
	g.Subscribers = slices.DeleteFunc(slices.Clone(g.Subscribers), func(s runtime.SubscriberDescription) bool { return c.may(Metadata, s.Topic) != nil })
	g.Groups = slices.Clone(g.Groups)
	for i := range g.Groups {
		g.Groups[i] = c.pruned(g.Groups[i])
	}
	return g
}

// trouble orders states by how much they need a person.
var trouble = map[actors.State]int{
	actors.StateEscalated: 5, actors.StateHung: 4, actors.StateCooldown: 3, actors.StatePaused: 2,
}

// orders are the ways to sort subscribers, the largest first.
var orders = map[string]func(a, b *wire.Subscriber) int{
	"tree": nil,
	"trouble": func(a, b *wire.Subscriber) int {
		return cmp.Or(cmp.Compare(trouble[b.State], trouble[a.State]), cmp.Compare(b.Counts.DeadLettered, a.Counts.DeadLettered),
			cmp.Compare(b.Counts.Failures, a.Counts.Failures), cmp.Compare(b.Oldest, a.Oldest))
	},
	"depth":    func(a, b *wire.Subscriber) int { return cmp.Compare(depth(b.Counts), depth(a.Counts)) },
	"age":      func(a, b *wire.Subscriber) int { return cmp.Compare(b.Oldest, a.Oldest) },
	"restarts": func(a, b *wire.Subscriber) int { return cmp.Compare(b.Counts.Restarts, a.Counts.Restarts) },
	"failures": func(a, b *wire.Subscriber) int { return cmp.Compare(b.Counts.Failures, a.Counts.Failures) },
	"dead":     func(a, b *wire.Subscriber) int { return cmp.Compare(b.Counts.DeadLettered, a.Counts.DeadLettered) },
}

// depth is what a subscriber has before it.
func depth(n actors.Counts) uint64 { return n.Queued + n.InFlight + n.RetryWait }

// page cuts a page out of a list.
func page[T any](all []T, offset, limit int) []T {
	if limit == 0 {
		limit = 50
	}
	offset = min(offset, len(all))
	return all[offset:min(offset+limit, len(all))]
}

func (c *call) subscribers() error {
	filter, topic, name, state, order := strings.ToLower(c.text("filter")), c.text("topic"), c.text("name"), c.text("state"), c.text("sort")
	group := c.text("group")
	offset, limit := c.between("offset", 0, 0, 1<<31-1), c.limit()
	less, ok := orders[cmp.Or(order, "tree")]
	if !ok {
		c.wrong("sort", quote(order)+" is not an order", "see api/v1/openapi.json")
	}
	if c.fault != nil {
		return c.fault
	}
	tree, all, err := c.Console.tree.get(c.desk)
	if err != nil {
		return err
	}
	answer := wire.Subscribers{Subscribers: []wire.Subscriber{}, States: map[string]int{}, At: tree.At}
	var rows []*wire.Subscriber
	for i := range all {
		s := &all[i]
		if topic != "" && s.Topic != topic || name != "" && s.Name != name ||
			group != "" && !within(s.Path, group) ||
			filter != "" && !strings.Contains(strings.ToLower(s.Topic+"/"+s.Name+" "+strings.Join(s.Path, "/")), filter) ||
			c.may(Metadata, s.Topic) != nil {
			continue
		}
		answer.States[string(s.State)]++
		if state == "" || string(s.State) == state {
			rows = append(rows, s)
		}
	}
	if less != nil {
		slices.SortStableFunc(rows, less)
	}
	answer.Total = len(rows)
	for _, s := range page(rows, offset, limit) {
		answer.Subscribers = append(answer.Subscribers, *s)
	}
	return c.answer(answer)
}

// within reports whether a path leads to the group or below it.
func within(path []string, group string) bool {
	return strings.HasPrefix("/"+strings.Join(path, "/")+"/", strings.TrimSuffix(group, "/")+"/")
}

func (c *call) topics() error {
	filter := strings.ToLower(c.text("filter"))
	offset, limit := c.between("offset", 0, 0, 1<<31-1), c.limit()
	if c.fault != nil {
		return c.fault
	}
	tree, _, err := c.Console.tree.get(c.desk)
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(slices.Clone(tree.Topics), func(t runtime.TopicDescription) bool {
		return !strings.Contains(strings.ToLower(t.Name), filter) || c.may(Metadata, t.Name) != nil
	})
	return c.answer(wire.Topics{Topics: notNil(page(rows, offset, limit)), Total: len(rows)})
}

// maxTiles is how many groups the health of is sent: the worst, if there are more.
const maxTiles = 500

func (c *call) health() error {
	tree, _, err := c.Console.tree.get(c.desk)
	if err != nil {
		return err
	}
	answer := wire.Health{Groups: []wire.GroupHealth{}, At: tree.At}
	var walk func(path []string, g *runtime.GroupDescription)
	walk = func(path []string, g *runtime.GroupDescription) {
		path = append(slices.Clip(path), g.Name)
		h := wire.GroupHealth{Path: path, Strategy: g.Strategy, Stopped: g.Stopped, States: map[string]int{}}
		for i := range g.Subscribers {
			s := &g.Subscribers[i]
			if c.may(Metadata, s.Topic) != nil {
				continue
			}
			h.Subscribers++
			h.States[string(s.State)]++
			h.Depth += depth(s.Counts)
			h.Oldest = max(h.Oldest, s.Oldest)
			h.Dead += s.Counts.DeadLettered
			h.Failures += s.Counts.Failures
			h.Restarts += s.Counts.Restarts
			h.Trouble = max(h.Trouble, trouble[s.State])
		}
		if h.Subscribers > 0 {
			answer.Groups = append(answer.Groups, h)
		}
		for i := range g.Groups {
			walk(path, &g.Groups[i])
		}
	}
	walk(nil, &tree.Tree)
	if answer.Total = len(answer.Groups); answer.Total > maxTiles {
		slices.SortStableFunc(answer.Groups, func(a, b wire.GroupHealth) int { return cmp.Compare(b.Trouble, a.Trouble) })
		answer.Groups = answer.Groups[:maxTiles]
	}
	return c.answer(answer)
}
