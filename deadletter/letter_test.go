package deadletter_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var day = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

// filled returns a letter without a zero field, made by reflection so that a
// new field cannot be forgotten.
func filled(t *testing.T) deadletter.Letter {
	t.Helper()
	var fill func(v reflect.Value)
	depth := 0
	fill = func(v reflect.Value) {
		switch x := v.Addr().Interface().(type) {
		case *time.Time:
			*x = day
			return
		case *deadletter.State:
			*x = deadletter.StateResolved
			return
		}
		switch v.Kind() {
		case reflect.String:
			v.SetString("text")
		case reflect.Int, reflect.Int64:
			v.SetInt(7)
		case reflect.Uint64:
			v.SetUint(1<<64 - 1)
		case reflect.Uint8:
			v.SetUint(0xff)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.Pointer:
			if depth++; depth <= 2 { // a closing on top of another
				v.Set(reflect.New(v.Type().Elem()))
				fill(v.Elem())
			}
			depth--
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"k": "v"}))
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		default:
			t.Fatalf("cannot fill a %s", v.Type())
		}
	}
	var l deadletter.Letter
	fill(reflect.ValueOf(&l).Elem())
	return l
}

func TestLetterJSONKeepsEveryField(t *testing.T) {
	want := filled(t)
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got deadletter.Letter
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after JSON:\n%+v, want\n%+v", got, want)
	}
	for _, key := range regexp.MustCompile(`"([^"]*)":`).FindAllStringSubmatch(string(text), -1) {
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(key[1]) {
			t.Errorf("JSON key %q is not in snake case", key[1])
		}
	}
}

func TestLetterJSONOmitsWhatIsNotThere(t *testing.T) {
	text, err := json.Marshal(deadletter.Letter{ID: "x", State: deadletter.StateOpen})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"x","topic":"","subscriber":"","sequence":0,"reason":"","attempt_count":0,"state":"open"}`
	if string(text) != want {
		t.Errorf("JSON = %s, want %s", text, want)
	}
}

func TestLetterCloneSharesNothing(t *testing.T) {
	a := filled(t)
	b := a.Clone()
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("Clone() = %+v, want %+v", b, a)
	}
	// Every slice and map of the letter, whatever fields there are.
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		switch f := va.Field(i); f.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			if f.Pointer() == vb.Field(i).Pointer() {
				t.Errorf("Clone shares %s", va.Type().Field(i).Name)
			}
		}
	}
	if a.Closed.Before == b.Closed.Before {
		t.Error("Clone shares Closed.Before")
	}
	if got := (deadletter.Letter{}).Clone(); !reflect.DeepEqual(got, deadletter.Letter{}) {
		t.Errorf("Clone of the zero letter = %+v", got)
	}
}

func TestLetterNormalize(t *testing.T) {
	zone := time.FixedZone("east", 3600)
	l := filled(t)
	var times func(v reflect.Value, fn func(*time.Time))
	times = func(v reflect.Value, fn func(*time.Time)) {
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			fn(at)
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				times(v.Field(i), fn)
			}
		case reflect.Pointer:
			if !v.IsNil() {
				times(v.Elem(), fn)
			}
		case reflect.Slice:
			for i := range v.Len() {
				times(v.Index(i), fn)
			}
		}
	}
	times(reflect.ValueOf(&l).Elem(), func(at *time.Time) { *at = at.In(zone) })
	l.State = ""
	got := l.Normalize()
	n := 0
	times(reflect.ValueOf(&got).Elem(), func(at *time.Time) {
		n++
		if *at != day { // == also compares the zone and the monotonic reading
			t.Errorf("a time is %v, want %v", *at, day)
		}
	})
	if n != 3+2+4+1+2*2 {
		t.Errorf("looked at %d times, want 14", n)
	}
	if got.State != deadletter.StateOpen {
		t.Errorf("State = %q, want %q", got.State, deadletter.StateOpen)
	}
	if l.State != "" || l.Attempts[0].Started.Location() != zone {
		t.Error("Normalize wrote to its receiver")
	}
	if got := (deadletter.Letter{PublishedAt: time.Now()}).Normalize().PublishedAt; strings.Contains(got.String(), "m=") {
		t.Errorf("PublishedAt = %v still has a monotonic reading", got)
	}
	if got := (deadletter.Letter{PublishedAt: time.Time{}.In(zone)}).Normalize().PublishedAt; got != (time.Time{}) {
		t.Errorf("a zero time became %v", got)
	}
}

func TestLetterValidateReportsEveryFault(t *testing.T) {
	if err := (deadletter.Letter{ID: "x"}).Validate(); err != nil {
		t.Errorf("Validate() = %v, want nil", err)
	}
	err := deadletter.Letter{State: "lost"}.Validate()
	if !errors.Is(err, deadletter.ErrInvalidLetter) {
		t.Fatalf("Validate() = %v, want ErrInvalidLetter", err)
	}
	for _, want := range []string{`ID "": must not be empty`, `State "lost": must be empty, "open", "redriving", "resolved", "archived" or "deleted"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %q, want it to say %q", err, want)
		}
	}
}

