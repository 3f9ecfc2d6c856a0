package browsertest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/console/browsertest"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// TestScale is a console of 10,000 subscribers and many letters: no page has more
// rows than fit a page of the server, and each is there soon. LETTERS says how many
// letters, 20,000 without, or STORE a file of letters as bench/cmd/letters -store makes
// one; the times are logged, and no test.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 10,000 subscribers")
	}
	n := 20_000
	if s := os.Getenv("LETTERS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	const subscribers = 10_000
	ctx := t.Context()
	var store deadletter.Ledger
	var err error
	file := os.Getenv("STORE")
	if file != "" {
		n = 0
		store, err = sqlite.Open(sqlite.Config{Path: file})
	} else {
		store, err = deadletter.NewMemory(deadletter.MemoryConfig{Capacity: n + 1, MaxBytes: 16 << 30})
	}
	if err != nil {
		t.Fatal(err)
	}
	rt, err := runtime.New(runtime.Config{Name: "large", DeadLetters: store})
	if err != nil {
		t.Fatal(err)
	}
	var group *actors.Group
	for i := range subscribers {
		if i%100 == 0 {
			if group, err = rt.Group(fmt.Sprintf("region-%02d", i/100), actors.GroupConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		topic, err := topics.Open[browsertest.Order](rt, fmt.Sprintf("orders.%02d", i/100))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := topic.Subscribe(fmt.Sprintf("worker-%04d", i), func(context.Context, browsertest.Order) error { return nil }, topics.SubscriberConfig{Group: group}); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now().Add(-24 * time.Hour)
	batch := make([]deadletter.Letter, 0, 1000)
	for i := range n {
		at := start.Add(time.Duration(i) * 24 * time.Hour / time.Duration(n))
		l := deadletter.Letter{
			ID: deadletter.NewID(at), Topic: fmt.Sprintf("orders.%02d", i%100), Subscriber: fmt.Sprintf("worker-%04d", i%200), Sequence: uint64(i), Payload: fmt.Appendf(nil, `{"id":%d}`, i),
			ContentType: "application/json", Reason: "attempts_exhausted", Cause: "error", Error: "connection refused", ErrorTypes: []string{"*net.OpError"},
			AttemptCount: 1, FirstFailedAt: at, LastFailedAt: at, PublishedAt: at, EventID: strconv.Itoa(i),
		}
		l.Fingerprint = fmt.Sprintf("%016x", i%200)
		if batch = append(batch, l); len(batch) == cap(batch) || i == n-1 {
			if err := store.Add(ctx, batch); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	desk, err := ops.New(rt, ops.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := console.New(rt, console.Config{Desk: desk})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/ops/dlq", c))
	t.Cleanup(func() {
		end, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		server.CloseClientConnections()
		server.Close()
		_ = c.Close(end)
		_, _ = rt.Shutdown(end)
		_ = desk.Close(end)
		if f, ok := store.(*sqlite.Store); ok {
			_ = f.Close()
		}
	})
	exact := "letters?query=payload.id:77&brief=true"
	if file != "" {
		exact += "&quick=true" // or it looks at a million payloads
	}
	paths := []string{"overview", "letters?query=state:open&brief=true", "letters?query=sub:worker-0007&brief=true", exact, "groups?query=state:open&spark=24", "timeline?spans=48", "subscribers?limit=100", "subscribers?limit=100&sort=trouble", "health", "topics", "tree"}
	pages := []string{"#/overview", "#/tree", "#/tree?sort=trouble", "#/topics", "#/groups", "#/letters"}
	if file != "" {
		page, err := store.List(ctx, deadletter.Query{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		one := page.Letters[0]
		paths = append(paths, "groups?query=state:open+snoozed:no&spark=24", "group?fingerprint="+one.Fingerprint, "letter?id="+one.ID,
			"letters?brief=true&quick=true&query=state:open+snoozed:no", "letters?brief=true&quick=true&query=node:host-canary", "letters?brief=true&quick=true&query=customer-31337@",
			"letters?brief=true&quick=true&within=250&query=payload.order.total:>1000000", "timeline?spans=60&query=group:"+one.Fingerprint, "operations", "audit", "complete?query=sub:bil", "complete?query=topic:ord")
		pages = append(pages, "#/group?fingerprint="+one.Fingerprint, "#/letter?id="+one.ID, "#/letters?query=err:timeout", "#/letters?query=node:host-canary", "#/letters?query=payload.order.total:%3E1000000")
	}
	for _, path := range paths {
		var took []time.Duration
		var size int64
		for range 5 {
			begin := time.Now()
			resp, err := http.Get(server.URL + "/ops/dlq/api/v1/" + path)
			if err != nil {
				t.Fatal(err)
			}
			size, _ = discard(resp)
			took = append(took, time.Since(begin))
			if resp.StatusCode != 200 {
				t.Errorf("%s = %d", path, resp.StatusCode)
			}
		}
		slices.Sort(took)
		t.Logf("%-50s median %8.2f ms, worst %8.2f ms, %7d bytes", path, ms(took[2]), ms(took[4]), size)
	}
	b := drive(t, server.URL+"/ops/dlq/", 1440, "light")
	for i, hash := range pages {
		begin := time.Now()
		b.visit(hash)
		took := time.Since(begin)
		rows, nodes := js[int](b, "document.querySelectorAll('tr').length"), js[int](b, "document.querySelectorAll('*').length")
		t.Logf("%-22s there after %4.0f ms, %d rows, %d elements", hash, ms(took), rows, nodes)
		if rows > 210 || nodes > 6000 {
			t.Errorf("%s has %d rows and %d elements", hash, rows, nodes)
		}
		if strings.HasPrefix(hash, "#/letters?query=payload") {
			b.screenshot("scale-searching")
			t.Logf("%-22s first row after %4.0f ms", hash, ms(b.when(begin, `document.querySelector('tbody tr') || !document.querySelector('.searching')`)))
		}
		b.screenshot(fmt.Sprintf("scale-%02d-%s", i, hash[2:6]))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// when waits longer than until, and returns how long it was since then.
func (b *tab) when(begin time.Time, expr string) time.Duration {
	b.t.Helper()
	for !js[bool](b, "!!("+expr+")") {
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("never: %s", expr)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return time.Since(begin)
}
