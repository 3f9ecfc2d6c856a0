package outbox

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// What the relay passes on is what was published, byte by byte.
func FuzzRecordsComeOutOfTheBoxAsTheyWere(f *testing.F) {
	f.Add("id", "key", "name", "value", []byte(`{"a":1}`))
	f.Add("\x01id", "\xff", "n\x00", "<&>\u2028", []byte(`{"a": 1e3}`))
	f.Add("i", "", "", "", []byte("null"))
	f.Add("i", "\u2028", "\x0100", "\x01", []byte("\"<\u2028\xff\""))
	f.Add("i", "k", "n", "v", []byte{})
	f.Fuzz(func(t *testing.T, id, key, name, value string, data []byte) {
		if id == "" {
			return
		}
		r := engine.Record{
			ID: id, Key: key, Source: value, Type: name, ContentType: key, SchemaVersion: 7,
			Time: time.Unix(1, 23).UTC(), Headers: map[string]string{name: value}, Data: data,
		}
		doc, err := recordCodec{}.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back engine.Record
		if err := (recordCodec{}).Unmarshal(doc, &back); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if len(data) == 0 {
			back.Data, r.Data = nil, nil
		}
		if !reflect.DeepEqual(back, r) {
			t.Fatalf("%s came back as\n%+v, want\n%+v", doc, back, r)
		}
	})
}

func TestMendedRecordsThatCannotBe(t *testing.T) {
	for doc, want := range map[string]string{
		`{"key":"k"}`: "must have an id",
		`{"id":"1","data":{},"data_base64":"AA=="}`: "remove one",
		`{"id":1}`: "id",
	} {
		var r engine.Record
		if err := (recordCodec{}).Unmarshal([]byte(doc), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Unmarshal(%s) = %v, want %q in it", doc, err, want)
		}
	}
}
