package schedule_test

import (
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/schedule"
)

// A cron expression is in a location; what summer time skips, it skips.
func ExampleCron() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		log.Fatal(err)
	}
	weekdays, err := schedule.Cron("30 6 * * mon-fri", berlin)
	if err != nil {
		log.Fatal(err)
	}
	at := time.Date(2026, time.March, 27, 12, 0, 0, 0, time.UTC) // a Friday
	for range 2 {
		at = weekdays.Next(at)
		fmt.Println(at.Format("Mon 02 15:04 MST"), "is", at.UTC().Format("15:04 MST"))
	}
	_, err = schedule.Cron("0 0 30 feb *", berlin)
	fmt.Println(err)
	// Output:
	// Mon 30 06:30 CEST is 04:30 UTC
	// Tue 31 06:30 CEST is 04:30 UTC
	// schedule: cron "0 0 30 feb *": never occurs
}
