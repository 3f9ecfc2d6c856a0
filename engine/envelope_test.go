package engine_test

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"pgregory.net/rapid"
)

// Whatever is in a record comes out of its envelope, and headers are fit for any
// protocol.
func TestCloudEventsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		want := engine.Record{
			ID: rapid.StringN(1, 20, -1).Draw(t, "id"), Key: text.Draw(t, "key"), Source: rapid.StringN(1, 20, -1).Draw(t, "source"),
			Type: rapid.StringN(1, 20, -1).Draw(t, "type"), ContentType: rapid.SampledFrom([]string{"", "application/json"}).Draw(t, "content type"),
			SchemaVersion: rapid.IntRange(0, 1e9).Draw(t, "version"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
			Headers: rapid.MapOf(rapid.StringMatching(`x-[a-z0-9]{1,8}|traceparent|tracestate|ce-subject`), rapid.StringMatching(`[ -~]{0,20}`)).Draw(t, "headers"),
		}
		if rapid.Bool().Draw(t, "timed") {
			want.Time = time.Unix(rapid.Int64Range(-1e9, 1e10).Draw(t, "time"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		}
		for name, value := range want.Headers { // these travel as they are, and are no free text
			if !strings.HasPrefix(name, "x-") {
				want.Headers[name] = strings.ReplaceAll(strings.TrimSpace(value), "%", "")
			}
		}
		headers := map[string]string{}
		body, err := engine.CloudEvents.Seal(&want, func(name, value string) {
			if _, twice := headers[name]; twice {
				t.Errorf("header %s is set twice", name)
			}
			for i := range len(value) {
				if c := value[i]; (c < ' ' || c > '~') && name != "content-type" {
					t.Errorf("header %s = %q", name, value)
				}
			}
			headers[name] = value
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := engine.CloudEvents.Open(maps.All(headers), body)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != want.ID || got.Key != want.Key || got.Source != want.Source || got.Type != want.Type || !got.Time.Equal(want.Time) ||
			got.ContentType != want.ContentType || got.SchemaVersion != want.SchemaVersion || !bytes.Equal(got.Data, want.Data) || !maps.Equal(got.Headers, want.Headers) {
			t.Errorf("Open(Seal()) = %+v, want %+v", got, want)
		}
	})
}

// What is no CloudEvent is refused with what is wrong, all at once.
func TestCloudEventsFaults(t *testing.T) {
	for _, tc := range []struct {
		headers map[string]string
		want    []string
	}{
		{map[string]string{"ce-specversion": "0.3", "ce-id": "1", "ce-time": "yesterday", "ce-schemaversion": "x"}, []string{"0.3", "ce-time", "ce-schemaversion"}},
		{map[string]string{"ce-specversion": "1.0"}, []string{"ce-id"}},
	} {
		_, err := engine.CloudEvents.Open(maps.All(tc.headers), nil)
		for _, want := range tc.want {
			if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, engine.ErrNotSealed) {
				t.Errorf("Open(%v) = %v, want %s in it", tc.headers, err, want)
			}
		}
	}
	if _, err := engine.CloudEvents.Open(maps.All(map[string]string{"x": "y"}), nil); !errors.Is(err, engine.ErrNotSealed) {
		t.Errorf("Open(foreign) = %v, want ErrNotSealed", err)
	}
	if _, err := engine.CloudEvents.Seal(&engine.Record{}, func(string, string) {}); err == nil {
		t.Error("Seal(no ID) = nil")
	}
	r := engine.Record{ID: "1", Headers: map[string]string{"ce-id": "2"}}
	if _, err := engine.CloudEvents.Seal(&r, func(string, string) {}); err == nil || !strings.Contains(err.Error(), "ce-id") {
		t.Errorf("Seal(header ce-id) = %v", err)
	}
}

func FuzzCloudEventsOpen(f *testing.F) {
	f.Add("ce-id", "%zz", "ce-time", "2020-01-01T00:00:00Z", []byte("x"))
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string, body []byte) {
		r, err := engine.CloudEvents.Open(maps.All(map[string]string{n1: v1, n2: v2, "ce-specversion": "1.0"}), body)
		if err == nil && (r.ID == "" || !bytes.Equal(r.Data, body)) {
			t.Errorf("Open() = %+v", r)
		}
	})
}
