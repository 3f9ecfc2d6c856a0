package cli

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-go/troupe/console/client"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// Desk is what the commands call: the desk of this process, a desk without a
// runtime, and the console of another process are all one.
type Desk interface {
	Overview(ctx context.Context) (ops.Overview, error)
	Tree() (runtime.Description, error)
	Groups(ctx context.Context, query string, q deadletter.GroupQuery) (deadletter.GroupPage, error)
	Group(ctx context.Context, fingerprint string) (deadletter.Group, error)
	Letters(ctx context.Context, query, after string, limit int) (deadletter.Page, error)
	QuickLetters(ctx context.Context, query, after string, limit int, within time.Duration) (deadletter.Page, error)
	Letter(ctx context.Context, id string) (deadletter.Letter, error)
	Timeline(ctx context.Context, query string, from, until time.Time, spans int) ([]deadletter.Span, error)
	Operations(ctx context.Context, q deadletter.OperationQuery) (deadletter.OperationPage, error)
	Operation(ctx context.Context, id string) (ops.Operation, error)
	Items(ctx context.Context, q deadletter.ItemQuery) (deadletter.ItemPage, error)
	Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error)
	Verify(ctx context.Context) (deadletter.Account, error)
	Watch(ctx context.Context, since uint64) iter.Seq[ops.Event]
	Count(ctx context.Context, s ops.Scope) (int, error)
	Preview(ctx context.Context, r ops.Redrive) (ops.Preview, error)
	Redrive(ctx context.Context, by ops.By, r ops.Redrive) (ops.Operation, error)
	PauseOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error)
	ResumeOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error)
	CancelOperation(ctx context.Context, by ops.By, id string) (ops.Operation, error)
	SetRate(ctx context.Context, by ops.By, id string, perSecond float64) (ops.Operation, error)
	Change(ctx context.Context, by ops.By, c ops.Change) (ops.Operation, error)
	PreviewEdit(ctx context.Context, id string, e ops.Edit) (ops.Edited, error)
	Edit(ctx context.Context, by ops.By, id string, e ops.Edit) (ops.Edited, error)
	Fixes() []ops.Fix
	PreviewFix(ctx context.Context, name string, s ops.Scope, n int) ([]ops.FixSample, error)
	ChangeGroup(ctx context.Context, by ops.By, fingerprint string, c ops.GroupChange) (deadletter.Group, error)
	PauseSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error
	ResumeSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error
	RestartSubscriber(ctx context.Context, by ops.By, topic, subscriber string) error
	Export(ctx context.Context, by ops.By, w io.Writer, s ops.Scope, format string) (int, error)
	Import(ctx context.Context, by ops.By, r io.Reader, format string) (ops.Imported, error)
	PreviewImport(ctx context.Context, r io.Reader, format string) (ops.Imported, error)
	Complete(ctx context.Context, query string, at int) ([]string, error)
	GoTest(ctx context.Context, id string) (string, error)
}

var (
	_ Desk = (*ops.Desk)(nil)
	_ Desk = (*client.Client)(nil)
)

// connect finds out what the commands are about.
func (a *app) connect(_ context.Context, changing bool) error {
	if a.server != "" && a.store != "" {
		return usage("--server and --store: name one of them")
	}
	if a.server == "" && a.store == "" {
		if a.server = a.Getenv("TROUPE_SERVER"); a.server == "" {
			a.store = a.Getenv("TROUPE_STORE")
		}
	}
	switch {
	case a.server != "":
		return a.connectServer()
	case a.store == "":
		return usage("say where the letters are: --server http://host:port/prefix, --server unix:///path.sock, or --store FILE\n" +
			"  (or set TROUPE_SERVER or TROUPE_STORE; troupe demo starts something to try)")
	case strings.HasPrefix(a.store, "postgres://"), strings.HasPrefix(a.store, "postgresql://"):
		where := "postgres://…"
		if u, err := url.Parse(a.store); err == nil {
			where = u.Redacted()
		}
		return usage("--store %s: a store in PostgreSQL is looked at through a console over it, since its driver is not part of this program: "+
			"--server http://host:port/prefix of any program that has one, or a few lines with console.New and deadletter/postgres, ReadOnly", where)
	case changing:
		return usage("--store %s is for looking only: what changes something needs the running program, with --server", a.store)
	}
	s, err := sqlite.OpenReadOnly(a.store)
	if err != nil {
		return storeExit(err)
	}
	a.desk, a.where, a.closer = ops.Offline(s), a.store, func() { _ = s.Close() }
	return nil
}

func (a *app) connectServer() error {
	if a.token == "" {
		a.token = a.Getenv("TROUPE_TOKEN")
	}
	cfg := client.Config{Token: a.token}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = a.timeout
	address := a.server
	if !strings.Contains(address, "://") && !strings.HasPrefix(address, "unix:") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return usage("--server %q: %w", a.server, err)
	case u.Scheme == "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return usage("--server %q: a socket is unix:///path.sock, with three slashes", a.server)
		}
		cfg.Socket = u.Path
		cfg.URL = (&url.URL{Scheme: "http", Host: "localhost", Path: "/" + strings.TrimPrefix(u.Query().Get("prefix"), "/")}).String()
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: a.timeout}).DialContext(ctx, "unix", cfg.Socket)
		}
	default:
		cfg.URL = u.String()
		if a.token != "" && u.Scheme == "http" && !loopback(u.Hostname()) {
			fmt.Fprintf(a.Err, "troupe: warning: the token goes to %s unencrypted\n", clean(u.Host))
		}
	}
	cfg.HTTP = &http.Client{Transport: t}
	c, err := client.New(cfg)
	if err != nil {
		return usage("--server %q: %w", a.server, err)
	}
	a.desk, a.where, a.closer = c, a.server, c.Close
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// place says where something is going to be done, for questions.
func (a *app) place(ctx context.Context) string {
	c, ok := a.desk.(*client.Client)
	if !ok {
		return a.where
	}
	about, err := c.About(ctx)
	if err != nil {
		return a.where
	}
	text := about.Name + " on " + about.Node
	if about.Environment != "" {
		text = "[" + about.Environment + "] " + text
	}
	return clean(text)
}
