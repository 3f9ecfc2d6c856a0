package exchange_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/exchange"
)

var (
	ctx     = context.Background()
	day     = time.Date(2026, 3, 14, 3, 0, 0, 123456789, time.UTC)
	formats = []string{exchange.JSONLines, exchange.CloudEvents}
)

// text draws what is easily mangled.
func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"", "a", "<b>&\u2028", "\x00\x1f\x7f\u0085", "\xff\xfe", "a\xc3", "\ufffd", "\ufffe\ufdd0", "é☃\U0001F600", "line\nline", `"\`}),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
}

// letter draws a letter by reflection, so that no field is forgotten.
func letter() *rapid.Generator[deadletter.Letter] {
	return rapid.Custom(func(t *rapid.T) deadletter.Letter {
		var fill func(v reflect.Value, depth int)
		fill = func(v reflect.Value, depth int) {
			switch x := v.Addr().Interface().(type) {
			case *time.Time:
				if rapid.Bool().Draw(t, "time") {
					*x = day.Add(time.Duration(rapid.Int64Range(-1<<60, 1<<60).Draw(t, "at")))
				}
				return
			case *deadletter.State:
				*x = rapid.SampledFrom([]deadletter.State{deadletter.StateOpen, deadletter.StateResolved, deadletter.StateArchived}).Draw(t, "state")
				return
			}
			switch v.Kind() {
			case reflect.String:
				v.SetString(text().Draw(t, "text"))
			case reflect.Int, reflect.Int64:
				v.SetInt(rapid.Int64().Draw(t, "int"))
			case reflect.Uint64:
				v.SetUint(rapid.Uint64().Draw(t, "uint"))
			case reflect.Slice:
				if v.Type().Elem().Kind() == reflect.Uint8 {
					v.SetBytes(rapid.OneOf(
						rapid.SliceOf(rapid.Byte()),
						rapid.Map(rapid.SampledFrom([]string{`{"id":9007199254740993,"x":[1.0,2e5]}`, `{"a": 1}`, "null", `"<&>"`, "1", "[]\n", "{\"u\":\"\u2028\"}", `{"a":1,"a":2}`, "\"\xff\""}), func(s string) []byte { return []byte(s) }),
					).Draw(t, "bytes"))
					return
				}
				v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 2).Draw(t, "n"), 2))
				for i := range v.Len() {
					fill(v.Index(i), depth)
				}
			case reflect.Map:
				v.Set(reflect.ValueOf(rapid.MapOfN(text(), text(), 0, 3).Draw(t, "map")))
			case reflect.Pointer:
				if depth < 2 && rapid.Bool().Draw(t, "pointer") {
					v.Set(reflect.New(v.Type().Elem()))
					fill(v.Elem(), depth+1)
				}
			case reflect.Struct:
				for i := range v.NumField() {
					fill(v.Field(i), depth)
				}
			default:
				t.Fatalf("cannot fill a %s", v.Type())
			}
		}
		var l deadletter.Letter
		fill(reflect.ValueOf(&l).Elem(), 0)
		l.ID = rapid.StringMatching(`[A-Z0-9]{1,26}`).Draw(t, "id")
		l.ContentType = rapid.SampledFrom([]string{"", "application/json", "application/json; charset=utf-8", "application/vnd.x+json", "text/plain", "no media type", "\xff"}).Draw(t, "content")
		return l.Normalize()
	})
}

// same makes empty and nil the same.
func same(l deadletter.Letter) deadletter.Letter {
	v := reflect.ValueOf(&l).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); (f.Kind() == reflect.Slice || f.Kind() == reflect.Map) && f.Len() == 0 {
			f.SetZero()
		}
	}
	return l
}

func write(t testing.TB, format string, letters ...deadletter.Letter) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := exchange.NewWriter(&b, format)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if err := w.Write(l); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestLettersComeBackExactly(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				want := rapid.SliceOfN(letter(), 1, 3).Draw(rt, "letters")
				var b bytes.Buffer
				w, err := exchange.NewWriter(&b, format)
				if err != nil {
					rt.Fatal(err)
				}
				for _, l := range want {
					if err := w.Write(l); err != nil {
						rt.Fatal(err)
					}
				}
				if n := bytes.Count(b.Bytes(), []byte("\n")); n != len(want) {
					rt.Fatalf("%d lines for %d letters", n, len(want))
				}
				n := 0
				for line, err := range exchange.Read(&b, format) {
					if err != nil {
						rt.Fatal(err)
					}
					if got, want := same(line.Letter), same(want[n]); !reflect.DeepEqual(got, want) {
						rt.Fatalf("read\n%#v, want\n%#v", got, want)
					}
					n++
					if line.Number != n {
						rt.Fatalf("letter %d is line %d", n, line.Number)
					}
				}
				if n != len(want) {
					rt.Fatalf("read %d letters, want %d", n, len(want))
				}
			})
		})
	}
}

func TestBadLinesAreNamedAndLeftOut(t *testing.T) {
	good := func(n int) deadletter.Letter { return deadletter.Letter{ID: fmt.Sprint("letter ", n), Topic: "t"} }
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			one, two := write(t, format, good(1)), write(t, format, good(2))
			in := strings.Join([]string{"\ufeff" + strings.TrimSpace(string(one)), "", "  \t", "{", "[]", strings.TrimSpace(string(one)) + "x", `{"id":""}`, strings.TrimSpace(string(two))}, "\r\n")
			var got []string
			for line, err := range exchange.Read(iotest.OneByteReader(strings.NewReader(in)), format) {
				if le, ok := errors.AsType[*exchange.LineError](err); ok {
					got = append(got, fmt.Sprint("fault in ", le.Line))
					if line.Number != le.Line || !strings.Contains(err.Error(), fmt.Sprintf("line %d: ", le.Line)) {
						t.Errorf("line %d has the error %v", line.Number, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, line.Letter.ID)
			}
			if want := "letter 1, fault in 4, fault in 5, fault in 6, fault in 7, letter 2"; strings.Join(got, ", ") != want {
				t.Errorf("read %s, want %s", strings.Join(got, ", "), want)
			}
		})
	}
}

func TestFaultsSayWhatIsWrong(t *testing.T) {
	valid := string(write(t, exchange.CloudEvents, deadletter.Letter{ID: "a"}))
	for _, tc := range []struct{ format, in, says string }{
		{exchange.JSONLines, `{"id":"a","tpoic":"x"}`, `unknown field "tpoic"`},
		{exchange.JSONLines, `{"id":"a","state":"lost"}`, `Letter.State "lost": must be empty`},
		{exchange.JSONLines, `{"id":""}`, `Letter.ID "": must not be empty`},
		{exchange.JSONLines, `{"id":"a"} {"id":"b"}`, "something behind the JSON document"},
		{exchange.JSONLines, `{"id":"a","sequence":-1}`, "sequence"},
		{exchange.CloudEvents, `{"specversion":"0.3"}`, `specversion "0.3": must be 1.0`},
		{exchange.CloudEvents, `{"specversion":"1.0","id":"a","type":"t"}`, "without id, source or type"},
		{exchange.CloudEvents, `{"specversion":"1.0","id":"a","type":"t","source":"/s","data":{}}`, "no dead letter"},
		{exchange.CloudEvents, strings.Replace(valid, `"dlid":"a"`, `"dlid":"b"`, 1), `dlid "b": must be the ID in dlletter`},
		{exchange.CloudEvents, strings.Replace(valid, `"dlid"`, `"data":1,"data_base64":"eA==","dlid"`, 1), "data and data_base64"},
	} {
		n := 0
		for _, err := range exchange.Read(strings.NewReader(tc.in), tc.format) {
			n++
			if _, ok := errors.AsType[*exchange.LineError](err); !ok || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s gives %v, want a *LineError that says %q", tc.in, err, tc.says)
			}
		}
		if n != 1 {
			t.Errorf("%s gives %d lines", tc.in, n)
		}
	}
}

// endless is a line that never ends, as long as the test reads.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return copy(p, "x\n{\"id\":\"a\"}\n"), io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	e.n -= len(p)
	return len(p), nil
}

func TestALineThatIsTooLongIsLeftOut(t *testing.T) {
	var got []string
	for line, err := range exchange.Read(&endless{exchange.MaxLine}, exchange.JSONLines) {
		got = append(got, fmt.Sprint(line.Letter.ID, err))
	}
	if want := fmt.Sprintf("[line 1: longer than %d bytes a<nil>]", exchange.MaxLine); fmt.Sprint(got) != want {
		t.Errorf("read %v, want %s", got, want)
	}
}

func TestAFailingReaderEndsReading(t *testing.T) {
	boom := errors.New("boom")
	in := io.MultiReader(bytes.NewReader(write(t, exchange.JSONLines, deadletter.Letter{ID: "a"})), iotest.ErrReader(boom))
	n := 0
	var last error
	for _, err := range exchange.Read(in, exchange.JSONLines) {
		n, last = n+1, err
	}
	if _, line := errors.AsType[*exchange.LineError](last); n != 2 || !errors.Is(last, boom) || line {
		t.Errorf("%d lines and the error %v, want 2 and boom, which is no fault of a line", n, last)
	}
	for _, err := range exchange.Read(in, "xml") {
		if !errors.Is(err, exchange.ErrFormat) {
			t.Errorf("Read of an unknown format = %v", err)
		}
	}
	if _, err := exchange.NewWriter(io.Discard, "xml"); !errors.Is(err, exchange.ErrFormat) {
		t.Errorf("NewWriter of an unknown format = %v", err)
	}
}

// What a reader of CloudEvents that knows no letters sees.
func TestEventOfALetter(t *testing.T) {
	l := deadletter.Letter{
		ID: "01JD", Topic: "orders/eu placed", Subscriber: "billing", Reason: "panic", Payload: []byte(`{"id":9007199254740993}`), ContentType: "application/json",
		GoType: "shop.Order", PublishedAt: day, FirstFailedAt: day.Add(1), LastFailedAt: day.Add(2), Fingerprint: "f", AttemptCount: 3,
		Error: "no\x00 route", ErrorTypes: []string{"*net.OpError", "x"},
		Headers: map[string]string{"Traceparent": "00-4bf9-01", "tracestate": "a=b", "partitionkey": "key"},
	}
	line := write(t, exchange.CloudEvents, l)
	var got map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	delete(got, "dlletter")
	want := map[string]any{
		"specversion": "1.0", "id": "01JD", "source": "/troupe/topics/orders%2Feu%20placed", "type": "shop.Order", "subject": "billing", "time": "2026-03-14T03:00:00.123456789Z",
		"datacontenttype": "application/json", "data": map[string]any{"id": json.Number("9007199254740993")},
		"traceparent": "00-4bf9-01", "tracestate": "a=b", "partitionkey": "key",
		"dlid": "01JD", "dltopic": "orders/eu placed", "dlsubscriber": "billing", "dlreason": "panic", "dlgroup": "f", "dlstate": "open", "dlattempts": json.Number("3"),
		"dlfirst": "2026-03-14T03:00:00.12345679Z", "dllast": "2026-03-14T03:00:00.123456791Z", "dlerrtype": "*net.OpError", "dlerrmsg": "no\ufffd route",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the event is\n%v, want\n%v", got, want)
	}
	for name := range got {
		if name != "data_base64" && !regexp.MustCompile(`^[a-z0-9]{1,20}$`).MatchString(name) {
			t.Errorf("%q is no name of an attribute", name)
		}
	}
}
