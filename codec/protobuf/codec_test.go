package protobuf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/codec/protobuf"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var _ topics.Codec = protobuf.Codec{}

func newStruct(t testing.TB, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	want := newStruct(t, map[string]any{"id": "o-1", "cents": 4200.0, "tags": []any{"a", nil, true}})
	data, err := protobuf.Codec{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got *structpb.Struct
	if err := (protobuf.Codec{}).Unmarshal(data, &got); err != nil || !proto.Equal(got, want) {
		t.Errorf("Unmarshal = %v, %v, want %v", got, err, want)
	}
	into := new(structpb.Struct)
	if err := (protobuf.Codec{}).Unmarshal(data, into); err != nil || !proto.Equal(into, want) {
		t.Errorf("Unmarshal into a message = %v, %v, want %v", into, err, want)
	}
}

func TestSameEventSameBytes(t *testing.T) {
	fields := map[string]any{}
	for i := range 50 {
		fields[fmt.Sprint(i)] = float64(i)
	}
	m := newStruct(t, fields)
	first, err := protobuf.Codec{}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		again, err := protobuf.Codec{}.Marshal(proto.Clone(m))
		if err != nil || !bytes.Equal(again, first) {
			t.Fatalf("Marshal = %x, %v, want %x", again, err, first)
		}
	}
}

func TestFieldsOfNewerMessagesAreKept(t *testing.T) {
	data, err := protobuf.Codec{}.Marshal(newStruct(t, map[string]any{"k": "v"}))
	if err != nil {
		t.Fatal(err)
	}
	var old *wrapperspb.BoolValue // knows no field of that kind
	if err := (protobuf.Codec{}).Unmarshal(data, &old); err != nil {
		t.Fatal(err)
	}
	again, err := protobuf.Codec{}.Marshal(old)
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("Marshal = %x, %v, want %x", again, err, data)
	}
}

type order struct{ ID string }

func TestTypesThatAreNoMessagesAreRefused(t *testing.T) {
	c := protobuf.Codec{}
	for _, tc := range []struct {
		typ  reflect.Type
		says string
	}{
		{reflect.TypeFor[order](), "protobuf_test.order does not implement proto.Message"},
		{reflect.TypeFor[*order](), "*protobuf_test.order does not implement"},
		{reflect.TypeFor[structpb.Struct](), "structpb.Struct is copied by value: use *structpb.Struct"},
		{reflect.TypeFor[proto.Message](), "any of them"},
		{reflect.TypeFor[any](), "does not implement"},
		{nil, "no type"},
	} {
		if err := c.Check(tc.typ); !errors.Is(err, protobuf.ErrNotMessage) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("Check(%v) = %v, want ErrNotMessage with %q", tc.typ, err, tc.says)
		}
	}
	if err := c.Check(reflect.TypeFor[*structpb.Struct]()); err != nil {
		t.Errorf("Check of a message = %v", err)
	}
	for _, event := range []any{order{}, nil, 7} {
		if _, err := c.Marshal(event); !errors.Is(err, protobuf.ErrNotMessage) {
			t.Errorf("Marshal(%T) = %v, want ErrNotMessage", event, err)
		}
	}
	if _, err := c.Marshal((*structpb.Struct)(nil)); err == nil {
		t.Error("Marshal of a nil message succeeded, want an error")
	}
	var o *order
	var nothing *structpb.Struct
	for _, into := range []any{nil, order{}, &o, nothing, (**structpb.Struct)(nil), new(any)} {
		if err := c.Unmarshal(nil, into); err == nil {
			t.Errorf("Unmarshal into %T succeeded, want an error", into)
		}
	}
}

func TestOpenRefusesATypeThatIsNoMessage(t *testing.T) {
	rt := troupetest.New(t)
	_, err := topics.Open[order](rt.Runtime, "orders", topics.Config{Codec: protobuf.Codec{}})
	if !errors.Is(err, protobuf.ErrNotMessage) {
		t.Errorf("Open = %v, want ErrNotMessage", err)
	}
	if _, err := topics.Open[*structpb.Struct](rt.Runtime, "orders", topics.Config{Codec: protobuf.Codec{}}); err != nil {
		t.Errorf("Open of a message after that = %v", err)
	}
}

func TestDeadLetterAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic, err := topics.Open[*structpb.Struct](rt.Runtime, "orders", topics.Config{Codec: protobuf.Codec{}})
		if err != nil {
			t.Fatal(err)
		}
		var got []*structpb.Struct
		fixed := false
		if _, err := topic.Subscribe("billing", func(_ context.Context, m *structpb.Struct) error {
			if !fixed {
				return supervisor.Permanent(errors.New("boom"))
			}
			got = append(got, m)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := newStruct(t, map[string]any{"id": "o-1"})
		if err := topic.Publish(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{ContentType: protobuf.ContentType, GoType: "*structpb.Struct"})
		l := rt.Letters()[0]
		if m, err := topic.Decode(l); err != nil || !proto.Equal(m, want) {
			t.Errorf("Decode = %v, %v, want %v", m, err, want)
		}
		fixed = true
		if err := rt.Redrive(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{State: deadletter.StateResolved})
		if len(got) != 1 || !proto.Equal(got[0], want) {
			t.Errorf("handled %v, want %v", got, want)
		}
	})
}

// Whatever is in a letter, decoding it is an error or a message that can be
// encoded again.
func FuzzUnmarshal(f *testing.F) {
	data, _ := protobuf.Codec{}.Marshal(newStruct(f, map[string]any{"id": "o-1", "list": []any{1.0, "x"}}))
	f.Add(data)
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m *structpb.Struct
		if (protobuf.Codec{}).Unmarshal(data, &m) != nil {
			if m != nil {
				t.Error("an error and a message")
			}
			return
		}
		again, err := protobuf.Codec{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var n *structpb.Struct
		if err := (protobuf.Codec{}).Unmarshal(again, &n); err != nil || !proto.Equal(m, n) && !bytes.Equal(again, marshal(t, n)) {
			t.Errorf("Unmarshal of what Marshal returned = %v, %v, want %v", n, err, m)
		}
	})
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := protobuf.Codec{}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
