package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/ops"
)

type routeOf struct{ path, method string }

func (w *world) routes() (all []routeOf) {
	for _, r := range console.Routes() {
		all = append(all, routeOf{r.Path, r.Method})
	}
	return all
}

// calls are real requests for every route that answers with JSON.
func (w *world) calls() map[string]any {
	id, other, group := w.ids("bills")[0], w.ids("bills")[1], w.group("bills")
	op, err := w.desk.Redrive(w.t.Context(), ops.By{Name: "ann", Why: "why"}, ops.Redrive{Scope: ops.Scope{IDs: w.ids("vault")[2:]}, Budget: 1, Rate: 1000, Steps: []float64{50, 100}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.wait(op.ID)
	slow, err := w.desk.Redrive(w.t.Context(), ops.By{Name: "ann"}, ops.Redrive{Scope: ops.Scope{IDs: w.ids("vault")[:2]}, Budget: 1, Rate: 0.001})
	if err != nil {
		w.t.Fatal(err)
	}
	by := map[string]any{"name": "ben", "why": "test"}
	ids := map[string]any{"ids": []string{other}}
	return map[string]any{
		"about": nil, "overview": nil, "tree": nil, "subscribers": nil, "health": nil, "topics": nil, "series": nil, "groups?spark=4&query=*": nil, "group?fingerprint=" + group: nil,
		"letters": nil, "letters?brief=true": nil, "letter?id=" + id: nil, "timeline?spans=3": nil, "operations": nil, "operation?id=" + op.ID: nil, "items?operation=" + op.ID: nil,
		"audit": nil, "verify": nil, "complete?query=st": nil, "fixes": nil, "diff?a=" + id + "&b=" + w.ids("vault")[0]: nil, "gotest?id=" + id: nil,
		"count":           map[string]any{"scope": ids},
		"redrive/preview": map[string]any{"redrive": map[string]any{"scope": map[string]any{"query": "*"}, "budget": 1, "rate": 5}},
		"redrive":         map[string]any{"by": by, "redrive": map[string]any{"scope": map[string]any{"ids": []string{w.ids("bills")[2]}}, "budget": 1}},
		"operation/rate":  map[string]any{"by": by, "id": slow.ID, "per_second": 0.002}, "operation/pause": map[string]any{"by": by, "id": slow.ID},
		"operation/resume": map[string]any{"by": by, "id": slow.ID}, "operation/cancel": map[string]any{"by": by, "id": slow.ID},
		"change":       map[string]any{"by": by, "change": map[string]any{"kind": "archive", "scope": ids}},
		"edit/preview": map[string]any{"id": id, "edit": map[string]any{"payload": map[string]any{"id": 1}, "headers": map[string]string{"tenant": "x"}, "budget": 1}},
		"edit":         map[string]any{"by": by, "id": id, "edit": map[string]any{"payload": map[string]any{"id": 1}, "budget": 1}},
		"fix/preview":  map[string]any{"name": "same", "scope": ids, "n": 2}, "group/change": map[string]any{"by": by, "fingerprint": group, "note": "n", "owner": "o", "acknowledged": true},
		"subscriber/pause": map[string]any{"by": by, "topic": "bills", "subscriber": "billing"}, "subscriber/resume": map[string]any{"by": by, "topic": "bills", "subscriber": "billing"},
		"subscriber/restart": map[string]any{"by": by, "topic": "bills", "subscriber": "billing"},
	}
}

// TestOpenAPI holds that the description has every route, and that real answers and
// requests have the fields that it says and no others.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything})
	status, text := w.get("openapi.json")
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil || status != 200 || doc["openapi"] != "3.1.0" {
		t.Fatalf("openapi.json = %d %.100s, %v", status, text, err)
	}
	paths := doc["paths"].(map[string]any)
	described := map[string]string{}
	for path, ops := range paths {
		for method := range ops.(map[string]any) {
			described[strings.TrimPrefix(path, "/api/v1/")] = strings.ToUpper(method)
		}
	}
	for _, r := range w.routes() {
		if described[r.path] != r.method {
			t.Errorf("%s %s is described as %q", r.method, r.path, described[r.path])
		}
		delete(described, r.path)
		if status, text, _ := w.ask(r.method, "api/v1/"+r.path+"?nosuch=1", nil); status != 400 || !strings.Contains(text, "nosuch") {
			t.Errorf("%s %s with an unknown parameter = %d %s", r.method, r.path, status, text)
		}
	}
	if len(described) > 0 {
		t.Errorf("described and not there: %v", described)
	}
	calls := w.calls()
	order := []string{"operation/rate", "operation/pause", "operation/resume", "operation/cancel"}
	for call := range calls {
		if !slices.Contains(order, call) {
			order = append(order, call)
		}
	}
	slices.SortStableFunc(order[4:], func(a, b string) int { // what looks before what changes
		rank := func(s string) int {
			if calls[s] == nil {
				return 0
			}
			return 1 + len(s) - len(strings.TrimSuffix(s, "preview")) - 7
		}
		return rank(a) - rank(b)
	})
	tried := map[string]bool{}
	v := validator{t: t, defs: doc["components"].(map[string]any)["schemas"].(map[string]any), seen: map[string]bool{}}
	for _, call := range order {
		body := calls[call]
		path, _, _ := strings.Cut(call, "?")
		tried[path] = true
		method := http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
		status, text, _ := w.ask(method, "api/v1/"+call, body)
		if status != 200 {
			t.Errorf("%s %s = %d %s", method, call, status, text)
			continue
		}
		op := paths["/api/v1/"+path].(map[string]any)[strings.ToLower(method)].(map[string]any)
		v.check(call, schemaOf(op["responses"].(map[string]any)["200"]), parse(t, text))
		if body != nil {
			data, _ := json.Marshal(body)
			v.check(call+" (request)", schemaOf(op["requestBody"]), parse(t, string(data)))
		}
		if method == http.MethodPost {
			status, text, _ := w.ask(method, "api/v1/"+call, `{"no such":1}`)
			if status != 400 {
				t.Errorf("%s with an unknown field = %d", call, status)
			}
			v.check(call+" (error)", schemaOf(op["responses"].(map[string]any)["default"]), parse(t, text))
		}
	}
	_, text, _ = w.ask(http.MethodPost, "api/v1/import", "{}\n", func(r *http.Request) { r.Header.Set("Content-Type", "application/x-ndjson") })
	v.check("import", schemaOf(paths["/api/v1/import"].(map[string]any)["post"].(map[string]any)["responses"].(map[string]any)["200"]), parse(t, text))
	for _, r := range console.Routes() {
		if r.Media == "" && !tried[r.Path] {
			t.Errorf("%s has not been tried", r.Path)
		}
	}
}

func schemaOf(part any) any {
	return part.(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
}

func parse(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err, text)
	}
	return v
}

