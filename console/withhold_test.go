package console_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/ops"
)

// TestWithoutPayloadNothingOfItLeaves asks every call that reads, and looks for what
// is in payloads, headers, errors, panics and stacks.
func TestWithoutPayloadNothingOfItLeaves(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: except(func(a console.Action) bool {
		return a.Right == console.Payload && (a.Topic == "vault" || a.Topic == console.AllTopics)
	})})
	vault, bills := w.ids("vault"), w.ids("bills")
	by := ops.By{Name: "ann", Why: "to try"}
	// An operation, an audit entry and an event that have it, too.
	op, err := w.desk.Redrive(t.Context(), by, ops.Redrive{Scope: ops.Scope{Query: "payload.note:" + secret}, Budget: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.wait(op.ID)
	for _, path := range []string{
		"overview", "tree", "subscribers", "topics", "health", "groups?query=*", "group?fingerprint=" + w.group("vault"), "letters", "letters?brief=true", "letter?id=" + vault[0],
		"timeline", "operations", "operation?id=" + op.ID, "items?operation=" + op.ID, "audit", "complete?query=payload.", "complete?query=err:", "diff?a=" + vault[0] + "&b=" + vault[1],
		"diff?a=" + bills[0] + "&b=" + vault[1], "gotest?id=" + vault[0], "export?query=*", "export?id=" + vault[0], "export?group=" + w.group("vault"),
	} {
		status, text := w.get(path)
		if strings.Contains(text, secret) || strings.Contains(text, "czNjcjN0") {
			t.Errorf("GET %s = %d, and tells", path, status)
		}
	}
	// What the caller may see is there.
	if _, text := w.get("letters?query=topic:bills"); !strings.Contains(text, "harmless") {
		t.Error("what is not secret is withheld as well")
	}
	if _, text := w.get("letter?id=" + vault[0]); !strings.Contains(text, `"withheld":true`) || !strings.Contains(text, `"tenant":"(withheld)"`) {
		t.Errorf("a withheld letter does not say so: %s", text)
	}
	for path, body := range map[string]any{
		"edit/preview":    map[string]any{"id": vault[0], "edit": map[string]any{"payload": map[string]any{"id": 1}}},
		"fix/preview":     map[string]any{"name": "same", "scope": map[string]any{"query": "*"}, "n": 5},
		"redrive/preview": map[string]any{"redrive": map[string]any{"scope": map[string]any{"query": "*"}, "budget": 1}},
	} {
		if status, text := w.post(path, body); strings.Contains(text, secret) {
			t.Errorf("POST %s = %d, and tells: %s", path, status, text)
		}
	}
	// Nor can it be found out by asking.
	for _, query := range []string{"payload.note:s3*", "err:x", "header.tenant:s*", "panic:x", "stack:x", secret, "has:payload", `state:open -(topic:bills OR err:"x")`} {
		q := url.QueryEscape(query)
		for _, path := range []string{"letters?query=" + q, "groups?query=" + q, "timeline?query=" + q, "export?query=" + q} {
			if status, text := w.get(path); status != http.StatusForbidden {
				t.Errorf("GET %s = %d %.200s, want 403", path, status, text)
			}
		}
		for path, body := range map[string]any{
			"count":           map[string]any{"scope": map[string]any{"query": query}},
			"redrive/preview": map[string]any{"redrive": map[string]any{"scope": map[string]any{"query": query}, "budget": 1}},
			"change":          map[string]any{"change": map[string]any{"kind": "archive", "scope": map[string]any{"query": query}}},
			"redrive":         map[string]any{"redrive": map[string]any{"scope": map[string]any{"query": query}, "budget": 1}},
		} {
			if status, text := w.post(path, body); status != http.StatusForbidden {
				t.Errorf("POST %s of %s = %d %.200s, want 403", path, query, status, text)
			}
		}
	}
	if status, text := w.get("letters?query=" + url.QueryEscape("state:open topic:va* age:>1s -reason:panic")); status != 200 {
		t.Errorf("a query of metadata = %d %s", status, text)
	}
}

// TestTopicsThatMayNotBeSeen leaves them out of everything.
func TestTopicsThatMayNotBeSeen(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: except(func(a console.Action) bool {
		return a.Topic == "vault" || a.Topic == console.AllTopics && a.Right != console.Payload
	})})
	vault := w.ids("vault")
	for _, path := range []string{"overview", "tree", "subscribers", "topics", "groups?query=*", "letters", "complete?query=topic:", "complete?query=sub:", "health"} {
		status, text := w.get(path)
		if status != 200 || strings.Contains(text, "keeper") || strings.Contains(text, "vault") {
			t.Errorf("GET %s = %d %s", path, status, text)
		}
	}
	if _, text := w.get("letters"); !strings.Contains(text, `"hidden":4`) {
		t.Errorf("letters does not count what it hides: %s", text)
	}
	for _, path := range []string{"letter?id=" + vault[0], "gotest?id=" + vault[0], "group?fingerprint=" + w.group("vault"), "diff?a=" + vault[0] + "&b=" + w.ids("bills")[0]} {
		if status, text := w.get(path); status != http.StatusNotFound {
			t.Errorf("GET %s = %d %s, want 404", path, status, text)
		}
	}
	// A change names its letters: by query or group it is about those of all topics.
	archive := func(scope map[string]any) int {
		status, _ := w.post("change", map[string]any{"change": map[string]any{"kind": "archive", "scope": scope}})
		return status
	}
	for name, c := range map[string]struct {
		scope map[string]any
		want  int
	}{
		"seen": {map[string]any{"ids": w.ids("bills")[:1]}, 200}, "unseen": {map[string]any{"ids": vault[:1]}, 403}, "both": {map[string]any{"ids": []string{w.ids("bills")[1], vault[0]}}, 403},
		"query": {map[string]any{"query": "topic:bills"}, 403}, "group": {map[string]any{"group": w.group("bills")}, 403},
	} {
		if got := archive(c.scope); got != c.want {
			t.Errorf("archive of %s = %d, want %d", name, got, c.want)
		}
	}
	// Nor may events be sent there.
	for path, body := range map[string]any{
		"redrive": map[string]any{"redrive": map[string]any{"scope": map[string]any{"ids": w.ids("bills")[1:2]}, "budget": 1, "to": map[string]any{"topic": "vault"}}},
		"edit":    map[string]any{"id": w.ids("bills")[1], "edit": map[string]any{"payload": map[string]any{"id": 1}, "to": map[string]any{"topic": "vault"}}},
	} {
		if status, text := w.post(path, body); status != http.StatusForbidden {
			t.Errorf("POST %s to a topic of no right = %d %s", path, status, text)
		}
	}
	if status, text := w.post("subscriber/pause", map[string]any{"topic": "vault", "subscriber": "keeper"}); status != http.StatusForbidden {
		t.Errorf("pause = %d %s", status, text)
	}
}

// wait returns when an operation has its end.
func (w *world) wait(id string) {
	w.t.Helper()
	for e := range w.desk.Watch(w.t.Context(), 1) {
		op, err := w.desk.Operation(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err, e)
		}
		if slices.Contains([]string{"done", "stopped", "cancelled"}, string(op.State)) {
			return
		}
	}
}
