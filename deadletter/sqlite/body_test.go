package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// What the full-text index serves is found however the payload writes it, and what
// identifies an event is in the index, too.
func TestTheIndexFindsValuesHoweverTheyAreWritten(t *testing.T) {
	defer sqlite.ForMany()()
	s := open(t, sqlite.Config{})
	payloads := []string{
		`{"n":123456}`, `{"n":123456.00}`, `{"n":1.23456e5}`, `{"n":"123456"}`, `{"n":12345600E-2}`, `{"n":1.23456e+00005}`, `{"n":[1,{"m":123456}]}`,
		`{"n":-123456}`, `{"n":0.00125}`, `{"n":125e-5}`, `{"n":1e30}`, `{"n":1000000000000000000000000000000}`, `{"n":1e999999}`,
		`{"n":"café"}`, `{"n":"caf\u00e9"}`, `{"\u006e":"CAFÉ"}`, `{"n":"a\tbc\"d"}`, `{"n":"0001234"}`, `{"n":1234}`, "{\"n\":\"abc\xff\"}", `{"n":true}`, `not JSON 123456`,
	}
	var batch []deadletter.Letter
	for i, p := range payloads {
		l := deadletter.Letter{ID: fmt.Sprintf("l%02d", i), Topic: "t", Payload: []byte(p), EventID: fmt.Sprintf("event-%d", i), CorrelationID: "Flow-1", CausationID: fmt.Sprint("cause-", i)}
		l.Headers = map[string]string{"Tenant": fmt.Sprintf("tenant <%d>", i), "other": "tenant <3>"}
		batch = append(batch, l)
	}
	mustAdd(t, s, batch)
	memory, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := memory.Add(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for _, indexed := range []bool{false, true} {
		for text, atLeast := range map[string]int{
			"payload.n:123456": 6, "payload.n:123456.000": 5, "payload.n:00123456": 5, "payload.n:1.23456e5": 5, "payload.n.m:123456": 1, "payload.n:-123456": 1,
			"payload.n:0.00125": 2, "payload.n:.00125": 0, "payload.n:1000000000000000000000000000000": 2, "payload.n:café": 2, "payload.n:CAFÉ": 1, `payload.n:"a\tbc\"d"`: 0,
			"payload.n:0001234": 2, "payload.n:1234": 1, "payload.n:caf*": 2, "payload.n:*23456": 2, "payload.n:true": 1, "payload.n:\"abc\ufffd\"": 1,
			"event:event-7": 1, "event:event-1*": 5, "corr:Flow-1": len(payloads), "corr:flow-1": 0, "causation:cause-11": 1,
			`header.tenant:"tenant <3>"`: 1, `header.other:"tenant <3>"`: len(payloads), "header.tenant:*<1*": 5,
		} {
			q := deadletter.Query{Where: parse(t, text), Limit: 100}
			got, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			want, err := memory.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if shown(got) != shown(want) || got.Total < atLeast {
				t.Errorf("indexed %v: List(%s) finds %d, want %d, at least %d:\n%s\n%s", indexed, text, got.Total, want.Total, atLeast, shown(got), shown(want))
			}
		}
		if err := s.Indexed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// And when it changes.
	err = s.Update(t.Context(), "l03", func(l *deadletter.Letter) error {
		l.CorrelationID, l.Headers = "other", map[string]string{"tenant": "new one"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for text, want := range map[string]int{"corr:other": 1, `header.tenant:"new one"`: 1, "corr:Flow-1": len(payloads) - 1} {
			if p, err := s.List(t.Context(), deadletter.Query{Where: parse(t, text)}); err != nil || p.Total != want {
				t.Errorf("after a change List(%s) finds %d, %v, want %d", text, p.Total, err, want)
			}
		}
		if err := s.Indexed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