// validator knows as much of JSON Schema as the description uses.
type validator struct {
	t    *testing.T
	defs map[string]any
	seen map[string]bool
}

func (v validator) check(at string, schema, value any) {
	s := schema.(map[string]any)
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		def, ok := v.defs[name]
		if !ok {
			v.t.Errorf("%s: %s is not defined", at, name)
			return
		}
		v.check(at, def, value)
		return
	}
	if s["type"] == nil {
		return
	}
	kinds := []any{s["type"]}
	if many, ok := s["type"].([]any); ok {
		kinds = many
	}
	got := "null"
	switch value := value.(type) {
	case bool:
		got = "boolean"
	case string:
		got = "string"
	case float64:
		got = "number"
		if value == float64(int64(value)) && !slices.Contains(kinds, any("number")) {
			got = "integer"
		}
	case []any:
		got = "array"
		for i, e := range value {
			v.check(fmt.Sprintf("%s[%d]", at, i), s["items"], e)
		}
	case map[string]any:
		got = "object"
		props, _ := s["properties"].(map[string]any)
		for name, e := range value {
			p, ok := props[name]
			if more, isMap := s["additionalProperties"].(map[string]any); !ok && isMap {
				p, ok = more, true
			}
			if !ok {
				v.t.Errorf("%s.%s is not described", at, name)
				continue
			}
			v.check(at+"."+name, p, e)
		}
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, ok := value[name.(string)]; !ok && !strings.HasSuffix(at, "(request)") && !strings.Contains(at, "(request).") {
				v.t.Errorf("%s.%s is described as always there, and is not", at, name)
			}
		}
	}
	if !slices.Contains(kinds, any(got)) {
		v.t.Errorf("%s is a %s, described as %v", at, got, s["type"])
	}
}

// TestFieldsAreClassified holds that whoever adds a field to the query language says
// whether it tells what is in events.
func TestFieldsAreClassified(t *testing.T) {
	open, secret := console.Classified()
	for _, f := range search.Fields() {
		if slices.Contains(open, f.Name) == slices.Contains(secret, f.Name) {
			t.Errorf("field %q has to be in one of open and secret of withhold.go", f.Name)
		}
	}
}
