package actors

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/troupe-go/troupe/supervisor"
)

// Routing says which actor of several gets a message. Its zero value is
// [RoundRobin].
type Routing[M any] struct {
	kind routingKind
	key  func(M) string
}

type routingKind uint8

const (
	roundRobin routingKind = iota
	leastBusy
	consistentHash
	broadcast
)

// RoundRobin takes one after the other.
func RoundRobin[M any]() Routing[M] { return Routing[M]{} }

// LeastBusy takes the one with the fewest messages that have no outcome yet. It
// looks at all of them for each message, at the price of a lock each.
func LeastBusy[M any]() Routing[M] { return Routing[M]{kind: leastBusy} }

// ConsistentHash gives messages of one key to one actor, in their order. When an
// actor comes or goes, only keys that become or were its own move
// (rendezvous hashing, Thaler and Ravishankar 1998). The price grows with the
// number of actors.
func ConsistentHash[M any](key func(M) string) Routing[M] {
	return Routing[M]{kind: consistentHash, key: key}
}

// Broadcast gives each message to all of them. They do not accept it or refuse
// it together, as the subscribers of a topic do.
func Broadcast[M any]() Routing[M] { return Routing[M]{kind: broadcast} }

// String returns round_robin, least_busy, consistent_hash or broadcast.
func (r Routing[M]) String() string {
	return [...]string{"round_robin", "least_busy", "consistent_hash", "broadcast"}[r.kind]
}

// Router is told messages on behalf of several actors. Those that have stopped
// are passed over. It is safe for concurrent use, and holds no messages: each is
// in the account of the actor that gets it.
type Router[M any] struct {
	routing Routing[M]
	turn    atomic.Uint64

	mu      sync.Mutex
	serial  uint64
	members atomic.Pointer[[]member[M]] // never changed in place
}

type member[M any] struct {
	ref *Ref[M]
	id  uint64 // for its share of the keys
}

// NewRouter returns a router to these actors.
//
// Errors: a ConsistentHash without a key.
func NewRouter[M any](routing Routing[M], refs ...*Ref[M]) (*Router[M], error) {
	if routing.kind == consistentHash && routing.key == nil {
		return nil, errors.New("actors: router: ConsistentHash: key must not be nil")
	}
	r := &Router[M]{routing: routing}
	r.members.Store(new([]member[M]))
	for _, ref := range refs {
		r.Add(ref)
	}
	return r, nil
}

// Add adds an actor; nil is left out.
func (r *Router[M]) Add(ref *Ref[M]) {
	if ref == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	members := slices.DeleteFunc(slices.Clone(*r.members.Load()), func(m member[M]) bool { return m.ref.ended() })
	members = append(members, member[M]{ref, mixed(r.serial)})
	r.members.Store(&members)
}

// Remove takes an actor out. It is not stopped, and keeps the messages that it
// has.
func (r *Router[M]) Remove(ref *Ref[M]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	members := slices.DeleteFunc(slices.Clone(*r.members.Load()), func(m member[M]) bool { return m.ref == ref })
	r.members.Store(&members)
}

// Refs returns the actors that have not been stopped, in the order of Add.
func (r *Router[M]) Refs() []*Ref[M] {
	var refs []*Ref[M]
	for _, m := range *r.members.Load() {
		if !m.ref.ended() {
			refs = append(refs, m.ref)
		}
	}
	return refs
}

// Tell is [Ref.Tell] to the actor whose turn it is. It waits for room in that
// one's mailbox only, whatever room others have. One that stops meanwhile is
// passed over.
//
// Under [Broadcast] it tells one after the other; the error joins those of the
// actors that refused the message, by name, the others have it.
//
// Errors: those of Ref.Tell, [ErrStopped] when none is left; the panic of a key.
func (r *Router[M]) Tell(ctx context.Context, m M) error {
	if r.routing.kind == broadcast {
		return r.tellAll(ctx, m)
	}
	return r.route(m, true, func(ref *Ref[M]) error { return ref.Tell(ctx, m) })
}

func (r *Router[M]) tellAll(ctx context.Context, m M) error {
	var faults []error
	told := 0
	for _, member := range *r.members.Load() {
		err := ErrStopped
		if !member.ref.ended() {
			err = member.ref.Tell(ctx, m)
		}
		switch {
		case err == nil:
			told++
		case !errors.Is(err, ErrStopped):
			faults = append(faults, fmt.Errorf("%s: %w", member.ref.Name(), err))
		}
	}
	if told == 0 && len(faults) == 0 {
		return ErrStopped
	}
	return errors.Join(faults...)
}

// AskRouter is [Ask] of the actor whose turn it is. Under [Broadcast] there is no
// such actor, which is an error.
func AskRouter[M, R any](ctx context.Context, r *Router[M], build func(reply func(R)) M) (R, error) {
	var answer R
	if r.routing.kind == broadcast {
		return answer, errors.New("actors: ask: a router that broadcasts has no one to ask")
	}
	// Who is asked may depend on the message, so it is made before it is known
	// whose answer it carries.
	var replies atomic.Pointer[func(R)]
	m := build(func(v R) {
		if reply := replies.Load(); reply != nil {
			(*reply)(v)
		}
	})
	// Once: ErrStopped may be the outcome of a message that was accepted.
	err := r.route(m, false, func(ref *Ref[M]) (err error) {
		answer, err = Ask(ctx, ref, func(reply func(R)) M {
			replies.Store(&reply)
			return m
		})
		return err
	})
	return answer, err
}

// route calls give with the actor whose turn it is, and, if it may and that one
// has been stopped meanwhile, with the next.
func (r *Router[M]) route(m M, again bool, give func(*Ref[M]) error) error {
	members := *r.members.Load()
	var key uint64
	if r.routing.kind == consistentHash {
		k, err := r.routing.keyOf(m)
		if err != nil {
			return err
		}
		key = maphash.String(hashSeed, k)
	}
	first := 0
	if n := len(members); n > 0 {
		first = int(r.turn.Add(1) % uint64(n))
	}
	var passed map[*Ref[M]]bool
	for {
		var best *Ref[M]
		var least int
		var most uint64
	look:
		for i := range members {
			member := members[(first+i)%len(members)]
			if passed[member.ref] || member.ref.ended() {
				continue
			}
			switch r.routing.kind {
			case leastBusy:
				if n := member.ref.cell.load(); best == nil || n < least {
					best, least = member.ref, n
				}
			case consistentHash:
				if n := mixed(key ^ member.id); best == nil || n > most {
					best, most = member.ref, n
				}
			default:
				best = member.ref
				break look
			}
		}
		if best == nil {
			return ErrStopped
		}
		err := give(best)
		if !again || !errors.Is(err, ErrStopped) {
			return err
		}
		if passed == nil {
			passed = map[*Ref[M]]bool{}
		}
		passed[best] = true
	}
}

// keyOf returns the key of m, which is the user's to find.
func (r Routing[M]) keyOf(m M) (k string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("actors: router: key: %w", &supervisor.PanicError{Value: v, Stack: trimmed(callers())})
		}
	}()
	return r.key(m), nil
}

var hashSeed = maphash.MakeSeed()

// mixed is the finalizer of splitmix64.
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ended reports whether the actor takes no more messages.
func (r *Ref[M]) ended() bool { return r.cell.isEnding() }

// load returns how many messages have no outcome yet.
func (c *Cell[T]) load() int {
	n := c.source.Len()
	c.mu.Lock()
	defer c.mu.Unlock()
	n += int(c.ledger.lane + c.ledger.retryWait)
	if c.busy {
		n++
	}
	return n
}