func TestAddAttemptKeepsTheFirstAndTheNewest(t *testing.T) {
	var l deadletter.Letter
	for n := 1; n <= 3*deadletter.MaxAttempts; n++ {
		l.AddAttempt(deadletter.Attempt{Number: n, Started: day.Add(time.Duration(n) * time.Minute), Duration: time.Second})
		if l.AttemptCount != n || len(l.Attempts) != min(n, deadletter.MaxAttempts) {
			t.Fatalf("after %d attempts: AttemptCount = %d, %d kept", n, l.AttemptCount, len(l.Attempts))
		}
		if l.Attempts[0].Number != 1 {
			t.Fatalf("after %d attempts the first kept is number %d", n, l.Attempts[0].Number)
		}
		for i, a := range l.Attempts[1:] {
			if want := n - len(l.Attempts) + 2 + i; a.Number != want {
				t.Fatalf("after %d attempts: Attempts[%d] is number %d, want %d", n, i+1, a.Number, want)
			}
		}
	}
	if want := day.Add(time.Minute + time.Second); !l.FirstFailedAt.Equal(want) {
		t.Errorf("FirstFailedAt = %v, want the end of the first attempt, %v", l.FirstFailedAt, want)
	}
	if want := day.Add(3*deadletter.MaxAttempts*time.Minute + time.Second); !l.LastFailedAt.Equal(want) {
		t.Errorf("LastFailedAt = %v, want the end of the last attempt, %v", l.LastFailedAt, want)
	}
}

func TestAddAttemptWithoutATimeMovesNone(t *testing.T) {
	l := deadletter.Letter{FirstFailedAt: day, LastFailedAt: day}
	l.AddAttempt(deadletter.Attempt{Number: 1, Duration: time.Hour})
	if l.FirstFailedAt != day || l.LastFailedAt != day || l.AttemptCount != 1 {
		t.Errorf("letter = %+v", l)
	}
}

func TestAddAttemptAfterCloneLeavesTheOriginal(t *testing.T) {
	var l deadletter.Letter
	for n := range deadletter.MaxAttempts {
		l.AddAttempt(deadletter.Attempt{Number: n + 1})
	}
	c := l.Clone()
	c.AddAttempt(deadletter.Attempt{Number: 99})
	for n, a := range l.Attempts {
		if a.Number != n+1 {
			t.Fatalf("Attempts[%d].Number = %d after adding to a clone", n, a.Number)
		}
	}
}

func TestLetterSizeCountsEveryByte(t *testing.T) {
	l := filled(t)
	base := l.Size()
	v := reflect.ValueOf(&l).Elem()
	var grow func(v reflect.Value, name string)
	grow = func(v reflect.Value, name string) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "12345")
			if got := l.Size(); got != base+5 {
				t.Errorf("Size() grew by %d with 5 bytes more in %s", got-base, name)
			}
			v.SetString(strings.TrimSuffix(v.String(), "12345"))
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range v.NumField() {
				grow(v.Field(i), name+"."+v.Type().Field(i).Name)
			}
		case reflect.Pointer:
			if !v.IsNil() {
				grow(v.Elem(), name)
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() != reflect.Uint8 {
				grow(v.Index(0), name)
			}
		}
	}
	grow(v, "Letter")
	l.Payload = append(l.Payload, 1, 2, 3)
	l.Headers["long"] = "er"
	if l.Size() <= base+3+6 {
		t.Errorf("Size() = %d, want more than %d", l.Size(), base+9)
	}
	if got := reflect.TypeFor[deadletter.Letter]().Size(); uintptr(deadletter.Letter{}.Size()) < got+128 {
		t.Errorf("Size of an empty letter = %d, less than the struct's %d and its place", deadletter.Letter{}.Size(), got)
	}
	var a, b, c deadletter.Letter
	a.Attempts, b.Redrives = make([]deadletter.Attempt, 1), make([]deadletter.Redrive, 1)
	c.Closed = &deadletter.Closing{}
	empty := deadletter.Letter{}.Size()
	if got, want := c.Size()-empty, int64(reflect.TypeFor[deadletter.Closing]().Size()); got < want {
		t.Errorf("a closing counts %d bytes, the struct has %d", got, want)
	}
	if got, want := a.Size()-empty, int64(reflect.TypeFor[deadletter.Attempt]().Size()); got < want {
		t.Errorf("an attempt counts %d bytes, the struct has %d", got, want)
	}
	if got, want := b.Size()-empty, int64(reflect.TypeFor[deadletter.Redrive]().Size()); got < want {
		t.Errorf("a redrive counts %d bytes, the struct has %d", got, want)
	}
}
