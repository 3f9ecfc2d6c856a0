package mailbox

// sweep clears the slots that every cursor has passed, and appoints the cursor
// that holds it back as the one that calls it again.
//
// Looking at all cursors whenever one moves would cost their square. Watching
// one that stands at the low end is enough: nothing can be cleared before it
// moves. Each cursor is looked at about once for every move of the low end
// (the two-watched-literals idea of SAT solvers, with one literal).
func (l *Log[T]) sweep() {
	if !l.clears.Load() {
		return
	}
	l.sweepMu.Lock()
	defer l.sweepMu.Unlock()
	for {
		for l.sweepAt < len(l.reading) {
			c := l.reading[l.sweepAt]
			if c.kept() > l.swept {
				l.sweepAt++
				continue
			}
			l.watch.Store(c)         // D1
			if c.kept() <= l.swept { // D2
				return
			}
		}
		if len(l.reading) == 0 {
			l.watch.Store(nil)
			l.clearTo(l.sweepEnd)
			return
		}
		low := uint64(noLimit)
		for _, c := range l.reading {
			low = min(low, c.kept())
		}
		l.clearTo(low)
		l.sweepAt = 0
	}
}

// clearFrom makes the log clear passed slots from seg on.
func (l *Log[T]) clearFrom(seg *segment[T]) {
	l.sweepMu.Lock()
	if !l.clears.Load() {
		l.sweepSeg, l.swept = seg, seg.base
		l.clears.Store(true)
	}
	l.sweepMu.Unlock()
	l.sweep()
}

// clearTo clears [swept, low). The caller holds sweepMu.
func (l *Log[T]) clearTo(low uint64) {
	for l.swept < low {
		seg := l.sweepSeg
		from := l.swept - seg.base
		to := min(low-seg.base, seg.len())
		seg.clear(from, to) // Z1
		l.swept = seg.base + to
		if to == seg.len() {
			next := seg.next.Load()
			if next == nil {
				return // full and passed, the next segment not linked yet
			}
			l.sweepSeg = next
		}
	}
}
