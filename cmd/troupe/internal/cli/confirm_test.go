package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"github.com/troupe-go/troupe/deadletter"
)

// TestConfirmation holds that a person is asked, with where and how many, and that
// anything but the right answer does nothing.
func TestConfirmation(t *testing.T) {
	w := newWorld(t)
	w.fail(3)
	for _, c := range []struct {
		typed, args string
		code        int
		says        string
	}{
		{"", "redrive --query *", cli.ExitRefused, "Send 3 letters back to the subscriber that failed at [test] shop on"},
		{"n\n", "redrive --query *", cli.ExitRefused, "nothing was done"},
		{"yess\n", "archive --query *", cli.ExitRefused, "Archive 3 letters that fit * at [test] shop"},
		{"y\n", "rm --query *", cli.ExitRefused, "Type the number of letters"},
		{"4\n", "rm --query *", cli.ExitRefused, `"4" is not 3`},
		{"4\n", "rm --query * --yes", cli.ExitRefused, `"4" is not 3`},
		{"3\n", "rm --query * --confirm 4", cli.ExitRefused, "there are 3 letters"},
		{"", "redrive --query * --dry-run", cli.ExitOK, ""},
		{"", "rm --query * --dry-run", cli.ExitOK, ""},
		{"", "fix leave-ch --query * --dry-run", cli.ExitOK, ""},
	} {
		r := w.typed(c.typed, strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.err, c.says) {
			t.Errorf("troupe %s, typed %q: exit code %d, want %d, and %q in\n%s", c.args, c.typed, r.code, c.code, c.says, r.err)
		}
	}
	var page deadletter.OperationPage
	w.into(&page, "ops")
	if page.Total != 0 {
		t.Fatalf("%d operations were begun by what was not confirmed", page.Total)
	}
	if r := w.typed("3\n", "rm", "--query", "*", "--why", "test data"); r.code != cli.ExitOK {
		t.Errorf("rm with the number typed: %+v", r)
	}
	if out := w.ok("search", "state:deleted", "--count"); out != "3\n" {
		t.Errorf("%s letters are deleted", out)
	}
	if r := w.typed("y\n", "restore", "--query", "state:deleted"); r.code != cli.ExitOK {
		t.Errorf("restore: %+v", r)
	}
	if out := w.ok("search", "state:open", "--count"); out != "3\n" {
		t.Errorf("%s letters are open again", out)
	}
	var audit deadletter.AuditPage
	w.into(&audit, "audit", "--action", "delete")
	if len(audit.Entries) != 1 || !strings.HasPrefix(audit.Entries[0].By, "ada") || audit.Entries[0].Why != "test data" || audit.Entries[0].Count != 3 {
		t.Errorf("the audit trail says %+v", audit.Entries)
	}
}

// TestChanges holds each change of letters by the command line, with what it says.
func TestChanges(t *testing.T) {
	w := newWorld(t)
	ids := w.fail(5)
	state := func(id string) string {
		t.Helper()
		var l deadletter.Letter
		w.into(&l, "show", id)
		if l.Snoozed(time.Now()) {
			return "snoozed"
		}
		return string(l.State)
	}
	for _, c := range []struct{ args, want string }{
		{"archive " + ids[0], "archived"},
		{"restore " + ids[0], "open"},
		{"snooze " + ids[0] + " --for 2h", "snoozed"},
		{"resolve " + ids[0] + " --why by-hand", "resolved"},
		{"rm " + ids[0] + " --yes --confirm 1", "deleted"},
		{"restore " + ids[0], "resolved"},
	} {
		w.ok(strings.Fields(c.args)...)
		if got := state(ids[0]); got != c.want {
			t.Errorf("after troupe %s the letter is %s, want %s", c.args, got, c.want)
		}
	}
	group := firstGroup(w)
	w.ok("groups", "ack", group, "--note", "known", "--owner", "payments")
	var g deadletter.Group
	w.into(&g, "groups", "show", group)
	if g.State != deadletter.GroupAcknowledged || g.Note != "known" || g.Owner != "payments" {
		t.Errorf("the group is %+v", g)
	}
	if out := w.ok("snooze", "--group", group, "--for", "1h", "--dry-run"); !strings.Contains(out, "would snooze 4 letters") {
		t.Errorf("a dry run says %q", out)
	}
	w.ok("archive", "--group", group, "--yes")
	if out := w.ok("search", "state:archived", "--count"); out != "5\n" {
		t.Errorf("%s letters are archived, want 5", out)
	}
}

func firstGroup(w *world) string {
	w.t.Helper()
	var page deadletter.GroupPage
	w.into(&page, "groups")
	if len(page.Groups) == 0 {
		w.t.Fatal("there is no group")
	}
	return page.Groups[0].Fingerprint
}
