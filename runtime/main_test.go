package runtime_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Each check of a script is a whole life of a runtime. The command line
	// says more.
	_ = flag.Set("rapid.checks", "10")
	goleak.VerifyTestMain(m)
}
