package topics_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/engine"
	enginemem "github.com/troupe-go/troupe/engine/memory"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestPublishThroughMakesTheRecordsOfPublish(t *testing.T) {
	e := enginemem.New()
	stands, rt := newAround(t, "m", runtime.Observer{})
	nums, err := topics.Open[int](rt.Runtime, "t", topics.Config{
		Engine: e, Version: 3, Correlate: true,
		Key: topics.KeyOf(func(n int) string { return string(rune('a' + n)) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []engine.Record
	take := func(_ context.Context, to engine.Topic, records []engine.Record) error {
		if _, ok := to.(*enginemem.Topic); !ok {
			t.Errorf("store was given %T, want the engine's topic", to)
		}
		got = append(got, records...)
		return nil
	}
	if err := nums.PublishThrough(t.Context(), []int{0, 1}, nil, take); err != nil {
		t.Fatal(err)
	}
	if err := nums.PublishThrough(t.Context(), []int{2}, []topics.Meta{{ID: "two", Headers: map[string]string{"Tenant": "7"}}}, take); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range got {
		keys = append(keys, r.Key)
		if r.Type != "t" || r.SchemaVersion != 3 || r.ContentType != "application/json" || r.ID == "" || r.Source != "/troupe" {
			t.Errorf("record %+v, want what Publish makes", r)
		}
	}
	if !slices.Equal(keys, []string{"a", "b", "c"}) || got[2].ID != "two" || got[2].Headers["tenant"] != "7" || got[1].Headers["mark"] != "m" || string(got[1].Data) != "1" {
		t.Errorf("records %+v, want those of 0, 1 and 2", got)
	}
	if want := []string{"begin 2 map[]", "end 2 <nil>", "begin 1 map[]", "end 1 <nil>"}; !slices.Equal(stands.all(), want) {
		t.Errorf("what stands around was told %v, want %v", stands.all(), want)
	}
	if n := account(t, rt).Attempted; n != 0 {
		t.Errorf("%d publications are counted, want 0: nobody knows yet whether they are", n)
	}
	// In a handler, they follow from the event in hand.
	caused := make(chan engine.Record, 1)
	_, err = nums.Subscribe("s", func(ctx context.Context, _ int) error {
		return nums.PublishThrough(ctx, []int{5}, nil, func(_ context.Context, _ engine.Topic, records []engine.Record) error {
			caused <- records[0]
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nums.PublishWith(t.Context(), 4, topics.Meta{ID: "four"}); err != nil {
		t.Fatal(err)
	}
	if r := <-caused; r.Headers[topics.HeaderCausation] != "four" || r.Headers["mark"] != "m" {
		t.Errorf("record %+v, want one that follows from four", r)
	}
}

func TestPublishThroughRefusals(t *testing.T) {
	rt := troupetest.New(t)
	nums, err := topics.Open[int](rt.Runtime, "t", topics.Config{Engine: enginemem.New()})
	if err != nil {
		t.Fatal(err)
	}
	here, err := topics.Open[int](rt.Runtime, "here")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	store := func(err error) func(context.Context, engine.Topic, []engine.Record) error {
		return func(context.Context, engine.Topic, []engine.Record) error { calls++; return err }
	}
	if err := here.PublishThrough(t.Context(), []int{1}, nil, store(nil)); err == nil || !strings.Contains(err.Error(), "in memory") {
		t.Errorf("in memory: %v, want an error that says so", err)
	}
	if err := nums.PublishThrough(t.Context(), []int{1}, []topics.Meta{}, store(nil)); err == nil {
		t.Error("metas of another length: nil")
	}
	if err := nums.PublishThrough(t.Context(), nil, nil, store(nil)); err != nil || calls != 0 {
		t.Errorf("nothing: %v, %d calls, want nil and none", err, calls)
	}
	if err := nums.PublishThrough(t.Context(), []int{1, 2}, nil, store(engine.ErrFull)); !errors.Is(err, engine.ErrFull) {
		t.Errorf("store fails: %v, want its error", err)
	}
	if got := account(t, rt).Rejected; got["engine_full"] != 2 {
		t.Errorf("rejected %v, want engine_full twice", got)
	}
	calls = 0
	if _, err := rt.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := nums.PublishThrough(t.Context(), []int{1}, nil, store(nil)); !errors.Is(err, runtime.ErrClosed) || calls != 0 {
		t.Errorf("after Shutdown: %v and %d calls, want ErrClosed and none", err, calls)
	}
}
