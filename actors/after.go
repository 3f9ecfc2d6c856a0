package actors

// AfterDone has f called once Done is closed, at once if it is. f must not block:
// what else follows the end of the actor waits for it.
func (c *core) AfterDone(f func()) {
	c.mu.Lock()
	select {
	case <-c.finished:
		c.mu.Unlock()
		f()
		return
	default:
	}
	c.after = append(c.after, f)
	c.mu.Unlock()
}

// afterDone follows the close of finished, so that nobody adds to the list any more.
func (c *core) afterDone() {
	c.mu.Lock()
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, f := range after {
		f()
	}
}
