package console_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// changes are all calls that change something, with a body that would do it.
func changes(id, group string) map[string]any {
	return map[string]any{
		"redrive":            map[string]any{"redrive": map[string]any{"scope": map[string]any{"ids": []string{id}}, "budget": 1}},
		"operation/pause":    map[string]any{"id": "x"},
		"operation/resume":   map[string]any{"id": "x"},
		"operation/cancel":   map[string]any{"id": "x"},
		"operation/rate":     map[string]any{"id": "x", "per_second": 1},
		"change":             map[string]any{"change": map[string]any{"kind": "archive", "scope": map[string]any{"ids": []string{id}}}},
		"edit":               map[string]any{"id": id, "edit": map[string]any{"payload": map[string]any{"id": 1}, "budget": 1}},
		"group/change":       map[string]any{"fingerprint": group, "note": "n"},
		"subscriber/pause":   map[string]any{"topic": "bills", "subscriber": "billing"},
		"subscriber/resume":  map[string]any{"topic": "bills", "subscriber": "billing"},
		"subscriber/restart": map[string]any{"topic": "bills", "subscriber": "billing"},
		"import":             "",
	}
}

func TestReadOnlyUnlessAuthorizeSays(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	before, err := w.desk.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	group := w.group("bills")
	for path, body := range changes(w.ids("bills")[0], group) {
		status, text, _ := w.ask(http.MethodPost, "api/v1/"+path, body, func(r *http.Request) {
			if path == "import" {
				r.Header.Set("Content-Type", "application/x-ndjson")
			}
		})
		if status != http.StatusForbidden || !strings.Contains(text, `"code":"read_only"`) || !strings.Contains(text, "Authorize") {
			t.Errorf("POST %s = %d %s, want 403 read_only with the fix", path, status, text)
		}
	}
	after, err := w.desk.Verify(t.Context())
	if err != nil || before != after {
		t.Errorf("account %+v, %v, want %+v", after, err, before)
	}
	if page, err := w.desk.Audit(t.Context(), deadletter.AuditQuery{}); err != nil || page.Total != 0 {
		t.Errorf("audit has %d entries, %v, want none", page.Total, err)
	}
	// Looking is allowed.
	for _, path := range []string{"overview", "letters", "letter?id=" + w.ids("vault")[0]} {
		if status, text := w.get(path); status != 200 {
			t.Errorf("GET %s = %d %s", path, status, text)
		}
	}
}

// TestRightsAreApart refuses one right at a time.
func TestRightsAreApart(t *testing.T) {
	for right, refused := range map[console.Right][]string{
		console.Control: {"subscriber/pause", "subscriber/resume", "subscriber/restart"},
		console.Mutate:  {"redrive", "operation/pause", "operation/resume", "operation/cancel", "operation/rate", "change", "edit", "group/change", "import"},
	} {
		w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: except(func(a console.Action) bool { return a.Right == right })})
		for path, body := range changes(w.ids("bills")[0], w.group("bills")) {
			status, text, _ := w.ask(http.MethodPost, "api/v1/"+path, body, func(r *http.Request) {
				if path == "import" {
					r.Header.Set("Content-Type", "application/x-ndjson")
				}
			})
			want := false
			for _, p := range refused {
				want = want || p == path
			}
			if got := status == http.StatusForbidden; got != want {
				t.Errorf("without %s, POST %s = %d %s, want forbidden %v", right, path, status, text, want)
			}
		}
	}
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: except(func(a console.Action) bool { return a.Right == console.Metadata })})
	for _, r := range w.routes() {
		if r.method == http.MethodGet {
			if status, text := w.get(r.path); status != http.StatusForbidden {
				t.Errorf("without metadata, GET %s = %d %s", r.path, status, text)
			}
		}
	}
}

func (w *world) group(topic string) string {
	w.t.Helper()
	l, err := w.store.Get(w.t.Context(), w.ids(topic)[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return l.Fingerprint
}

// TestMutationsArePostsOfJSONFromTheSameOrigin is the defense against other sites.
func TestMutationsArePostsOfJSONFromTheSameOrigin(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything})
	body := map[string]any{"topic": "bills", "subscriber": "billing"}
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for _, c := range []struct {
		name, method string
		change       func(*http.Request)
		want         int
	}{
		{"plain", "POST", header("X", "y"), 200},
		{"same origin", "POST", header("Sec-Fetch-Site", "same-origin"), 200},
		{"cross-site", "POST", header("Sec-Fetch-Site", "cross-site"), 403},
		{"same site, other host", "POST", header("Sec-Fetch-Site", "same-site"), 403},
		{"origin of another", "POST", header("Origin", "https://evil.example"), 403},
		{"form", "POST", header("Content-Type", "application/x-www-form-urlencoded"), 415},
		{"text", "POST", header("Content-Type", "text/plain"), 415},
		{"no type", "POST", func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"get", "GET", header("X", "y"), 405},
		{"put", "PUT", header("X", "y"), 405},
		{"delete", "DELETE", header("X", "y"), 405},
	} {
		status, text, h := w.ask(c.method, "api/v1/subscriber/resume", body, c.change)
		if status != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, status, text, c.want)
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: the answer allows other origins", c.name)
		}
	}
}

