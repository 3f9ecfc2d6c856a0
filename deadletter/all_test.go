package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
)

func TestAllReadsEveryPageAndStopsWhenAsked(t *testing.T) {
	store, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for i := range 25 {
		topic := "odd"
		if i%2 == 0 {
			topic = "even"
		}
		if err := store.Add(ctx, []deadletter.Letter{{ID: fmt.Sprintf("%03d", i), Topic: topic}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 2, 5, 13, 50} {
		var ids []string
		for l, err := range deadletter.All(ctx, store, deadletter.Query{Topic: "even", Limit: limit}) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, l.ID)
		}
		if len(ids) != 13 || ids[0] != "024" || ids[12] != "000" {
			t.Errorf("All with pages of %d = %v, want 13 letters from 024 to 000", limit, ids)
		}
	}
	n := 0
	for range deadletter.All(ctx, store, deadletter.Query{Limit: 2}) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("All went on for %d letters after a break at 3", n)
	}
}

func TestAllEndsWithTheErrorOfTheStore(t *testing.T) {
	store, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := store.Add(t.Context(), []deadletter.Letter{{ID: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []error
	for _, err := range deadletter.All(ctx, store, deadletter.Query{Limit: 1}) {
		got = append(got, err)
		cancel()
	}
	if len(got) != 2 || got[0] != nil || !errors.Is(got[1], context.Canceled) {
		t.Errorf("All with a context that ends after the first letter gave errors %v, want nil and then context canceled", got)
	}
}
