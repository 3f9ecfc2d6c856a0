package cli_test

import (
	"net/http"
	"os"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

// What docs/operations.md quotes.
var (
	_ = func(mux *http.ServeMux) error {
		store, err := sqlite.Open(sqlite.Config{Path: "letters.db", Retention: sqlite.Retention{MaxAge: 90 * 24 * time.Hour}})
		if err != nil {
			return err
		}
		rt, err := runtime.New(runtime.Config{Name: "shop", DeadLetters: store})
		if err != nil {
			return err
		}
		// ... open topics and subscribe, then:
		desk, err := ops.New(rt, ops.Config{})
		if err != nil {
			return err
		}
		c, err := console.New(rt, console.Config{Desk: desk, Environment: "production", Authorize: console.Token(os.Getenv("OPS_TOKEN"))})
		if err != nil {
			return err
		}
		mux.Handle("/ops/", http.StripPrefix("/ops", c))
		return nil
	}
	_ = func(local *console.Console) error {
		l, err := console.Listen("/run/shop/troupe.sock")
		if err != nil {
			return err
		}
		return http.Serve(l, local) // a console of its own, whose Authorize allows what you want
	}
)
