package ops_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

var update = flag.Bool("update", false, "write golden files")

// attemptLetter makes a letter whose event's type is of a package that can be imported.
func attemptLetter(t *testing.T) (*ops.Desk, string) {
	rt := troupetest.New(t, runtime.Config{DeadLetters: memory(t)})
	topic, err := topics.Open[deadletter.Attempt](rt.Runtime, "attempts.made")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Subscribe("billing-v2", func(context.Context, deadletter.Attempt) error { return errBoom }, topics.SubscriberConfig{Retry: once}); err != nil {
		t.Fatal(err)
	}
	m := topics.Meta{ID: "event-1", Headers: map[string]string{"tenant": "a\"b`c", "zone": "eu"}}
	if err := topic.PublishWith(t.Context(), deadletter.Attempt{Number: 7, Error: "a ` and a \"\n*/"}, m); err != nil {
		t.Fatal(err)
	}
	rt.Idle()
	id := rt.Letters()[0].ID
	desk, err := ops.New(rt.Runtime, ops.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return desk, id
}

// TestGoTestIsATest runs what GoTest writes: it fails with the handler that failed and
// passes with one that does not.
func TestGoTestIsATest(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a test")
	}
	var source string
	synctest.Test(t, func(t *testing.T) {
		desk, id := attemptLetter(t)
		var err error
		if source, err = desk.GoTest(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	})
	golden := filepath.Join("testdata", "gotest.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(anonymous(source)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || anonymous(source) != string(want) {
		t.Errorf("GoTest = %s\nwant, of %s (%v),\n%s", source, golden, err, want)
	}
	dir, err := os.MkdirTemp("testdata", "gotest-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("letter_test.go", source)
	for result, passes := range map[string]bool{"nil": true, `errors.New("boom")`: false} {
		write("handler_test.go", `package deadletter_test

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/deadletter"
)

var _ = errors.New

func handleBillingV2(_ context.Context, a deadletter.Attempt) error {
	if a.Number != 7 || a.Error != "a \x60 and a \"\n*/" {
		panic("another event")
	}
	return `+result+`
}
`)
		out, err := exec.CommandContext(t.Context(), "go", "test", "./"+dir).CombinedOutput()
		if (err == nil) != passes || !passes && !strings.Contains(string(out), "it fails: attempts_exhausted: boom") {
			t.Errorf("with a handler that returns %s: %v\n%s", result, err, out)
		}
	}
}

// anonymous takes out what is another in each run: the letter's ID.
func anonymous(source string) string {
	_, id, _ := strings.Cut(source, "letter      ")
	id, _, _ = strings.Cut(id, "\n")
	return strings.ReplaceAll(source, id, "LETTER")
}

func TestGoTestOfALetterOfAnUnknownType(t *testing.T) {
	ledger := memory(t)
	add := func(l deadletter.Letter) {
		if err := ledger.Add(t.Context(), []deadletter.Letter{l}); err != nil {
			t.Fatal(err)
		}
	}
	add(deadletter.Letter{ID: "a", Topic: "orders", Subscriber: "billing", GoType: "orders.Placed", ContentType: "application/json", Payload: []byte("{\"a\":1}")})
	add(deadletter.Letter{ID: "b", Topic: "orders", GoType: "*pb.Order", ContentType: "application/x-protobuf", Payload: []byte{0, 255, '"'}, Error: "*/\n}"})
	add(deadletter.Letter{ID: "c", Topic: "orders", PayloadError: "too large"})
	desk := ops.Offline(ledger)
	for id, want := range map[string][]string{
		"a": {"It was published as a orders.Placed", "topics.Handler[map[string]any] = handleBilling", "`{\"a\":1}`"},
		"b": {`"\x00\xff\x22"`, "var codec topics.Codec = codecOfOrders", "topics.Config{Codec: codec}"},
	} {
		source, err := desk.GoTest(t.Context(), id)
		if err != nil {
			t.Errorf("GoTest of %s: %v", id, err)
		}
		for _, part := range want {
			if !strings.Contains(source, part) {
				t.Errorf("GoTest of %s has no %s:\n%s", id, part, source)
			}
		}
	}
	wantErr(t, "without a payload", second(desk.GoTest(t.Context(), "c")), runtime.ErrNoPayload)
	wantErr(t, "of no letter", second(desk.GoTest(t.Context(), "d")), deadletter.ErrNotFound)
}
