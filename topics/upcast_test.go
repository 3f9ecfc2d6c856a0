package topics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"pgregory.net/rapid"
)

// An order, as it was and as it is.
type (
	orderV1 struct{ Name string }
	orderV2 struct{ First, Last string }
	orderV3 struct {
		First, Last string
		Cents       int
	}
)

var orderUpcasts = topics.Upcasts{
	1: topics.UpcastJSON(func(o orderV1) (orderV2, error) {
		first, last, ok := strings.Cut(o.Name, " ")
		if !ok {
			return orderV2{}, fmt.Errorf("name %q: has one part", o.Name)
		}
		return orderV2{first, last}, nil
	}),
	2: func(payload []byte) ([]byte, error) { // without types
		fields := map[string]any{}
		if err := json.Unmarshal(payload, &fields); err != nil {
			return nil, err
		}
		fields["Cents"] = 100
		return json.Marshal(fields)
	},
}

// failedOrder returns a store with one letter, of an event that a program has
// published whose type is Old.
func failedOrder[Old any](t *testing.T, ev Old, cfg topics.Config) deadletter.Store {
	t.Helper()
	store, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	rt, err := runtime.New(runtime.Config{Name: "before", DeadLetters: store})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := topics.Open[Old](rt, "orders", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Subscribe("s", func(context.Context, Old) error { return supervisor.Permanent(errBoom) }); err != nil {
		t.Fatal(err)
	}
	if err := topic.Publish(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	if report, err := rt.Shutdown(t.Context()); err != nil || !report.Clean {
		t.Fatalf("shutdown = %+v, %v", report, err)
	}
	return store
}

// TestLettersOfOlderVersionsAreBroughtUp goes through a program's life: version 1
// before there were versions, 2, and now 3, with the letters of each still there.
func TestLettersOfOlderVersionsAreBroughtUp(t *testing.T) {
	for name, c := range map[string]struct {
		store   func(t *testing.T) deadletter.Store
		version int
		want    orderV3
	}{
		"1": {func(t *testing.T) deadletter.Store { return failedOrder(t, orderV1{"Ada Lovelace"}, topics.Config{}) }, 1, orderV3{"Ada", "Lovelace", 100}},
		"2": {func(t *testing.T) deadletter.Store {
			return failedOrder(t, orderV2{"Ada", "Lovelace"}, topics.Config{Version: 2})
		}, 2, orderV3{"Ada", "Lovelace", 100}},
		"3": {func(t *testing.T) deadletter.Store {
			return failedOrder(t, orderV3{"Ada", "Lovelace", 7}, topics.Config{Version: 3})
		}, 3, orderV3{"Ada", "Lovelace", 7}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t, runtime.Config{DeadLetters: c.store(t)})
				topic, err := topics.Open[orderV3](rt.Runtime, "orders", topics.Config{Version: 3, Upcasts: orderUpcasts})
				if err != nil {
					t.Fatal(err)
				}
				h := troupetest.NewHandler[orderV3](t).On(1, troupetest.Fail(supervisor.Permanent(errBoom)))
				if _, err := topic.Subscribe("s", h.Handle); err != nil {
					t.Fatal(err)
				}
				l := rt.Letters()[0]
				if l.SchemaVersion != c.version {
					t.Errorf("letter has version %d, want %d", l.SchemaVersion, c.version)
				}
				if got, err := topic.Decode(l); err != nil || got != c.want {
					t.Errorf("Decode = %+v, %v, want %+v", got, err, c.want)
				}
				// The first redrive fails: the letter keeps the evidence as it is.
				for range 2 {
					if err := rt.Redrive(t.Context(), l.ID); err != nil {
						t.Fatal(err)
					}
					rt.Idle()
				}
				h.WantEvents(c.want)
				rt.WantLetters(deadletter.Letter{ID: l.ID, SchemaVersion: c.version, Payload: l.Payload, State: deadletter.StateResolved})
				for _, call := range h.Calls() {
					if call.ID() != l.EventID {
						t.Errorf("id = %s, want %s, as in the program before", call.ID(), l.EventID)
					}
				}
			})
		})
	}
}

func TestLetterWithoutVersionIsVersionOne(t *testing.T) {
	rt := troupetest.New(t)
	topic, err := topics.Open[orderV3](rt.Runtime, "orders", topics.Config{Version: 3, Upcasts: orderUpcasts})
	if err != nil {
		t.Fatal(err)
	}
	l := deadletter.Letter{Payload: []byte(`{"Name":"Ada Lovelace"}`), ContentType: "application/json"}
	if got, err := topic.Decode(l); err != nil || got != (orderV3{"Ada", "Lovelace", 100}) {
		t.Errorf("Decode = %+v, %v", got, err)
	}
}

func TestUnroutedLettersAreBroughtUpToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := failedOrder(t, orderV1{"Ada Lovelace"}, topics.Config{})
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic, err := topics.Open[orderV3](rt.Runtime, "orders", topics.Config{Version: 3, Upcasts: orderUpcasts})
		if err != nil {
			t.Fatal(err)
		}
		h := troupetest.NewHandler[orderV3](t)
		if _, err := topic.Subscribe("other", h.Handle); err != nil {
			t.Fatal(err)
		}
		id := rt.Letters()[0].ID
		if err := store.Update(t.Context(), id, func(l *deadletter.Letter) error { l.Subscriber = ""; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := rt.Redrive(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		h.WantEvents(orderV3{"Ada", "Lovelace", 100})
	})
}

func TestUpcastThatFailsLeavesTheLetterOpen(t *testing.T) {
	boom := func(f func() error) topics.Upcasts {
		return topics.Upcasts{1: func([]byte) ([]byte, error) { return nil, f() }, 2: orderUpcasts[2]}
	}
	for name, c := range map[string]struct {
		cfg  topics.Config
		edit func(*deadletter.Letter)
		is   error
		says string
	}{
		"error":  {cfg: topics.Config{Version: 3, Upcasts: boom(func() error { return errBoom })}, is: errBoom, says: "upcast topics_test.orderV1 of orders from version 1 to 2: boom"},
		"panic":  {cfg: topics.Config{Version: 3, Upcasts: boom(func() error { panic("ouch") })}, says: "from version 1 to 2: panic: ouch"},
		"goexit": {cfg: topics.Config{Version: 3, Upcasts: boom(func() error { goruntime.Goexit(); return nil })}, says: "from version 1 to 2: supervisor: handler called runtime.Goexit"},
		"garbage": {cfg: topics.Config{Version: 3, Upcasts: orderUpcasts}, edit: func(l *deadletter.Letter) { l.Payload = []byte("{") },
			says: "from version 1 to 2: unexpected end"},
		"of the user": {cfg: topics.Config{Version: 3, Upcasts: orderUpcasts}, edit: func(l *deadletter.Letter) { l.Payload = []byte(`{"Name":"Ada"}`) },
			says: `name "Ada": has one part`},
		"newer": {cfg: topics.Config{Version: 3, Upcasts: orderUpcasts}, edit: func(l *deadletter.Letter) { l.SchemaVersion = 4 }, is: topics.ErrUnknownVersion,
			says: "the payload is version 4 of topics_test.orderV1, and topic orders reads versions 1 to 3"},
		"too old": {cfg: topics.Config{Version: 3, Upcasts: topics.Upcasts{2: orderUpcasts[2]}}, is: topics.ErrUnknownVersion,
			says: "the payload is version 1 of topics_test.orderV1, and topic orders reads versions 2 to 3"},
		"no upcasts": {cfg: topics.Config{Version: 3}, is: topics.ErrUnknownVersion, says: "reads version 3 only"},
		"result that does not decode": {cfg: topics.Config{Version: 3, Upcasts: topics.Upcasts{2: func([]byte) ([]byte, error) { return []byte("?"), nil }}},
			edit: func(l *deadletter.Letter) { l.SchemaVersion = 2 }, says: "decode application/json as topics_test.orderV3"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t, runtime.Config{DeadLetters: failedOrder(t, orderV1{"Ada Lovelace"}, topics.Config{})})
				topic, err := topics.Open[orderV3](rt.Runtime, "orders", c.cfg)
				if err != nil {
					t.Fatal(err)
				}
				h := troupetest.NewHandler[orderV3](t)
				if _, err := topic.Subscribe("s", h.Handle); err != nil {
					t.Fatal(err)
				}
				id := rt.Letters()[0].ID
				if c.edit != nil {
					if err := rt.DeadLetters().Update(t.Context(), id, func(l *deadletter.Letter) error { c.edit(l); return nil }); err != nil {
						t.Fatal(err)
					}
				}
				err = rt.Redrive(t.Context(), id)
				if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("Redrive = %v, want %q", err, c.says)
				}
				rt.WantLetters(deadletter.Letter{ID: id, State: deadletter.StateOpen})
				if r := rt.Letters()[0].Redrives; len(r) != 1 || r[0].Outcome != deadletter.OutcomeAborted {
					t.Errorf("redrives = %+v, want one, aborted", r)
				}
				h.WantEvents()
			})
		})
	}
}

func TestOpenReportsFaultsOfVersions(t *testing.T) {
	up := func(p []byte) ([]byte, error) { return p, nil }
	for name, c := range map[string]struct {
		cfg  topics.Config
		says []string
	}{
		"negative":         {topics.Config{Version: -1}, []string{"Version -1: must not be negative"}},
		"from nothing":     {topics.Config{Version: 2, Upcasts: topics.Upcasts{0: up, 1: up}}, []string{"Upcasts[0]: must be from 1 or more"}},
		"from the present": {topics.Config{Version: 2, Upcasts: topics.Upcasts{1: up, 2: up}}, []string{"Upcasts[2]: must be from 1 or more and below Version, which is 2"}},
		"without Version":  {topics.Config{Upcasts: topics.Upcasts{1: up}}, []string{"Upcasts[1]: must be from 1 or more and below Version, which is 1"}},
		"nil":              {topics.Config{Version: 2, Upcasts: topics.Upcasts{1: nil}}, []string{"Upcasts[1]: must not be nil"}},
		"gap and more":     {topics.Config{Version: 5, Unrouted: 9, Upcasts: topics.Upcasts{1: up, 3: nil}}, []string{"Unrouted 9", "Upcasts[2]: is missing", "Upcasts[4]: is missing", "Upcasts[3]: must not be nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			rt := troupetest.New(t)
			_, err := topics.Open[int](rt.Runtime, "t", c.cfg)
			for _, says := range c.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("Open = %v, want %q", err, says)
				}
			}
			open(t, rt) // nothing is half registered
		})
	}
}