func TestHostIsKnownOnLoopback(t *testing.T) {
	for _, c := range []struct {
		hosts []string
		host  string
		want  int
	}{
		{nil, "localhost:1", 200}, {nil, "127.0.0.1", 200}, {nil, "[::1]:80", 200}, {nil, "127.9.9.9:1", 200}, {nil, "shop.localhost:80", 200}, {nil, "LOCALHOST.", 200},
		{nil, "evil.example", 421}, {nil, "evil.example:80", 421}, {nil, "localhost.evil.example", 421}, {nil, "10.0.0.1", 421}, {nil, "0.0.0.0", 421},
		{[]string{"ops.example"}, "ops.example:443", 200}, {[]string{"ops.example"}, "OPS.example", 200}, {[]string{"ops.example"}, "evil.example", 421},
	} {
		w := newWorld(t, console.Config{Sample: console.NoSamples, Hosts: c.hosts})
		for _, path := range []string{"", "api/v1/overview"} {
			if status, text, _ := w.ask("GET", path, nil, func(r *http.Request) { r.Host = c.host }); status != c.want {
				t.Errorf("Hosts %q, GET %q as %q = %d %.100s, want %d", c.hosts, path, c.host, status, text, c.want)
			}
		}
	}
}

// TestHostElsewhere asks without a loopback address, and over a Unix socket.
func TestHostElsewhere(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	for _, c := range []struct {
		local net.Addr
		want  int
	}{
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, 200}, {&net.UnixAddr{Name: "/s", Net: "unix"}, 200}, {&net.TCPAddr{IP: net.IPv6loopback}, 421},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "anything.example"
		rec := httptest.NewRecorder()
		w.console.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.local)))
		if rec.Code != c.want {
			t.Errorf("on %v: %d, want %d", c.local, rec.Code, c.want)
		}
	}
	strict := newWorld(t, console.Config{Sample: console.NoSamples, Hosts: []string{"ops.example"}})
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "other.example"
	rec := httptest.NewRecorder()
	strict.console.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}))))
	if rec.Code != 421 {
		t.Errorf("with Hosts, another host off loopback = %d, want 421", rec.Code)
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	for _, path := range []string{"", "js/main.js", "css/base.css", "api/v1/overview", "api/v1/nothing", "nothing"} {
		_, _, h := w.ask("GET", path, nil)
		csp := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("GET %q: policy %q is without %s", path, csp, part)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("GET %q: policy %q is weak", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("GET %q: headers %v", path, h)
		}
		want := "no-store"
		if filepath.Ext(path) != "" && !strings.HasPrefix(path, "api") {
			want = "no-cache"
		}
		if got := h.Get("Cache-Control"); got != want {
			t.Errorf("GET %q: Cache-Control %q, want %q", path, got, want)
		}
	}
}

