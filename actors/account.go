package actors

// Account keeps the outcome of deliveries that no actor ever had in hand: those
// of events that found no subscriber.
type Account struct {
	ledger
	deliveries uint64
	sys        *System
}

// NewAccount returns an empty account.
func NewAccount(sys *System) *Account {
	a := &Account{sys: sys}
	a.ledger.changed = sys.poke
	return a
}

// Bury hands d to the sink on this account, or returns false if there is no
// room, in which case nothing has happened.
func (a *Account) Bury(d *Dead) bool {
	d.ledger, d.tell = &a.ledger, &a.sys.obs
	a.mu.Lock()
	a.deliveries++
	a.parked++
	a.mu.Unlock()
	if a.sys.sink.Bury(d, nil) {
		return true
	}
	a.mu.Lock()
	a.deliveries--
	a.parked--
	a.mu.Unlock()
	return false
}

// BuryWaiting is Bury that waits for room. If the system gives up waiting before
// there is any, d is dropped and counted. n, which may be nil, is told the outcome.
func (a *Account) BuryWaiting(d *Dead, n Notice) {
	if n != nil {
		d.ticket = NewNotice(n)
	}
	d.ledger, d.tell = &a.ledger, &a.sys.obs
	a.mu.Lock()
	a.deliveries++
	a.parked++
	a.mu.Unlock()
	a.sys.buryWaiting(d)
}

// Counts returns the account.
func (a *Account) Counts() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.counts()
	c.Deliveries = a.deliveries
	return c
}
