package postgres_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/postgres"
)

// schemaEnv is the schema of the conformance suite, for the processes that it kills.
const schemaEnv = "TROUPE_POSTGRES_SCHEMA"

func openSuite() (engine.Engine, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return postgres.Open(ctx, postgres.Config{URL: os.Getenv("TROUPE_POSTGRES"), Schema: os.Getenv(schemaEnv), Poll: 200 * time.Millisecond})
}

func TestEngine(t *testing.T) {
	t.Setenv(schemaEnv, newSchema(t))
	enginetest.Run(t, enginetest.Harness{Variant: "PostgreSQL", Open: openSuite, Restart: restarter(t)})
}

// restarter returns what restarts the server, nil if it is not one of scripts/services.
func restarter(t *testing.T) func(t *testing.T) {
	const script = "../../scripts/services"
	out, err := exec.Command(script, "env", "postgres").Output()
	if err != nil || !strings.Contains(string(out), server(t)) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the server is not that of scripts/services: %v", err)
		}
		t.Log("SKIPPED: restarts of the server: it is not that of scripts/services start postgres")
		return nil
	}
	return func(t *testing.T) {
		if out, err := exec.Command(script, "restart", "postgres").CombinedOutput(); err != nil {
			t.Fatalf("restart: %v\n%s", err, out)
		}
	}
}