// The chain runs each upcast from the letter's version on, once and in order,
// whatever the versions are, and what is done to the map afterwards has no effect.
func TestUpcastsRunInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		version := rapid.IntRange(1, 12).Draw(rt, "version")
		oldest := rapid.IntRange(1, version).Draw(rt, "oldest")
		have := rapid.IntRange(0, version+2).Draw(rt, "have")
		ups := topics.Upcasts{}
		for n := oldest; n < version; n++ {
			ups[n] = topics.UpcastJSON(func(ran []int) ([]int, error) { return append(ran, n), nil })
		}
		troupe, err := runtime.New(runtime.Config{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = troupe.Shutdown(context.Background()) }()
		topic, err := topics.Open[[]int](troupe, "t", topics.Config{Version: version, Upcasts: ups})
		if err != nil {
			t.Fatal(err)
		}
		clear(ups)
		got, err := topic.Decode(deadletter.Letter{SchemaVersion: have, Payload: []byte("[]"), ContentType: "application/json"})
		from := max(have, 1)
		if from > version || from < oldest {
			if !errors.Is(err, topics.ErrUnknownVersion) {
				rt.Errorf("Decode of %d = %v, %v, want ErrUnknownVersion", have, got, err)
			}
			return
		}
		want := []int{}
		for n := from; n < version; n++ {
			want = append(want, n)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			rt.Errorf("Decode of %d: upcasts %v ran, %v, want %v", have, got, err, want)
		}
	})
}

// tabbed is a codec that is not JSON.
type tabbed struct{}

func (tabbed) ContentType() string { return "text/tabbed" }
func (tabbed) Marshal(ev any) ([]byte, error) {
	o := ev.(orderV2)
	return []byte(o.First + "\t" + o.Last), nil
}
func (tabbed) Unmarshal(data []byte, into any) error {
	o := into.(*orderV2)
	o.First, o.Last, _ = strings.Cut(string(data), "\t")
	return nil
}

// A topic may change its codec with a version.
func TestUpcastMayChangeTheEncoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{DeadLetters: failedOrder(t, orderV1{"Ada Lovelace"}, topics.Config{})})
		topic, err := topics.Open[orderV2](rt.Runtime, "orders", topics.Config{Codec: tabbed{}, Version: 2, Upcasts: topics.Upcasts{
			1: func(payload []byte) ([]byte, error) {
				var o orderV1
				if err := json.Unmarshal(payload, &o); err != nil {
					return nil, err
				}
				return []byte(strings.ReplaceAll(o.Name, " ", "\t")), nil
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := topic.Decode(rt.Letters()[0]); err != nil || got != (orderV2{"Ada", "Lovelace"}) {
			t.Errorf("Decode = %+v, %v", got, err)
		}
		// Without an upcast the content type has to be the codec's.
		if _, err := topic.Decode(deadletter.Letter{SchemaVersion: 2, Payload: []byte("{}"), ContentType: "application/json"}); err == nil || !strings.Contains(err.Error(), "not application/json") {
			t.Errorf("Decode of another encoding = %v", err)
		}
	})
}

func TestUpcastOfUsesTheCodec(t *testing.T) {
	up := topics.UpcastOf(tabbed{}, func(o orderV2) (orderV2, error) { return orderV2{o.Last, o.First}, nil })
	if got, err := up([]byte("a\tb")); string(got) != "b\ta" || err != nil {
		t.Errorf("upcast = %q, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	rt, err := runtime.New(runtime.Config{Name: "fuzz"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _ = rt.Shutdown(context.Background()) })
	topic, err := topics.Open[orderV3](rt, "orders", topics.Config{Version: 3, Upcasts: orderUpcasts})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(1, []byte(`{"Name":"Ada Lovelace"}`), "application/json")
	f.Add(2, []byte(`{"First":"Ada"}`), "application/json")
	f.Add(3, []byte(`null`), "text/plain")
	f.Add(-1, []byte(`[]`), "")
	f.Fuzz(func(t *testing.T, version int, payload []byte, contentType string) {
		got, err := topic.Decode(deadletter.Letter{SchemaVersion: version, Payload: payload, ContentType: contentType})
		if err != nil && got != (orderV3{}) {
			t.Errorf("Decode = %+v with %v", got, err)
		}
		if err == nil && version > 3 {
			t.Errorf("Decode of version %d succeeded", version)
		}
	})
}
