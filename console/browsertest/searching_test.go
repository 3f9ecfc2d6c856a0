package browsertest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
)

// A search for what is rare says how far it is, shows what it has found so far, and ends
// with all of it.
func TestSearching(t *testing.T) {
	const n = 8000
	store, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "letters.db")})
	if err != nil {
		t.Fatal(err)
	}
	var batch []deadletter.Letter
	start := time.Now().Add(-24 * time.Hour)
	for i := range n {
		at := start.Add(time.Duration(i) * time.Second)
		batch = append(batch, deadletter.Letter{
			ID: deadletter.NewID(at), Topic: "orders", Subscriber: "billing", Reason: "attempts_exhausted", Error: "connection refused", ContentType: "application/json",
			Payload: fmt.Appendf(nil, `{"id":%d,"note":%q}`, i, strings.Repeat("deliver to the back door ", 100)), FirstFailedAt: at, LastFailedAt: at, AttemptCount: 1,
		})
	}
	if err := store.Add(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	c, err := console.New(nil, console.Config{Desk: ops.Offline(store)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/ops/dlq", c))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = c.Close(t.Context())
		_ = store.Close()
	})
	b := drive(t, server.URL+"/ops/dlq/", 1440, "light")
	b.visit("#/letters")
	js[bool](b, `(window.seen = [], new MutationObserver(() => {
		const bar = document.querySelector('.searching [role=progressbar]');
		if (bar) window.seen.push([Number(bar.getAttribute('aria-valuenow')), document.querySelectorAll('tbody tr').length, document.querySelector('.searching [role=status]').textContent]);
	}).observe(document.getElementById('app'), { childList: true, subtree: true, attributes: true, characterData: true }), true)`)
	b.do(chromedp.Evaluate(`location.hash = '#/letters?query=' + encodeURIComponent('payload.id:>=7998 or payload.id:<3')`, nil))
	b.sees("5 of 5 letters")
	if js[bool](b, `!!document.querySelector('.searching')`) {
		t.Error("the search has ended, and the page says that it goes on")
	}
	type state struct {
		percent, rows float64
		text          string
	}
	var seen []state
	for _, s := range js[[][]any](b, "window.seen") {
		seen = append(seen, state{s[0].(float64), s[1].(float64), s[2].(string)})
	}
	if len(seen) == 0 {
		t.Fatal("the page never said how far the search was")
	}
	last := seen[0]
	for _, s := range seen {
		if s.percent < last.percent || s.rows < last.rows || s.percent > 99 {
			t.Errorf("the search goes from %v to %v", last, s)
		}
		last = s
	}
	if last.rows != 2 || !strings.Contains(last.text, "2 letters found") {
		t.Errorf("before the end the page shows %v, want the two newest letters", last)
	}
}
