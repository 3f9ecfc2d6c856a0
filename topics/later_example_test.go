package topics_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/schedule"
	"github.com/troupe-go/troupe/topics"
)

// What is scheduled can be canceled until it is published. What is left at the end
// becomes dead letters, unless the topic says otherwise.
func ExampleTopic_PublishAfter() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	reminders, err := topics.Open[string](rt, "reminders.due")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	if _, err := reminders.Subscribe("mail", func(_ context.Context, order string) error {
		fmt.Println("remind of", order)
		close(done)
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	later := func(d time.Duration, order string) topics.Scheduled {
		s, err := reminders.PublishAfter(ctx, d, order)
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	paid := later(time.Minute, "o-1")
	later(72*time.Hour, "o-3")
	fmt.Println("canceled:", paid.Cancel(), paid.Cancel())
	later(time.Millisecond, "o-2")
	<-done
	report, err := rt.Shutdown(ctx) // does not wait for three days
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Err())
	// Output:
	// canceled: true false
	// remind of o-2
	// runtime: shutdown was not clean: reminders.due, scheduled: 1 events dead-lettered
}

// A producer is called at each tick, one at a time, and what it returns is published.
func ExampleTopic_PublishEvery() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	beats, err := topics.Open[int](rt, "service.beat")
	if err != nil {
		log.Fatal(err)
	}
	sub, err := beats.Subscribe("monitor", func(_ context.Context, n int) error {
		fmt.Println("beat", n)
		return nil
	}, topics.SubscriberConfig{Take: 3})
	if err != nil {
		log.Fatal(err)
	}
	n := 0
	if _, err := beats.PublishEvery("heart", schedule.Interval(time.Millisecond), func(context.Context, time.Time) (int, error) {
		n++
		return n, nil
	}); err != nil {
		log.Fatal(err)
	}
	<-sub.Done()
	if _, err := rt.Shutdown(context.Background()); err != nil { // ends it
		log.Fatal(err)
	}
	// Output:
	// beat 1
	// beat 2
	// beat 3
}
