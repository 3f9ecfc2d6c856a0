package sqlite_test

import "time"

func processorTime() time.Duration { return 0 }
