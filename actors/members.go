package actors

import "iter"

// members are the actors and groups of a group, in order of start. None of what
// happens to one of them costs a look at the others, unless it is meant for all.
type members struct {
	list   []*node          // nil where one has gone
	gone   int              // how many are nil
	byPID  map[string]*node // by PID.Id: all are of one registry
	byName map[string]*node // the last one of the name
}

func (m *members) add(n *node) {
	if m.byPID == nil {
		m.byPID, m.byName = map[string]*node{}, map[string]*node{}
	}
	n.index = len(m.list)
	m.list = append(m.list, n)
	m.byPID[n.pid.Id] = n
	m.byName[n.name] = n
}

func (m *members) has(n *node) bool { return n.index < len(m.list) && m.list[n.index] == n }

func (m *members) remove(n *node) {
	delete(m.byPID, n.pid.Id)
	if m.byName[n.name] == n {
		delete(m.byName, n.name)
	}
	m.list[n.index] = nil
	if m.gone++; m.gone <= len(m.list)/2 {
		return
	}
	left := m.list[:0]
	for n := range m.from(0) {
		n.index = len(left)
		left = append(left, n)
	}
	clear(m.list[len(left):])
	m.list, m.gone = left, 0
}

// from returns the members from index i on.
func (m *members) from(i int) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for _, n := range m.list[i:] {
			if n != nil && !yield(n) {
				return
			}
		}
	}
}
