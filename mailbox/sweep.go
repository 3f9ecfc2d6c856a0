package mailbox

// sweep clears the slots that every cursor has passed, takes back those of whole
// segments, and appoints the cursor that holds it back as the one that calls it
// again.
//
// Looking at all cursors whenever one moves would cost their square. Watching
// one that stands at the low end is enough: nothing can be cleared before it
// moves. Each cursor is looked at about once for every move of the low end
// (the two-watched-literals idea of SAT solvers, with one literal).
func (l *Log[T]) sweep() {
	l.sweepMu.Lock()
	defer l.sweepMu.Unlock()
	for {
		due := l.due.Load()
		for l.sweepAt < len(l.reading.all) {
			c := l.reading.all[l.sweepAt]
			if c.kept() >= due {
				l.sweepAt++
				continue
			}
			l.watch.Store(c)    // D1
			if c.kept() < due { // D2
				return
			}
		}
		if len(l.reading.all) == 0 {
			l.watch.Store(nil)
			l.clearTo(l.sweepEnd)
			return
		}
		low := uint64(noLimit)
		for _, c := range l.reading.all {
			low = min(low, c.kept())
		}
		l.clearTo(low)
		l.sweepAt = 0
	}
}

// startClearing makes the log clear passed slots from now on.
func (l *Log[T]) startClearing() {
	l.sweepMu.Lock()
	l.clears.Store(true)
	l.setDue()
	l.sweepMu.Unlock()
	l.sweep()
}

// setDue sets the place that each cursor must have reached for the next sweep to
// get on: one slot further, or, if there is nothing to clear, the end of the
// segment. The caller holds sweepMu.
func (l *Log[T]) setDue() {
	due := l.swept + 1
	if !l.clears.Load() {
		due = max(due, l.sweepSeg.end())
	}
	l.due.Store(due)
}

// clearTo clears [swept, low). The caller holds sweepMu.
func (l *Log[T]) clearTo(low uint64) {
	clears := l.clears.Load()
	for l.swept < low {
		seg := l.sweepSeg
		to := min(low, seg.end())
		if clears {
			seg.clear(l.swept-seg.base, to-seg.base) // Z1
		}
		l.swept = to
		if to == seg.end() {
			next := seg.next.Load()
			if next == nil {
				break // full and passed, the next segment not linked yet
			}
			l.sweepSeg = next
			if len(seg.slots) == maxSegment {
				l.used.Put((*[maxSegment]slot[T])(seg.slots)) // Z2
			}
		}
	}
	l.setDue()
}
