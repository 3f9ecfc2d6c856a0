package deadletter_test

import (
	"encoding/base32"
	"encoding/binary"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter"
)

var ulid = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)

// millisecond reads the time of a ULID by its specification: the first ten
// characters, five bits each, most significant first.
func millisecond(t *testing.T, id string) int64 {
	t.Helper()
	b, err := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").DecodeString("000000" + id[:10])
	if err != nil {
		t.Fatal(err)
	}
	return int64(binary.BigEndian.Uint64(append(make([]byte, 0, 8), b[2:10]...)) & (1<<50 - 1))
}

func TestNewIDIsAULID(t *testing.T) {
	// The example of the specification: 01ARYZ6S41 is 1469918176385.
	for at, want := range map[time.Time]string{
		time.UnixMilli(1469918176385): "01ARYZ6S41",
		time.UnixMilli(0):             "0000000000",
		time.UnixMilli(1<<48 - 1):     "7ZZZZZZZZZ",
		time.UnixMilli(-5):            "0000000000",
		{}:                            "0000000000",
	} {
		id := deadletter.NewID(at)
		if !ulid.MatchString(id) || id[:10] != want {
			t.Errorf("NewID(%v) = %q, want a ULID that begins with %s", at, id, want)
		}
	}
}

func TestNewIDSortsByTimeThenByCall(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type made struct {
			ms int64
			id string
		}
		var ids []made
		for _, ms := range rapid.SliceOfN(rapid.Int64Range(1_700_000_000_000, 1_700_000_000_003), 2, 50).Draw(rt, "ms") {
			id := deadletter.NewID(time.UnixMilli(ms))
			if got := millisecond(t, id); got != ms {
				rt.Fatalf("NewID(%d) = %q holds the time %d", ms, id, got)
			}
			ids = append(ids, made{ms, id})
		}
		// A stable sort keeps the order of the calls within a millisecond.
		slices.SortStableFunc(ids, func(a, b made) int { return int(a.ms - b.ms) })
		for i := 1; i < len(ids); i++ {
			if ids[i-1].id >= ids[i].id {
				rt.Fatalf("%v does not sort before %v", ids[i-1], ids[i])
			}
		}
	})
}

func TestNewIDIsUniqueUnderConcurrency(t *testing.T) {
	const workers, each = 8, 5000
	ids := make([][]string, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				ids[w] = append(ids[w], deadletter.NewID(day))
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, mine := range ids {
		if !slices.IsSorted(mine) {
			t.Error("the IDs of one goroutine are not in order")
		}
		for _, id := range mine {
			seen[id] = true
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d different IDs of %d", len(seen), workers*each)
	}
}
