package supervisor

// WindowRoom is how many restarts i has allocated room for.
func (i *Intensity) WindowRoom() int { return cap(i.ring) }
