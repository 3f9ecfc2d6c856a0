package rabbitmq

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestFlightAcknowledgesWhatIsSettled plays the server: what an acknowledgment takes
// with it must have been settled, and all that is settled must be taken.
func TestFlightAcknowledgesWhatIsSettled(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := newFlight()
		unsettled := map[uint64]bool{} // at the server
		handed := []uint64{}
		next := uint64(1)
		for range 60 {
			for range r.IntN(6) {
				f.add(next)
				unsettled[next] = true
				handed = append(handed, next)
				next++
			}
			var tags []uint64
			for range r.IntN(8) {
				if len(handed) == 0 {
					break
				}
				i := r.IntN(min(len(handed), 10))
				tag := handed[i]
				if r.IntN(4) > 0 {
					handed = slices.Delete(handed, i, i+1)
				}
				if f.take(tag) != unsettled[tag] && !slices.Contains(tags, tag) {
					t.Fatalf("seed %d: take(%d) = %v", seed, tag, !unsettled[tag])
				}
				if unsettled[tag] && !slices.Contains(tags, tag) {
					if r.IntN(5) == 0 { // it goes back
						delete(unsettled, tag)
						continue
					}
					tags = append(tags, tag)
				}
			}
			slices.Sort(tags)
			upTo, single := f.acks(tags)
			for tag := range unsettled {
				if tag <= upTo {
					if !slices.Contains(tags, tag) {
						t.Fatalf("seed %d: %d is acknowledged by all up to %d and was not settled", seed, tag, upTo)
					}
					delete(unsettled, tag)
				}
			}
			for _, tag := range single {
				if !unsettled[tag] {
					t.Fatalf("seed %d: %d is acknowledged twice, which ends the channel", seed, tag)
				}
				delete(unsettled, tag)
			}
			for _, tag := range tags {
				if unsettled[tag] {
					t.Fatalf("seed %d: %d is settled and not acknowledged", seed, tag)
				}
			}
			if f.open != len(unsettled) {
				t.Fatalf("seed %d: open = %d, want %d", seed, f.open, len(unsettled))
			}
		}
	}
}
