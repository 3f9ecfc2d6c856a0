package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mail = `{"to":"ann","text":"hello"}`

// start returns a server under test, which is shut down at the end.
func start(t *testing.T, send func(context.Context, Mail) error) (*post, *httptest.Server) {
	t.Helper()
	p, err := newPost(send)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p.routes())
	t.Cleanup(func() {
		server.Close()
		if _, err := p.rt.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p, server
}

func request(t *testing.T, method, url, body string) (status int, header http.Header, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode, resp.Header, string(b)
}

func wantStatus(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: status = %d, want %d", what, got, want)
	}
}

func TestAMailIsSentInTheBackground(t *testing.T) {
	sent := make(chan Mail)
	_, server := start(t, func(_ context.Context, m Mail) error { sent <- m; return nil })
	status, _, _ := request(t, "POST", server.URL+"/mails", mail) // answered before it is sent
	wantStatus(t, "POST /mails", status, http.StatusAccepted)
	if got := <-sent; got != (Mail{"ann", "hello"}) {
		t.Errorf("sent = %v", got)
	}
}

func TestABadRequestIsToldWhatIsWrong(t *testing.T) {
	_, server := start(t, func(context.Context, Mail) error { t.Error("sent"); return nil })
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		`{"text":"hello"}`:                   {http.StatusBadRequest, `"to" is empty`},
		`hello`:                              {http.StatusBadRequest, "invalid character"},
		`{"to":7}`:                           {http.StatusBadRequest, "cannot unmarshal"},
		`"` + strings.Repeat("x", maxBody+1): {http.StatusRequestEntityTooLarge, "too large"},
	} {
		status, _, text := request(t, "POST", server.URL+"/mails", body)
		wantStatus(t, body[:min(len(body), 20)], status, want.status)
		if !strings.Contains(text, want.says) {
			t.Errorf("answer = %q, want %q in it", text, want.says)
		}
	}
}

func TestAFullMailboxIsTemporarilyUnavailable(t *testing.T) {
	begun, release := make(chan struct{}, capacity+workers), make(chan struct{})
	defer close(release)
	p, server := start(t, func(context.Context, Mail) error { begun <- struct{}{}; <-release; return nil })
	fill := func(n int) {
		for range n {
			if err := p.mails.Publish(t.Context(), Mail{To: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(workers)
	for range workers {
		<-begun
	}
	fill(capacity)
	status, header, text := request(t, "POST", server.URL+"/mails", mail)
	wantStatus(t, "POST /mails", status, http.StatusServiceUnavailable)
	if header.Get("Retry-After") == "" || !strings.Contains(text, "sender") {
		t.Errorf("Retry-After %q, answer %q, want a time and who is full", header.Get("Retry-After"), text)
	}
}

func TestHealthEndpoints(t *testing.T) {
	p, server := start(t, func(context.Context, Mail) error { return nil })
	for _, path := range []string{"/live", "/ready", "/state"} {
		status, _, text := request(t, "GET", server.URL+path, "")
		wantStatus(t, path, status, http.StatusOK)
		if !strings.Contains(text, "post") {
			t.Errorf("%s = %q, want the name of the runtime in it", path, text)
		}
	}
	if _, err := p.rt.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/live": http.StatusOK, "/ready": http.StatusServiceUnavailable} {
		status, _, _ := request(t, "GET", server.URL+path, "")
		wantStatus(t, path+" when closed", status, want)
	}
	status, _, _ := request(t, "POST", server.URL+"/mails", mail)
	wantStatus(t, "POST /mails when closed", status, http.StatusServiceUnavailable)
}

// serving runs serve on a port of its own. end stands for the signal.
func serving(t *testing.T, send func(context.Context, Mail) error, drain time.Duration) (url string, end func(), ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, send, drain) }()
	return "http://" + l.Addr().String(), cancel, done
}

func TestTheEndFinishesWhatWasAccepted(t *testing.T) {
	begun, release := make(chan struct{}, 4), make(chan struct{})
	var sent []Mail
	url, end, ended := serving(t, func(_ context.Context, m Mail) error {
		begun <- struct{}{}
		<-release
		sent = append(sent, m) // the race detector sees it if serve does not wait
		return nil
	}, time.Minute)
	status, _, _ := request(t, "POST", url+"/mails", mail)
	wantStatus(t, "POST /mails", status, http.StatusAccepted)
	<-begun
	end()
	select {
	case err := <-ended:
		t.Fatalf("serve = %v while a mail is being sent", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("serve = %v, want nil", err)
	}
	if len(sent) != 1 {
		t.Errorf("sent = %v, want the mail that was accepted", sent)
	}
}

func TestAMailThatCannotBeSentInTimeIsReported(t *testing.T) {
	begun := make(chan struct{}, 1)
	url, end, ended := serving(t, func(ctx context.Context, _ Mail) error {
		begun <- struct{}{}
		<-ctx.Done() // at the deadline of the drain
		return supervisor.RetryAfter(ctx.Err(), time.Hour)
	}, 20*time.Millisecond)
	status, _, _ := request(t, "POST", url+"/mails", mail)
	wantStatus(t, "POST /mails", status, http.StatusAccepted)
	<-begun
	end()
	if err := <-ended; !errors.Is(err, runtime.ErrUnclean) {
		t.Errorf("serve = %v, want %v", err, runtime.ErrUnclean)
	}
}

func TestASlowClientDoesNotUseUpTheTimeOfTheMails(t *testing.T) {
	begun, release := make(chan struct{}, 1), make(chan struct{})
	url, end, ended := serving(t, func(ctx context.Context, _ Mail) error {
		begun <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, time.Second)
	status, _, _ := request(t, "POST", url+"/mails", mail)
	wantStatus(t, "POST /mails", status, http.StatusAccepted)
	<-begun
	slow, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	// The server asks for the body, which says that the request is under way.
	if _, err := io.WriteString(slow, "POST /mails HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	end()
	_, _ = io.Copy(io.Discard, slow) // until the server has had enough
	close(release)
	err = <-ended
	if err == nil || !strings.Contains(err.Error(), "requests under way") || errors.Is(err, runtime.ErrUnclean) {
		t.Errorf("serve = %v, want the slow request and nothing about mails", err)
	}
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := run(t.Context(), l.Addr().String()); err == nil {
		t.Error("run = nil, want an error")
	}
}
