package cbor_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/codec/cbor"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"pgregory.net/rapid"
)

var _ topics.Codec = cbor.Codec{}

type reading struct {
	Sensor string `json:"sensor"`
	At     time.Time
	Value  float64
	Raw    []byte
	Labels map[string]int
	Nested *reading
	Any    any
}

func roundTrip[T any](t *testing.T, v T) T {
	t.Helper()
	data, err := cbor.Codec{}.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := (cbor.Codec{}).Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestRoundTrip(t *testing.T) {
	at := time.Date(2026, 3, 14, 3, 0, 0, 123456789, time.FixedZone("", 3600))
	v := reading{
		Sensor: "a", At: at, Value: math.Pi, Raw: []byte{0, 255}, Labels: map[string]int{"k": -1},
		Nested: &reading{Value: math.Inf(-1)}, Any: map[string]any{"n": int64(7), "list": []any{"x", nil, true}},
	}
	back := roundTrip(t, v)
	if !back.At.Equal(at) || back.At.Format(time.RFC3339Nano) != at.Format(time.RFC3339Nano) {
		t.Errorf("time = %v, want %v", back.At, at)
	}
	back.At = at
	if !reflect.DeepEqual(back, v) {
		t.Errorf("back = %+v, want %+v", back, v)
	}
}

func TestWhatAnInterfaceHolds(t *testing.T) {
	at := time.Date(2026, 3, 14, 3, 0, 0, 1, time.UTC)
	huge, _ := new(big.Int).SetString("18446744073709551615", 10)
	for name, c := range map[string]struct{ in, want any }{
		"integer":  {5, int64(5)},
		"negative": {-5, int64(-5)},
		"huge":     {uint64(math.MaxUint64), *huge},
		"float":    {1.5, 1.5},
		"map":      {map[string]int{"a": 1}, map[string]any{"a": int64(1)}},
		"bytes":    {[]byte("x"), []byte("x")},
	} {
		if got := roundTrip[any](t, c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v comes back as %#v, want %#v", name, c.in, got, c.want)
		}
	}
	if got, ok := roundTrip[any](t, at).(time.Time); !ok || !got.Equal(at) {
		t.Errorf("time comes back as %#v, want %v", got, at)
	}
}

func TestSameEventSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.Int64()).Draw(t, "m")
		first, err := cbor.Codec{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again := map[string]int64{}
		for k, v := range m { // in another order
			again[k] = v
		}
		second, err := cbor.Codec{}.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("Marshal = %x, %v, want %x", second, err, first)
		}
	})
}

func TestWhatHasNoEncodingIsRefused(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[func()](), reflect.TypeFor[chan int]()} {
		if err := (cbor.Codec{}).Check(typ); err == nil || !strings.Contains(err.Error(), typ.String()) {
			t.Errorf("Check(%v) = %v, want an error that names it", typ, err)
		}
	}
	rt := troupetest.New(t)
	if _, err := topics.Open[func()](rt.Runtime, "calls", topics.Config{Codec: cbor.Codec{}}); err == nil {
		t.Error("Open of a topic of functions succeeded, want an error")
	}
	if err := (cbor.Codec{}).Check(reflect.TypeFor[reading]()); err != nil {
		t.Errorf("Check = %v", err)
	}
	if _, err := (cbor.Codec{}).Marshal(struct{ F func() }{}); err == nil {
		t.Error("Marshal of a func succeeded, want an error")
	}
	for name, data := range map[string][]byte{
		"nothing": {}, "cut": {0xa1}, "key twice": {0xa2, 0x61, 'a', 1, 0x61, 'a', 2}, "not UTF-8": {0x61, 0xff},
		"too deep": bytes.Repeat([]byte{0x81}, 1000), "two items": {1, 2},
	} {
		var into any
		if err := (cbor.Codec{}).Unmarshal(data, &into); err == nil {
			t.Errorf("%s: Unmarshal = %v, want an error", name, into)
		}
	}
}

func TestDeadLetterAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic, err := topics.Open[reading](rt.Runtime, "readings", topics.Config{Codec: cbor.Codec{}})
		if err != nil {
			t.Fatal(err)
		}
		var got []reading
		fixed := false
		if _, err := topic.Subscribe("store", func(_ context.Context, r reading) error {
			if !fixed {
				return supervisor.Permanent(errors.New("boom"))
			}
			got = append(got, r)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := reading{Sensor: "a", At: time.Unix(1, 2).UTC(), Raw: []byte{1}}
		if err := topic.Publish(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{ContentType: cbor.ContentType, GoType: "cbor_test.reading"})
		l := rt.Letters()[0]
		if r, err := topic.Decode(l); err != nil || !reflect.DeepEqual(r, want) {
			t.Errorf("Decode = %+v, %v, want %+v", r, err, want)
		}
		fixed = true
		if err := rt.Redrive(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{State: deadletter.StateResolved})
		if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("handled %+v, want %+v", got, want)
		}
	})
}

// Whatever is in a letter, decoding it is an error or a value that can be encoded
// again, to the same bytes each time.
func FuzzUnmarshal(f *testing.F) {
	for _, v := range []any{reading{Sensor: "a", At: time.Unix(1, 2), Labels: map[string]int{"k": 1}}, "x", 7, nil, []any{1, 2.5}} {
		data, err := cbor.Codec{}.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r reading
		_ = cbor.Codec{}.Unmarshal(data, &r)
		var v any
		if (cbor.Codec{}).Unmarshal(data, &v) != nil {
			return
		}
		first, err := cbor.Codec{}.Marshal(v)
		if err != nil {
			return // such as a time beyond the year 9999
		}
		var w any
		if err := (cbor.Codec{}).Unmarshal(first, &w); err != nil {
			t.Fatalf("Unmarshal of what Marshal returned: %v", err)
		}
		second, err := cbor.Codec{}.Marshal(w)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("Marshal = %x, %v, want %x", second, err, first)
		}
	})
}
