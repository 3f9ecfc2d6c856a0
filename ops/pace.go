package ops

import "time"

// paceSpan is how far back a pace looks.
const paceSpan = 30

// pace counts what has ended in each of the last seconds.
type pace struct {
	counts [paceSpan]int
	at     [paceSpan]int64 // the second that a count is of
	began  time.Time
}

func (p *pace) add(now time.Time) {
	if p.began.IsZero() {
		p.began = now
	}
	i := now.Unix() % paceSpan
	if p.at[i] != now.Unix() {
		p.at[i], p.counts[i] = now.Unix(), 0
	}
	p.counts[i]++
}

// perSecond returns how many there were each second, 0 if that is not known.
func (p *pace) perSecond(now time.Time) float64 {
	n := 0
	for i, at := range p.at {
		if now.Unix()-at < paceSpan {
			n += p.counts[i]
		}
	}
	took := min(now.Sub(p.began), paceSpan*time.Second)
	if n == 0 || p.began.IsZero() || took < time.Second {
		return 0
	}
	return float64(n) / took.Seconds()
}

// eta returns how long so many more items take.
func (r *runner) eta(left int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	left += len(r.inFlight)
	pace := r.pace.perSecond(time.Now())
	if r.limit > 0 && (pace == 0 || pace > r.limit) {
		pace = r.limit
	}
	if pace == 0 {
		return 0
	}
	return time.Duration(float64(left) / pace * float64(time.Second))
}
