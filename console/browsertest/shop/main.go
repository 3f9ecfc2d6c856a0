// Shop serves the console of the shop that the browser tests are about, to look at
// by hand: go run ./shop
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/console/browsertest"
)

func main() {
	address := flag.String("listen", "localhost:8666", "where")
	orders := flag.Int("orders", 60, "how many orders are placed")
	flag.Parse()
	s, err := browsertest.NewShop(console.Config{Environment: "staging", Authorize: func(*http.Request, console.Action) error { return nil }})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Place(context.Background(), *orders); err != nil {
		log.Fatal(err)
	}
	go func() {
		for range time.Tick(2 * time.Second) {
			_ = s.Place(context.Background(), 3)
		}
	}()
	mux := http.NewServeMux()
	mux.Handle("/ops/dlq/", http.StripPrefix("/ops/dlq", s.Console))
	log.Printf("http://%s/ops/dlq/", *address)
	log.Fatal(http.ListenAndServe(*address, mux))
}