// TestBadRequests holds that each names the field and the fix.
func TestBadRequests(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything, MaxBody: 2000})
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		has          []string
	}{
		{"GET", "letters?limit=x", nil, 400, []string{`"field":"limit"`, `"fix"`}},
		{"GET", "letters?limit=1001", nil, 400, []string{`"field":"limit"`, "1000"}},
		{"GET", "letters?limit=-1", nil, 400, []string{`"field":"limit"`}},
		{"GET", "letters?qeury=x", nil, 400, []string{`"field":"qeury"`, "query"}},
		{"GET", "letters?query=a&query=b", nil, 400, []string{`"field":"query"`, "once"}},
		{"GET", "letters?brief=maybe", nil, 400, []string{`"field":"brief"`}},
		{"GET", "letters?query=sttae:open", nil, 400, []string{`"column":1`, "state"}},
		{"GET", "letters?query=state:open+(", nil, 400, []string{`"column"`, `"code":"invalid_query"`}},
		{"GET", "groups?since=yesterday", nil, 400, []string{`"field":"since"`, "2026"}},
		{"GET", "timeline?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", nil, 400, []string{`"field":"from"`}},
		{"GET", "timeline?spans=0", nil, 400, []string{`"field":"spans"`}},
		{"GET", "letter", nil, 400, []string{`"field":"id"`}},
		{"GET", "letter?id=nothing", nil, 404, []string{`"code":"not_found"`}},
		{"GET", "group?fingerprint=nothing", nil, 404, []string{`"code":"not_found"`}},
		{"GET", "operation?id=nothing", nil, 404, []string{`"code":"not_found"`}},
		{"GET", "subscribers?sort=name", nil, 400, []string{`"field":"sort"`}},
		{"GET", "export?query=*&format=xml", nil, 400, []string{`"field":"format"`, "jsonl"}},
		{"GET", "nothing", nil, 404, []string{"openapi.json"}},
		{"POST", "count", "", 400, []string{"empty"}},
		{"POST", "count", "{", 400, []string{"whole"}},
		{"POST", "count", "[]", 400, []string{"object"}},
		{"POST", "count", `{"scope":{"ids":"x"}}`, 400, []string{`"field":"scope.ids"`, "list"}},
		{"POST", "count", `{"scope":{"idz":[]}}`, 400, []string{`"field":"idz"`}},
		{"POST", "count", `{"scope":{"query":"*"}} {}`, 400, []string{"behind"}},
		{"POST", "count", `{"scope":{"query":"` + strings.Repeat("a", 3000) + `"}}`, 413, []string{"2000", "MaxBody"}},
		{"POST", "count", `{"scope":{}}`, 400, []string{"Scope"}},
		{"POST", "redrive/preview", `{"redrive":{"scope":{"query":"*"},"budget":1,"rate":-1}}`, 400, []string{`"field":"rate"`}},
		{"POST", "change", `{"change":{"kind":"burn","scope":{"query":"*"}}}`, 400, []string{`"field":"kind"`, "archive"}},
		{"POST", "change", `{"change":{"kind":"delete","scope":{"query":"*"}}}`, 400, []string{`"field":"confirm"`}},
		{"POST", "change", `{"change":{"kind":"delete","scope":{"query":"*"},"confirm":3}}`, 409, []string{`"code":"conflict"`}},
		{"POST", "subscriber/pause", `{"topic":"bills"}`, 400, []string{`"field":"subscriber"`}},
		{"POST", "subscriber/pause", `{"topic":"bills","subscriber":"nobody"}`, 404, []string{`"code":"unknown_subscriber"`}},
	} {
		status, text, h := w.ask(c.method, "api/v1/"+c.path, c.body)
		if status != c.status || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %.80v = %d %s, want %d", c.method, c.path, c.body, status, text, c.status)
		}
		for _, part := range c.has {
			if !strings.Contains(text, part) {
				t.Errorf("%s %s %.80v = %s, want %s in it", c.method, c.path, c.body, text, part)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	if _, err := console.New(nil, console.Config{}); err == nil || !strings.Contains(err.Error(), "Config.Desk") {
		t.Errorf("New without runtime and desk: %v", err)
	}
	_, err := console.New(nil, console.Config{Desk: ops.Offline(nil), MaxBody: -1, MaxStreams: -2, Heartbeat: -3, StreamTime: -4, Sample: 5, Hosts: []string{"http://x", "a:80", "*.x"}})
	for _, want := range []string{"MaxBody -1", "MaxStreams -2", "Heartbeat -3", "StreamTime -4", "Sample 5ns", `Hosts "http://x"`, `Hosts "a:80"`, `Hosts "*.x"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %s in it", err, want)
		}
	}
}

// TestWhoDidIt holds where names in the audit trail come from.
func TestWhoDidIt(t *testing.T) {
	body := map[string]any{"by": map[string]any{"name": "mallory", "why": "because"}, "topic": "bills", "subscriber": "billing"}
	for _, c := range []struct {
		user func(*http.Request) string
		want string
		code int
	}{
		{nil, "mallory (unverified)", 200},
		{func(*http.Request) string { return "ann" }, "ann", 200},
		{func(*http.Request) string { return "" }, "", 401},
	} {
		w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything, User: c.user})
		if status, text := w.post("subscriber/pause", body); status != c.code {
			t.Errorf("%d %s, want %d", status, text, c.code)
		}
		page, err := w.desk.Audit(t.Context(), deadletter.AuditQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, e := range page.Entries {
			got += fmt.Sprint(e.By)
			if e.Why != "because" || e.Action != "pause_subscriber" {
				t.Errorf("entry %+v", e)
			}
		}
		if got != c.want {
			t.Errorf("done by %q, want %q", got, c.want)
		}
	}
}

func TestToken(t *testing.T) {
	may := console.Token("abc")
	for header, want := range map[string]bool{"Bearer abc": true, "": false, "abc": false, "Bearer ab": false, "Bearer abcd": false, "Bearer ": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got := may(r, console.Action{}) == nil; got != want {
			t.Errorf("with %q: %v, want %v", header, got, want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer ")
	if console.Token("")(r, console.Action{}) == nil {
		t.Error("the empty token allows something")
	}
}
