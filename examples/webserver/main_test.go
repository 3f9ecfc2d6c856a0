package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/console/client"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var both = staff{}

func init() {
	var err error
	if both, err = parseStaff("ada:secret:operator bob:other:viewer"); err != nil {
		panic(err)
	}
}

// start runs the server on a file until stop, which returns what serve does.
func start(t *testing.T, store string) (url string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l, store, both, 10*time.Second) }()
	t.Cleanup(func() { cancel(); http.DefaultClient.CloseIdleConnections() })
	return "http://" + l.Addr().String(), func() error {
		cancel()
		return <-ended
	}
}

// request returns the status and the body of an answer.
func request(t *testing.T, method, url, user, password, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// basic sends name and password with every request.
type basic struct{ user, password string }

func (b basic) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(b.user, b.password)
	return http.DefaultTransport.RoundTrip(r)
}

func as(t *testing.T, url, user, password string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: url + "/ops/", HTTP: &http.Client{Transport: basic{user, password}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// failed orders a seat with a card that is refused, and returns the letter.
func failed(t *testing.T, url string, c *client.Client) deadletter.Letter {
	t.Helper()
	if status, text := request(t, "POST", url+"/orders", "", "", `{"event":"opera","seat":"A1","card":"expired"}`); status != http.StatusAccepted {
		t.Fatalf("POST /orders: %d %s", status, text)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		page, err := c.Letters(t.Context(), "", "", 1)
		if err == nil && page.Total == 1 {
			return page.Letters[0]
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("letters: %+v, %v, want one", page, err)
		}
	}
}

func TestConsoleIsForStaffOnly(t *testing.T) {
	url, stop := start(t, filepath.Join(t.TempDir(), "letters.db"))
	for _, c := range [][2]string{{"", ""}, {"ada", "wrong"}, {"eve", "secret"}, {"", "secret"}} {
		if status, _ := request(t, "GET", url+"/ops/", c[0], c[1], ""); status != http.StatusUnauthorized {
			t.Errorf("as %q with %q: status %d, want 401", c[0], c[1], status)
		}
	}
	for _, c := range [][2]string{{"ada", "secret"}, {"bob", "other"}} {
		if status, text := request(t, "GET", url+"/ops/", c[0], c[1], ""); status != http.StatusOK || !strings.Contains(text, "<html") {
			t.Errorf("as %q: status %d, %q, want the page", c[0], status, text)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A viewer sees that there is a letter, and neither its payload nor a way to change it.
func TestRoles(t *testing.T) {
	url, stop := start(t, filepath.Join(t.TempDir(), "letters.db"))
	operator, viewer := as(t, url, "ada", "secret"), as(t, url, "bob", "other")
	l := failed(t, url, operator)
	if !bytes.Contains(l.Payload, []byte("expired")) {
		t.Errorf("the operator sees payload %q", l.Payload)
	}
	seen, err := viewer.Letter(t.Context(), l.ID)
	if err != nil || len(seen.Payload) > 0 || strings.Contains(seen.Error, "card") {
		t.Errorf("the viewer sees %+v, %v, want neither payload nor error", seen, err)
	}
	archive := ops.Change{Kind: "archive", Scope: ops.Scope{IDs: []string{l.ID}}}
	if _, err := viewer.Change(t.Context(), ops.By{Name: "ada"}, archive); err == nil || !strings.Contains(err.Error(), "bob is a viewer") {
		t.Errorf("the viewer archives: %v, want to be told why not", err)
	}
	if _, err := operator.Change(t.Context(), ops.By{Name: "eve", Why: "customer has paid in cash"}, archive); err != nil {
		t.Error(err)
	}
	trail, err := operator.Audit(t.Context(), deadletter.AuditQuery{Action: "archive"})
	if err != nil || len(trail.Entries) == 0 || trail.Entries[0].By != "ada" {
		t.Errorf("%+v, %v, want who has logged in and not who was said", trail, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Letters survive the process, and are sent back edited by the next one.
func TestLettersSurvive(t *testing.T) {
	store := filepath.Join(t.TempDir(), "letters.db")
	url, stop := start(t, store)
	l := failed(t, url, as(t, url, "ada", "secret"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	url, stop = start(t, store)
	operator := as(t, url, "ada", "secret")
	if _, err := operator.Edit(t.Context(), ops.By{Why: "new card"}, l.ID, ops.Edit{Payload: []byte(`{"event":"opera","seat":"A1","card":"valid"}`)}); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		now, err := operator.Letter(t.Context(), l.ID)
		if err == nil && now.State == deadletter.StateResolved && now.Closed != nil && now.Closed.By == "ada" {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%+v, %v, want it resolved by ada's edit", now, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Stopping does not wait for those who look at the console.
func TestStopEndsStreams(t *testing.T) {
	url, stop := start(t, filepath.Join(t.TempDir(), "letters.db"))
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/ops/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("bob", "other")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v, want a stream", resp, err)
	}
	defer resp.Body.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ends with %v", err)
	}
}

func TestStaffErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "must name who",
		"ada:hush":                    "name:password:role",
		"ada:hush:admin":              `role "admin"`,
		":hush:viewer":                "name:password:role",
		"ada:a:viewer ada:b:operator": "twice",
		"ada:hush:operator :x:viewer": "entry 2",
	} {
		_, err := parseStaff(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("parseStaff(%q) = %v, want %q and no password", text, err, want)
		}
	}
}

func TestBadOrders(t *testing.T) {
	url, stop := start(t, filepath.Join(t.TempDir(), "letters.db"))
	for body, want := range map[string]string{`{`: "order:", `{"event":"opera"}`: `"seat"`} {
		if status, text := request(t, "POST", url+"/orders", "", "", body); status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q, want 400 and %q", body, status, text, want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
