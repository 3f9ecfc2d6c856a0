package eventstore_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/eventstore"
)

type happening interface{ happened() }

type opened struct{ Owner string }
type deposited struct {
	Cents int64
	By    string
}
type closedDown struct{ Reason string }

func (opened) happened()      {}
func (*deposited) happened()  {}
func (closedDown) happened()  {}
func (stranger) happened()    {}
func (exploding) happened()   {}
func (unspeakable) happened() {}

type stranger struct{}
type exploding struct{ N int }

func (exploding) MarshalJSON() ([]byte, error)  { panic("no way in") }
func (*exploding) UnmarshalJSON(b []byte) error { panic("no way out") }

type unspeakable struct{ C chan int }

func schema(t *testing.T) *eventstore.Schema[happening] {
	t.Helper()
	s, err := eventstore.NewSchema[happening](nil,
		eventstore.TypeOf[opened]("opened"),
		eventstore.TypeOf[*deposited]("deposited",
			// Version 1 had euros, version 2 cents.
			eventstore.UpcastJSON(func(old struct{ Euros int64 }) (struct{ Amount int64 }, error) {
				if old.Euros < 0 {
					return struct{ Amount int64 }{}, errors.New("negative")
				}
				return struct{ Amount int64 }{old.Euros * 100}, nil
			}),
			func(data []byte) ([]byte, error) {
				return []byte(strings.Replace(string(data), "Amount", "Cents", 1)), nil
			}),
		eventstore.TypeOf[exploding]("exploding", func([]byte) ([]byte, error) { panic("no way up") }),
		eventstore.TypeOf[unspeakable]("unspeakable"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemaRoundTrip(t *testing.T) {
	s := schema(t)
	for _, want := range []happening{opened{"jane"}, &deposited{Cents: 7, By: "joe"}} {
		ev, err := s.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Decode(ev)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Decode(Encode(%#v)) = %#v, %v", want, got, err)
		}
	}
	ev, err := s.Encode(&deposited{})
	if err != nil || ev.Type != "deposited" || ev.SchemaVersion != 3 || ev.ContentType != "application/json" || ev.ID != "" {
		t.Errorf("Encode = %+v, %v, want a deposited of version 3 in JSON without an ID", ev, err)
	}
	if !s.Knows("opened") || s.Knows("closed") {
		t.Errorf("Knows(opened) = %v, Knows(closed) = %v, want true, false", s.Knows("opened"), s.Knows("closed"))
	}
}

func TestSchemaReadsOldVersions(t *testing.T) {
	s := schema(t)
	for version, data := range map[int]string{0: `{"Euros":5}`, 1: `{"Euros":5}`, 2: `{"Amount":500}`, 3: `{"Cents":500}`} {
		got, err := s.Decode(eventstore.Event{Type: "deposited", SchemaVersion: version, ContentType: "application/json", Data: []byte(data)})
		if d, ok := got.(*deposited); err != nil || !ok || d.Cents != 500 {
			t.Errorf("Decode of version %d = %#v, %v, want 500 cents", version, got, err)
		}
	}
}

func TestSchemaRefusesWhatItCannotRead(t *testing.T) {
	s := schema(t)
	for name, c := range map[string]struct {
		ev   eventstore.Event
		is   error
		says string
	}{
		"unknown type":          {eventstore.Event{ID: "7", Type: "closed"}, eventstore.ErrUnknownType, `"closed"`},
		"newer version":         {eventstore.Event{ID: "7", Type: "deposited", SchemaVersion: 4}, eventstore.ErrUnknownVersion, "versions 1 to 3"},
		"another encoding":      {eventstore.Event{Type: "opened", ContentType: "application/cbor"}, nil, "application/cbor"},
		"no encoding":           {eventstore.Event{Type: "opened"}, nil, "no content type"},
		"bad data":              {eventstore.Event{Type: "opened", ContentType: "application/json", Data: []byte("{")}, nil, "decode"},
		"bad data of old":       {eventstore.Event{Type: "deposited", Data: []byte("{")}, nil, "from version 1 to 2"},
		"an upcast that fails":  {eventstore.Event{Type: "deposited", Data: []byte(`{"Euros":-1}`)}, nil, "negative"},
		"an upcast that panics": {eventstore.Event{Type: "exploding", Data: []byte(`{}`)}, nil, "no way up"},
		"a codec that panics":   {eventstore.Event{Type: "exploding", SchemaVersion: 2, ContentType: "application/json", Data: []byte(`{}`)}, nil, "no way out"},
	} {
		got, err := s.Decode(c.ev)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || got != nil {
			t.Errorf("Decode of %s = %v, %v, want an error that says %s", name, got, err, c.says)
		}
	}
	for _, ev := range []happening{stranger{}, &opened{}, nil, exploding{}, unspeakable{}} {
		if got, err := s.Encode(ev); err == nil {
			t.Errorf("Encode(%T) = %+v, want an error", ev, got)
		}
	}
	var unsupported *json.UnsupportedTypeError
	if _, err := s.Encode(unspeakable{}); !errors.As(err, &unsupported) {
		t.Errorf("Encode of a channel = %v, want what the codec says", err)
	}
}

func TestNewSchemaReportsEveryFault(t *testing.T) {
	_, err := eventstore.NewSchema[happening](nil,
		eventstore.TypeOf[opened]("opened"),
		eventstore.TypeOf[opened]("again"),
		eventstore.TypeOf[closedDown]("opened"),
		eventstore.TypeOf[int]("a b", nil),
		eventstore.TypeOf[happening]("interface"),
		eventstore.Type{},
	)
	if !errors.Is(err, eventstore.ErrInvalid) {
		t.Fatalf("NewSchema = %v, want ErrInvalid", err)
	}
	for _, want := range []string{"is there twice", "is that of", "must be assignable", "a b", "upcast from version 1", "interface", "TypeOf"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("NewSchema = %v, want it to say %q", err, want)
		}
	}
}
