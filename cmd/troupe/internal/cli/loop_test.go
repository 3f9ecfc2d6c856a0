package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// TestFullLoop is the night of an operator, with nothing but the command line: poison,
// letters, pause, look, fix one, a canary that stops, repair, redrive to the end,
// resume, and a Go test of what it was.
func TestFullLoop(t *testing.T) {
	w := newWorld(t)
	const poisoned = 40
	ids := w.fail(poisoned)
	open := func(want string) {
		t.Helper()
		if got := strings.TrimSpace(w.ok("search", "state:open", "--count")); got != want {
			t.Fatalf("%s letters are open, want %s", got, want)
		}
	}
	subscriber := func(want string) {
		t.Helper()
		var subs []runtime.SubscriberDescription
		w.into(&subs, "subs", "payment")
		if len(subs) != 1 || string(subs[0].State) != want {
			t.Fatalf("the subscriber is %+v, want %s", subs, want)
		}
	}

	// What fails, since when, in which handler, on which payloads?
	var groups deadletter.GroupPage
	w.into(&groups, "groups")
	if len(groups.Groups) != 1 || groups.Groups[0].Counts[deadletter.StateOpen] != poisoned || groups.Groups[0].Subscriber != "payment" {
		t.Fatalf("the groups are %+v", groups)
	}
	group := groups.Groups[0].Fingerprint

	w.ok("pause", "orders.placed/payment", "--why", "looking at the tax service")
	subscriber("paused")
	if out := w.ok("show", ids[0]); !strings.Contains(out, `"id": 9007199254740993`) || !strings.Contains(out, "tax service: 502") {
		t.Errorf("the letter is shown as\n%s", out)
	}

	// One is edited. Its subscriber is paused: it waits, and is handled with the end of
	// the pause.
	diff := w.ok("edit", ids[0], "--set", "country=LI", "--dry-run")
	if !strings.Contains(diff, `country: "CH" -> "LI"`) {
		t.Errorf("the edit would be %q", diff)
	}
	open("40")
	w.ok("edit", ids[0], "--set", "country=LI", "--why", "the customer lives in Vaduz", "--yes")
	var edited deadletter.Letter
	w.into(&edited, "show", ids[0])
	if edited.State != deadletter.StateRedriving {
		t.Errorf("behind the pause the letter is %s", edited.State)
	}
	w.ok("resume", "payment")
	eventually(t, "the edited letter is resolved", func() bool {
		w.into(&edited, "show", ids[0])
		return edited.State == deadletter.StateResolved && edited.Closed.As == deadletter.ClosedByEdit
	})
	open("39")

	// Nothing is repaired: the canary stops after its first step.
	var preview ops.Preview
	w.into(&preview, "redrive", "--group", group, "--canary", "--dry-run")
	if preview.Total != poisoned-1 || preview.Left != 0 {
		t.Errorf("the preview is %+v", preview)
	}
	r := w.run("redrive", "--group", group, "--canary", "--why", "is it back?", "--yes")
	if r.code != cli.ExitPartly || !strings.Contains(r.err, "stopped") {
		t.Fatalf("the canary: %+v", r)
	}
	all := lines(t, r.out)
	canary := all[len(all)-1]
	if canary.State != deadletter.OperationStopped || canary.Failed == 0 || canary.Failed > 3 || canary.Done != 0 || canary.Pending != poisoned-1-canary.Failed {
		t.Fatalf("the canary ends as %+v", canary)
	}
	open("39")
	w.into(&groups, "groups")
	if groups.Groups[0].State != deadletter.GroupRegressed {
		t.Errorf("the group is %s, want regressed", groups.Groups[0].State)
	}

	// Repaired. It goes on behind a pause, and to its end with the end of the pause.
	w.ok("pause", "payment")
	w.handles(func(context.Context, order) error { return nil })
	w.ok("ops", "resume", canary.Operation, "--why", "the tax service is back")
	w.ok("resume", "payment")
	r = w.run("ops", "watch", canary.Operation)
	all = lines(t, r.out)
	if end := all[len(all)-1]; r.code != cli.ExitPartly || end.State != deadletter.OperationDone || end.Done != poisoned-1-canary.Failed || end.Failed != canary.Failed {
		t.Fatalf("to the end: %+v, %+v", r, end)
	}
	all = lines(t, w.ok("redrive", "--group", group, "--yes")) // those of the canary
	if end := all[len(all)-1]; end.Done != canary.Failed {
		t.Errorf("those of the canary: %+v", end)
	}
	open("0")
	subscriber("idle")
	var account deadletter.Account
	w.into(&account, "verify")
	if account.Resolved != poisoned || account.Added != poisoned {
		t.Errorf("the account is %+v", account)
	}

	// Who did what?
	var audit deadletter.AuditPage
	w.into(&audit, "audit")
	var did []string
	for i := len(audit.Entries) - 1; i >= 0; i-- {
		e := audit.Entries[i]
		did = append(did, e.Action)
		if !strings.HasPrefix(e.By, "ada") || e.Error != "" {
			t.Errorf("the audit trail has %+v", e)
		}
	}
	if got, want := strings.Join(did, " "), "pause_subscriber edit resume_subscriber redrive pause_subscriber resume_operation resume_subscriber redrive"; got != want {
		t.Errorf("the audit trail is %s, want %s", got, want)
	}
	if e := audit.Entries[len(audit.Entries)-2]; e.Why != "the customer lives in Vaduz" || e.Object != ids[0] {
		t.Errorf("the edit is recorded as %+v", e)
	}

	regressionTest(t, w, ids[1])
}

// regressionTest holds that the Go test of a letter compiles, fails with the handler
// as it was, and passes with it as it is.
func regressionTest(t *testing.T, w *world, letter string) {
	t.Helper()
	if testing.Short() {
		t.Skip("go test in a test takes its time")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "letter_test.go")
	w.ok("gotest", letter, "--file", file)
	if r := w.run("gotest", letter, "--file", file); r.code != cli.ExitFailed {
		t.Errorf("a test that is there was overwritten: %+v", r)
	}
	const handler = `package cli_test

import (
	"context"
	"errors"
	"os"
)

type order struct {
	ID      int64  ` + "`json:\"id\"`" + `
	Country string ` + "`json:\"country,omitempty\"`" + `
}

func handlePayment(_ context.Context, o order) error {
	if o.ID != 9_007_199_254_740_994 {
		return errors.New("the event is another one")
	}
	if o.Country == "CH" && os.Getenv("BROKEN") != "" {
		return errors.New("tax service: 502")
	}
	return nil
}
`
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// A package that is nowhere but in an overlay: the module is ours, the files are not.
	at := filepath.Join(here, "testdata", "loop")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(at, "letter_test.go"):  file,
		filepath.Join(at, "handler_test.go"): write("handler.go.txt", handler),
	}})
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "letter.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-o", binary, "-overlay", write("overlay.json", string(overlay)), "./testdata/loop").CombinedOutput(); err != nil {
		t.Fatalf("the test of the letter does not compile: %v\n%s", err, out)
	}
	test := func(broken string) (string, error) {
		cmd := exec.Command(binary)
		cmd.Env = append(os.Environ(), "BROKEN="+broken)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := test("yes")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(out, "it fails: ") || !strings.Contains(out, "tax service: 502") {
		t.Errorf("with the handler as it was, the test of the letter says %v:\n%s", err, out)
	}
	if out, err := test(""); err != nil {
		t.Errorf("with the handler as it is, the test of the letter says %v:\n%s", err, out)
	}
}
