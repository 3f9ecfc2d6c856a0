package rabbitmq_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine/enginetest"
)

// private is a server of this test binary alone, which tests may stop, starve and
// configure. scripts/services makes it, apart from the one that all share.
type private struct {
	url    string
	folder string
	script string
}

// thePrivate is started once, and beside the other tests: it takes its time.
var thePrivate struct {
	once   sync.Once
	ready  chan struct{} // closed when there is a server or an error; nil if nobody asked
	server *private
	err    error
}

func needPrivate() {
	thePrivate.once.Do(func() {
		ready := make(chan struct{})
		thePrivate.ready = ready
		go func() {
			defer close(ready)
			thePrivate.server, thePrivate.err = startPrivate()
		}()
	})
}

// TestOnItsOwnServer has all that stops, starves or configures a server. It is parallel
// to nothing but comes last, when the server has had its time to start.
func TestOnItsOwnServer(t *testing.T) {
	t.Parallel()
	server(t) // where there is none for the others there is none
	needPrivate()
	<-thePrivate.ready
	if thePrivate.err != nil {
		t.Fatal(thePrivate.err)
	}
	p := thePrivate.server
	if err := os.Setenv(suiteURL, p.url); err != nil { // for the processes that the suite kills
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, *private)
	}{
		{"Engine", conformance}, {"RestartsUnderLoad", serverRestartsUnderLoad}, {"ShortOfMemory", serverShortOfMemory},
		{"TakesLess", serverTakesLess}, {"NotAllowed", notAllowed}, {"PolicyLosesNothing", policyLosesNothing},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, p) })
	}
}

func startPrivate() (*private, error) {
	script, err := filepath.Abs("../../scripts/services")
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "troupe-rabbitmq")
	if err != nil {
		return nil, err
	}
	p := &private{folder: folder, script: script}
	out, err := p.services("start")
	if err != nil {
		return p, err
	}
	_, p.url, _ = strings.Cut(strings.TrimSpace(out), "TROUPE_RABBITMQ=")
	return p, nil
}

func (p *private) services(verb string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", p.script, verb, "rabbitmq")
	cmd.Env = append(os.Environ(), "TROUPE_SERVICES="+p.folder)
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if e, ok := err.(*exec.ExitError); ok {
			stderr = e.Stderr
		}
		return "", fmt.Errorf("scripts/services %s rabbitmq: %w: %s", verb, err, stderr)
	}
	return string(out), nil
}

func (p *private) must(t testing.TB, verb string) {
	t.Helper()
	if _, err := p.services(verb); err != nil {
		t.Fatal(err)
	}
}

// queuesAreSafe waits until the server has written down that it has quorum queues of
// these names: it takes up to 3 s over that, and one that is killed before knows of
// them and not of their records. See the package's documentation.
func (p *private) queuesAreSafe(t testing.TB, names ...string) {
	t.Helper()
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "//marks") }) // a stream
	ctx := within(t)
	for missing := names; len(missing) > 0; time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("the server never wrote down %v", missing)
		}
		files, _ := filepath.Glob(filepath.Join(p.folder, "rabbitmq/data/mnesia/*/quorum/*/names.dets"))
		var data []byte
		for _, f := range files {
			b, _ := os.ReadFile(f)
			data = append(data, b...)
		}
		missing = slices.DeleteFunc(slices.Clone(missing), func(name string) bool { return bytes.Contains(data, []byte(name)) })
	}
}

// ctl runs rabbitmqctl on the server.
func (p *private) ctl(t testing.TB, args ...string) string {
	t.Helper()
	home := filepath.Join(p.folder, "rabbitmq", "data")
	nodes, _ := filepath.Glob(filepath.Join(home, "mnesia", "troupe-*@localhost"))
	port, err := os.ReadFile(filepath.Join(p.folder, "rabbitmq", "port"))
	if len(nodes) != 1 || err != nil {
		t.Fatalf("nodes %v, port %v", nodes, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(port)))
	if err != nil {
		t.Fatal(err)
	}
	ctl := "/usr/lib/rabbitmq/bin/rabbitmqctl"
	if _, err := os.Stat(ctl); err != nil {
		ctl = "rabbitmqctl"
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, ctl, append([]string{"-q", "-n", filepath.Base(nodes[0])}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "RABBITMQ_HOME=", fmt.Sprintf("ERL_EPMD_PORT=%d", n+2),
		"RABBITMQ_CONF_ENV_FILE="+filepath.Join(home, "rabbitmq-env.conf"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("rabbitmqctl %v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		child()
		return
	}
	if os.Getenv("TROUPE_ENGINETEST_CHILD") != "" {
		enginetest.Main(m, openSuite) // ends the process, which has no server to stop
	}
	flag.Parse()
	if os.Getenv("TROUPE_RABBITMQ") != "" && flag.Lookup("test.run").Value.String() == "" {
		needPrivate()
	}
	code := m.Run()
	if thePrivate.ready != nil {
		<-thePrivate.ready
	}
	if p := thePrivate.server; p != nil {
		if _, err := p.services("stop"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		_ = os.RemoveAll(p.folder)
		_ = os.Remove(p.folder + ".lock")
	}
	os.Exit(code)
}
