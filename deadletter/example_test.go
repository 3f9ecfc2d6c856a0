package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

func Example() {
	ctx := context.Background()
	store, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}

	now := time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)
	letter := deadletter.Letter{
		ID:         deadletter.NewID(now),
		Topic:      "orders.placed",
		Subscriber: "billing",
		Reason:     "attempts_exhausted",
		Error:      "card service: connection refused",
	}
	letter.AddAttempt(deadletter.Attempt{Number: 1, Started: now, Duration: time.Second, Cause: "error", Error: letter.Error})
	letter.Fingerprint = deadletter.Fingerprint(letter)
	if err := store.Add(ctx, []deadletter.Letter{letter}); err != nil {
		fmt.Println(err)
		return
	}

	page, err := store.List(ctx, deadletter.Query{Subscriber: "billing", State: deadletter.StateOpen})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range page.Letters {
		fmt.Printf("%s failed at %s: %s\n", l.Subscriber, l.LastFailedAt.Format(time.TimeOnly), l.Error)
	}
	fmt.Println("total:", page.Total)
	// Output:
	// billing failed at 03:00:01: card service: connection refused
	// total: 1
}

// Reading page after page sees each letter once, whatever happens meanwhile.
func ExampleStore_list() {
	ctx := context.Background()
	store, _ := deadletter.NewMemory(deadletter.MemoryConfig{})
	for _, id := range []string{"letter-1", "letter-2", "letter-3", "letter-4", "letter-5"} {
		_ = store.Add(ctx, []deadletter.Letter{{ID: id}})
	}

	query := deadletter.Query{Limit: 2}
	for {
		page, err := store.List(ctx, query)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, l := range page.Letters {
			fmt.Print(l.ID, " ")
		}
		if page.Next == "" {
			break
		}
		query.After = page.Next
	}
	// Output: letter-5 letter-4 letter-3 letter-2 letter-1
}

// Two operators press the same button: one of them redrives.
func ExampleLetter_BeginRedrive() {
	ctx := context.Background()
	store, _ := deadletter.NewMemory(deadletter.MemoryConfig{})
	_ = store.Add(ctx, []deadletter.Letter{{ID: "letter-1"}})

	for _, who := range []string{"ada", "grace"} {
		err := store.Update(ctx, "letter-1", func(l *deadletter.Letter) error {
			_, err := l.BeginRedrive(who, 1, time.Now())
			return err
		})
		fmt.Println(who, err == nil, errors.Is(err, deadletter.ErrNotOpen))
	}
	// Output:
	// ada true false
	// grace false true
}

func ExampleFingerprint() {
	a := deadletter.Letter{Subscriber: "import", Error: `open /srv/in/a-17.csv: no such file or directory`}
	b := deadletter.Letter{Subscriber: "import", Error: `open /srv/in/b-4711.csv: no such file or directory`}
	c := deadletter.Letter{Subscriber: "import", Error: `open /srv/in/a-17.csv: permission denied`}
	fmt.Println(deadletter.Fingerprint(a) == deadletter.Fingerprint(b))
	fmt.Println(deadletter.Fingerprint(a) == deadletter.Fingerprint(c))
	// Output:
	// true
	// false
}

func ExampleErrorTypes() {
	err := fmt.Errorf("index: %w", &fs.PathError{Op: "open", Path: "a.go", Err: fs.ErrNotExist})
	fmt.Println(deadletter.ErrorTypes(err))
	// Output: [*fmt.wrapError *fs.PathError *errors.errorString]
}

// A full store gives up what has been dealt with before what has not.
func ExampleMemoryConfig() {
	ctx := context.Background()
	store, _ := deadletter.NewMemory(deadletter.MemoryConfig{
		Capacity: 2,
		OnEvict:  func(l deadletter.Letter) { fmt.Println("gave up", l.ID, "which was", l.State) },
	})
	_ = store.Add(ctx, []deadletter.Letter{{ID: "letter-1"}, {ID: "letter-2", State: deadletter.StateResolved}})
	_ = store.Add(ctx, []deadletter.Letter{{ID: "letter-3"}})
	stats := store.Stats()
	fmt.Println(stats.Added, "=", stats.Stored, "+", stats.Evicted, "+", stats.Deleted)
	// Output:
	// gave up letter-2 which was resolved
	// 3 = 2 + 1 + 0
}
