package main

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
)

var errGateway = errors.New("payment gateway: connection reset")

// gateway stands for a payment service that fails now and then. Which attempts
// fail follows from the seed and the order alone, so it is the same in each run,
// whatever the workers do.
type gateway struct {
	seed uint64

	mu       sync.Mutex
	repaired bool
	attempts map[string]int // by order
	charged  []OrderPaid
}

// failing is how many percent of the attempts fail.
const failing = 45

func newGateway(seed uint64) *gateway {
	return &gateway{seed: seed, attempts: map[string]int{}}
}

// charge takes the money for an order, once: a second call for the same order
// changes nothing. Without such a key at the service, an event that is delivered
// again, as after a crash, is paid twice.
func (g *gateway) charge(order OrderPlaced, cents int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.ContainsFunc(g.charged, func(p OrderPaid) bool { return p.Order.ID == order.ID }) {
		return nil
	}
	g.attempts[order.ID]++
	if !g.repaired && g.attempts[order.ID] <= g.failures(order.ID) {
		return errGateway
	}
	g.charged = append(g.charged, OrderPaid{order, cents})
	return nil
}

// failures is how many attempts fail before one succeeds.
func (g *gateway) failures(order string) (n int) {
	h := fnv.New64a()
	h.Write([]byte(order))
	for luck := rand.NewPCG(g.seed, h.Sum64()); luck.Uint64()%100 < failing; {
		n++
	}
	return n
}

func (g *gateway) repair() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.repaired = true
}

// charges returns what was charged, in that order.
func (g *gateway) charges() []OrderPaid {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.charged)
}
